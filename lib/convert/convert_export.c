// Checkpoints to Hugging Face directories, dense or in the layout of the published SLTrain code.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "convert/export_files.h"
#include "core/bfloat.h"
#include "core/half.h"
#include "files/param_tensors.h"
#include "files/safetensors.h"
#include "slt/convert.h"
#include "text/to_json.h"
#include "weights/dense.h"

struct export
{
    struct export_folder folder;
    struct slt_checkpoint_reader *reader;
    enum slt_dtype dtype;
    struct slt_config config;      // of what is written
    struct slt_param_info *source; // of what is read
    struct slt_param_info *target;
    size_t sources, targets;
    struct slt_tokenizer *tokenizer; // NULL: there is none
    void *json;                      // the tokenizer as a tokenizer.json
    size_t json_bytes;
    struct slt_output *out;
};

// ---- Values ----

static int put(void *user, const float *values, int64_t count, struct slt_error *err)
{
    struct export *x = user;
    uint16_t half[4096];
    int rc = slt_error_stopped(x->folder.stop, err);
    if (rc != 0)
        return rc;
    if (x->dtype == SLT_F32)
        return slt_output_write(x->out, values, (size_t)count * sizeof *values, err);
    for (int64_t at = 0; rc == 0 && at < count; at += 4096) {
        const int64_t n = count - at < 4096 ? count - at : 4096;
        for (int64_t i = 0; i < n; i++)
            half[i] = x->dtype == SLT_BF16 ? slt_bf16_nearest(values[at + i])
                                           : slt_f16_nearest(values[at + i]);
        rc = slt_output_write(x->out, half, (size_t)n * sizeof *half, err);
    }
    return rc;
}

// An embedding, a norm or the head.
static int copy_param(struct export *x, const struct slt_param_info *p, struct slt_error *err)
{
    int rc = slt_param_expect(x->reader, p, err);
    return rc == 0 ? slt_values_read(x->reader, p->rows * p->cols, put, x, x->folder.stop, err)
                   : rc;
}

// A linear as one matrix, or as its parts in the order of target.
static int write_linear(struct export *x, const struct slt_dense_linear *l, bool merge,
                        struct slt_error *err)
{
    int rc = 0;
    if (merge) {
        float *w = malloc((size_t)(l->out * l->in) * sizeof *w);
        if (w == NULL)
            return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the weights of '%s'",
                                 l->name);
        slt_dense_merge(w, l, SLT_DENSE_ALL);
        rc = put(x, w, l->out * l->in, err);
        free(w);
        return rc;
    }
    if (l->w != NULL)
        rc = put(x, l->w, l->out * l->in, err);
    if (rc == 0 && l->a != NULL && (rc = put(x, l->a, l->rank * l->in, err)) == 0)
        rc = put(x, l->b, l->out * l->rank, err);
    if (rc == 0 && l->values != NULL &&
        (rc = slt_output_write(x->out, l->position, (size_t)l->nnz * sizeof *l->position, err)) ==
            0)
        rc = put(x, l->values, l->nnz, err);
    return rc;
}

// ---- Files ----

static int write_header(struct export *x, struct slt_error *err)
{
    struct slt_tensor_info *infos = calloc(x->targets, sizeof *infos);
    char *header = NULL;
    size_t bytes;
    uint64_t data_bytes;
    if (infos == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the list of tensors");
    for (size_t i = 0; i < x->targets; i++) {
        const int64_t count = x->target[i].rows * x->target[i].cols;
        slt_param_tensor(&infos[i], &x->target[i]);
        infos[i].dtype = x->target[i].role == SLT_ROLE_INDEX ? SLT_I64 : x->dtype;
        infos[i].bytes = (uint64_t)count * slt_dtype_size(infos[i].dtype);
    }
    int rc = slt_safetensors_build(&header, &bytes, &data_bytes, infos, x->targets, err);
    if (rc == 0)
        rc = slt_output_write(x->out, header, bytes, err);
    free(header);
    free(infos);
    return rc;
}

static int write_tensors(struct export *x, bool merge, struct slt_error *err)
{
    int rc = write_header(x, err);
    for (size_t i = 0, taken = 1; rc == 0 && i < x->sources; i += taken, taken = 1) {
        struct slt_dense_linear l;
        if (x->source[i].group < 0) {
            rc = copy_param(x, &x->source[i], err);
        } else if ((rc = slt_dense_read(&l, &taken, &x->source[i], x->reader, err)) == 0) {
            rc = write_linear(x, &l, merge, err);
            slt_dense_free(&l);
        }
    }
    return rc == 0 ? slt_checkpoint_verify(x->reader, err) : rc;
}

static int write_model(struct export *x, bool merge, struct slt_error *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/model.safetensors", x->folder.path);
    int rc = slt_output_open(&x->out, path, x->folder.stop, err);
    if (rc != 0)
        return rc;
    if ((rc = write_tensors(x, merge, err)) != 0) {
        slt_output_abandon(x->out);
        return rc;
    }
    return slt_output_publish(x->out, err);
}

// config.json with the type that the weights have here.
static int write_config(const struct export *x, const char *json, struct slt_error *err)
{
    static const char key[] = "\"torch_dtype\": \"float32\"";
    const char *at = strstr(json, key);
    const char *name = x->dtype == SLT_BF16 ? "bfloat16" : x->dtype == SLT_F16 ? "float16" : NULL;
    const size_t size = strlen(json) + sizeof key;
    char *text = malloc(size);
    if (text == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate config.json");
    if (at == NULL || name == NULL)
        snprintf(text, size, "%s", json);
    else
        snprintf(text, size, "%.*s\"torch_dtype\": \"%s\"%s", (int)(at - json), json, name,
                 at + sizeof key - 1);
    int rc = export_file(&x->folder, "config.json", text, strlen(text), err);
    free(text);
    return rc;
}

// The tokenizer, and what it is for transformers; nothing is written where it is not to be had.
static int open_tokenizer(struct export *x, struct slt_error *err)
{
    const char *member;
    size_t bytes;
    const void *data = slt_checkpoint_tokenizer(x->reader, &bytes, &member);
    const char *name = slt_checkpoint_name(x->reader);
    if (data == NULL)
        return 0;
    int rc = slt_tokenizer_load(&x->tokenizer, name, data, bytes, err);
    if (rc == 0)
        rc = slt_tokenizer_check_size(x->tokenizer, x->config.vocab_size, name, err);
    return rc == 0 ? slt_tokenizer_to_json(&x->json, &x->json_bytes, x->tokenizer, err) : rc;
}

// config.json comes last, so that a directory which has one is whole.
static int write_all(struct export *x, bool merge, struct slt_error *err)
{
    const struct export_folder *f = &x->folder;
    char *json = NULL;
    if (mkdir(f->path, 0777) != 0 && errno != EEXIST)
        return slt_error_errno(err, "cannot make '%s'", f->path);
    int rc = export_clear(f, err);
    if (rc == 0 && x->tokenizer != NULL)
        rc = export_tokenizer(f, x->tokenizer, x->json, x->json_bytes, err);
    if (rc == 0)
        rc = write_model(x, merge, err);
    if (rc == 0)
        rc = export_generation(f, err);
    if (rc == 0)
        rc = export_card(f, slt_checkpoint_config(x->reader), slt_checkpoint_provenance(x->reader),
                         err);
    if (rc == 0 && (rc = slt_config_write(&x->config, &json, err)) == 0)
        rc = write_config(x, json, err);
    free(json);
    return rc;
}

int slt_convert_export(const char *directory, struct slt_checkpoint_reader *reader,
                       enum slt_dtype dtype, bool merge, slt_stop_flag *stop, struct slt_error *err)
{
    struct export x = {.reader = reader, .dtype = dtype, .config = *slt_checkpoint_config(reader)};
    x.folder = (struct export_folder){directory, &x.config, stop};
    x.config.quantization = (struct slt_quantization){0};
    const bool dense = slt_method_is_dense(x.config.method);
    if (!merge && !dense && slt_method_has(x.config.method, SLT_ROLE_WEIGHT))
        return slt_error_set(err, SLT_ERR_RANGE,
                             "a %s model has a frozen matrix besides what it trains: merge them",
                             slt_method_name(x.config.method));
    if (!merge && x.config.layers_count > 0)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "layers that differ have no place in that layout: merge them");
    if (merge && !dense) {
        slt_config_make_full(&x.config);
    } else if (slt_method_has(x.config.method, SLT_ROLE_SPARSE)) {
        // Of which there are not density * out * in.
        if (x.config.support.kind == SLT_SUPPORT_BLOCK ||
            x.config.support.kind == SLT_SUPPORT_CHANNELS)
            return slt_error_set(err, SLT_ERR_RANGE,
                                 "the positions of such supports have no place in that layout: "
                                 "merge them");
        x.config.support = (struct slt_support_spec){SLT_SUPPORT_EXPLICIT, 0, 0};
        x.config.support_crc = 0;
    }
    int rc = slt_config_params(slt_checkpoint_config(reader), &x.source, &x.sources, err);
    if (rc == 0)
        rc = slt_config_params(&x.config, &x.target, &x.targets, err);
    if (rc == 0)
        rc = open_tokenizer(&x, err);
    if (rc == 0)
        rc = write_all(&x, merge, err);
    slt_tokenizer_free(x.tokenizer);
    free(x.json);
    free(x.source);
    free(x.target);
    return rc;
}
