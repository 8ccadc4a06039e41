// Quantizing a checkpoint as a stream. The scales of a tensor stand before its codes, so the codes
// of one tensor are held until the last of its values was seen.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/param_tensors.h"
#include "files/quantized.h"
#include "slt/quantize.h"

struct job {
    const struct slt_quantize_run *run;
    struct slt_checkpoint_reader *reader;
    const char *file;
    struct slt_checkpoint_writer *writer;
    struct slt_param_names names;
    float *values, *stored; // a chunk, and what its codes stand for
};

double slt_quant_rms_error(const struct slt_quant_error *error)
{
    return error->square > 0 ? sqrt(error->error_square / error->square) : 0;
}

static bool is_quantizing(const struct job *j)
{
    return j->run->how.type != SLT_QUANT_NONE;
}

// ---- What there is, and what will be ----

// The tensors must be the parameters of the configuration, all of them, not quantized.
static int check_tensors(const struct job *j, const struct slt_tensor_info *tensors, size_t count,
                         struct slt_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct slt_param_info *param = slt_param_names_find(&j->names, tensors[i].name);
        if (param == NULL)
            return slt_error_set(err, SLT_ERR_FORMAT,
                                 "'%s': tensor '%s' is not one that config.json asks for", j->file,
                                 tensors[i].name);
        int rc = slt_param_check(param, &tensors[i], j->file, err);
        if (rc != 0)
            return rc;
    }
    // No name is there twice, so only one that is missing makes them fewer.
    if (count < j->names.count)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s': only %zu of %zu tensors are there",
                             j->file, count, j->names.count);
    return 0;
}

// Announces the tensors of the output, in the order of the input.
static int announce(struct job *j, const struct slt_tensor_info *tensors, size_t count,
                    struct slt_error *err)
{
    struct slt_tensor_info *infos = calloc(2 * count + 1, sizeof *infos);
    size_t n = 0;
    if (infos == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the list of tensors");
    for (size_t i = 0; i < count; i++) {
        const struct slt_param_info *param = slt_param_names_find(&j->names, tensors[i].name);
        if (is_quantizing(j) && slt_param_is_quantized(param)) {
            slt_quantized_tensors(&infos[n], &j->run->how, param);
            n += 2;
        } else {
            infos[n++] = tensors[i];
        }
    }
    int rc = slt_checkpoint_begin(j->writer, SLT_SECTION_MODEL, NULL, infos, n, err);
    free(infos);
    return rc;
}

static int start(struct job *j, struct slt_output *out, struct slt_error *err)
{
    struct slt_config config = *slt_checkpoint_config(j->reader);
    size_t count, bytes;
    const struct slt_tensor_info *tensors = slt_checkpoint_tensors(j->reader, &count);
    const char *member;
    const void *tokenizer = slt_checkpoint_tokenizer(j->reader, &bytes, &member);
    if (is_quantizing(j) && config.quantization.type != SLT_QUANT_NONE)
        return slt_error_set(err, SLT_ERR_RANGE, "'%s' is quantized already (%s)", j->file,
                             slt_quant_name(config.quantization.type));
    if (!is_quantizing(j) && config.quantization.type == SLT_QUANT_NONE)
        return slt_error_set(err, SLT_ERR_RANGE, "'%s' is not quantized", j->file);
    config.quantization = j->run->how;
    int rc = slt_param_names_make(&j->names, &config, err);
    if (rc != 0 || (rc = check_tensors(j, tensors, count, err)) != 0)
        return rc;
    j->values = malloc((size_t)SLT_QUANT_CHUNK * sizeof *j->values);
    j->stored = malloc((size_t)SLT_QUANT_CHUNK * sizeof *j->stored);
    if (j->values == NULL || j->stored == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a buffer for values");
    rc = slt_checkpoint_create(&j->writer, out, &config, member, tokenizer, bytes, err);
    return rc == 0 ? announce(j, tensors, count, err) : rc;
}

// ---- Tensors ----

static int read_chunk(struct job *j, int64_t count, struct slt_error *err)
{
    int rc = slt_error_stopped(j->run->stop, err);
    if (rc != 0)
        return rc;
    return slt_checkpoint_read(j->reader, j->values, (size_t)count * sizeof *j->values, err);
}

// In the order of the values, so that the sums are the same with any number of threads.
static void add_errors(struct slt_quant_error *e, const float *values, const float *stored,
                       int64_t count)
{
    e->values += count;
    for (int64_t i = 0; i < count; i++) {
        const double x = values[i], error = fabs(x - stored[i]);
        e->square += x * x;
        e->error_square += error * error;
        e->max_error = error > e->max_error ? error : e->max_error;
    }
}

// Fills codes and absmax of a whole tensor.
static int code_tensor(struct job *j, const char *name, unsigned char *codes, float *absmax,
                       int64_t total, struct slt_quant_error *error, struct slt_error *err)
{
    const struct slt_quantization *how = &j->run->how;
    const int64_t chunk = slt_quant_chunk(how);
    for (int64_t at = 0; at < total; at += chunk) {
        const int64_t n = total - at < chunk ? total - at : chunk;
        unsigned char *to = codes + slt_quant_bytes(how, at);
        float *scale = absmax + at / how->block;
        int rc = read_chunk(j, n, err);
        if (rc != 0)
            return rc;
        const int64_t bad = slt_quantize(to, scale, how, j->values, n, j->run->threads);
        if (bad >= 0)
            return slt_error_set(err, SLT_ERR_NUMERIC,
                                 "'%s': tensor '%s' has the value %g at place %lld", j->file, name,
                                 (double)j->values[bad], (long long)(at + bad));
        slt_dequantize(j->stored, how, to, scale, n, j->run->threads);
        add_errors(error, j->values, j->stored, n);
    }
    return 0;
}

static int quantize_tensor(struct job *j, const char *name, int64_t total, struct slt_error *err)
{
    const size_t code_bytes = (size_t)slt_quant_bytes(&j->run->how, total);
    const size_t scale_bytes = (size_t)slt_quant_blocks(&j->run->how, total) * sizeof(float);
    struct slt_quant_error error = {0};
    unsigned char *codes = malloc(code_bytes);
    float *absmax = malloc(scale_bytes);
    int rc;
    if (codes == NULL || absmax == NULL) {
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the %zu bytes of tensor '%s'",
                           code_bytes, name);
        goto out;
    }
    if ((rc = code_tensor(j, name, codes, absmax, total, &error, err)) != 0 ||
        (rc = slt_checkpoint_write(j->writer, absmax, scale_bytes, err)) != 0 ||
        (rc = slt_checkpoint_write(j->writer, codes, code_bytes, err)) != 0)
        goto out;
    if (j->run->on_tensor != NULL)
        rc = j->run->on_tensor(j->run->user, name, &error, err);
out:
    free(codes);
    free(absmax);
    return rc;
}

// The model, then to the input's end, so that it is known to be whole.
static int convert(struct job *j, struct slt_error *err)
{
    enum slt_section section;
    const struct slt_tensor_info *info;
    int next;
    while ((next = slt_checkpoint_next(j->reader, &section, &info, err)) == 1 &&
           section == SLT_SECTION_MODEL) {
        const struct slt_param_info *param = slt_param_names_find(&j->names, info->name);
        const bool quantized = is_quantizing(j) && slt_param_is_quantized(param);
        const int64_t words = (int64_t)(info->bytes / sizeof *j->values);
        int rc = quantized ? quantize_tensor(j, info->name, param->rows * param->cols, err)
                           : slt_values_copy(j->writer, j->reader, words, j->run->stop, err);
        if (rc != 0)
            return rc;
    }
    return next < 0 ? next : slt_checkpoint_verify(j->reader, err);
}

static int finish(struct job *j, struct slt_error *err)
{
    const char *old = slt_checkpoint_provenance(j->reader);
    char options[100] = "{\"dequantize\": true}", *text = NULL;
    int rc = 0;
    if (is_quantizing(j))
        snprintf(options, sizeof options, "{\"type\": \"%s\", \"block\": %lld}",
                 slt_quant_name(j->run->how.type), (long long)j->run->how.block);
    if (j->run->tool != NULL)
        rc = slt_provenance_add(&text, old, j->run->tool, options, err);
    if (rc == 0) {
        rc = slt_checkpoint_finish(j->writer, text != NULL ? text : old, err);
        j->writer = NULL;
    }
    free(text);
    return rc;
}

int slt_checkpoint_quantize(struct slt_output *out, struct slt_checkpoint_reader *reader,
                            const struct slt_quantize_run *run, struct slt_error *err)
{
    struct job j = {.run = run, .reader = reader, .file = slt_checkpoint_name(reader)};
    int rc = start(&j, out, err);
    if (rc == 0)
        rc = convert(&j, err);
    if (rc == 0)
        rc = finish(&j, err);
    slt_checkpoint_abandon(j.writer);
    slt_param_names_free(&j.names);
    free(j.values);
    free(j.stored);
    return rc;
}
