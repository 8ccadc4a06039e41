// Parameters and tensors: what one is as the other, and whether they agree.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/least.h"
#include "files/param_tensors.h"

#define VALUES_CHUNK ((int64_t)1 << 18) // that are in memory at once

void slt_param_tensor(struct slt_tensor_info *tensor, const struct slt_param_info *p)
{
    *tensor = (struct slt_tensor_info){.dtype = slt_param_dtype(p), .dims = p->is_vector ? 1 : 2};
    _Static_assert(sizeof tensor->name == sizeof p->name, "a parameter's name is its tensor's");
    memcpy(tensor->name, p->name, sizeof tensor->name);
    tensor->shape[0] = p->is_vector ? p->cols : p->rows;
    tensor->shape[1] = p->is_vector ? 0 : p->cols;
    tensor->bytes = (uint64_t)(p->rows * p->cols) * slt_dtype_size(tensor->dtype);
}

bool slt_tensors_match(const struct slt_tensor_info *a, const struct slt_tensor_info *b)
{
    bool match = strcmp(a->name, b->name) == 0 && a->dtype == b->dtype && a->dims == b->dims;
    for (int d = 0; match && d < a->dims; d++)
        match = a->shape[d] == b->shape[d];
    return match;
}

int slt_param_check_shape(const struct slt_param_info *p, const struct slt_tensor_info *t,
                          const char *file, struct slt_error *err)
{
    const int dims = p->is_vector ? 1 : 2;
    if (t->dims == dims && t->shape[dims - 1] == p->cols && (dims == 1 || t->shape[0] == p->rows))
        return 0;
    char shape[60];
    if (p->is_vector)
        snprintf(shape, sizeof shape, "%lld", (long long)p->cols);
    else
        snprintf(shape, sizeof shape, "%lld, %lld", (long long)p->rows, (long long)p->cols);
    return slt_error_set(err, SLT_ERR_FORMAT,
                         "'%s': tensor '%s' does not have the shape (%s) that config.json asks for",
                         file, p->name, shape);
}

int slt_param_check(const struct slt_param_info *p, const struct slt_tensor_info *t,
                    const char *file, struct slt_error *err)
{
    if (t->dtype != slt_param_dtype(p))
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s': tensor '%s' has type %s, not %s", file,
                             p->name, slt_dtype_name(t->dtype), slt_dtype_name(slt_param_dtype(p)));
    return slt_param_check_shape(p, t, file, err);
}

int slt_param_expect(struct slt_checkpoint_reader *reader, const struct slt_param_info *param,
                     struct slt_error *err)
{
    enum slt_section section;
    const struct slt_tensor_info *t = NULL;
    const int next = slt_checkpoint_next(reader, &section, &t, err);
    if (next < 0)
        return next;
    if (next == 0 || section != SLT_SECTION_MODEL || strcmp(t->name, param->name) != 0)
        return slt_error_set(err, SLT_ERR_MISMATCH, "'%s' has no tensor '%s' where it is due",
                             slt_checkpoint_name(reader), param->name);
    return slt_param_check(param, t, slt_checkpoint_name(reader), err);
}

// ---- Values ----

int slt_values_read(struct slt_checkpoint_reader *reader, int64_t count, slt_values_take *take,
                    void *user, slt_stop_flag *stop, struct slt_error *err)
{
    const int64_t most = slt_least(count, VALUES_CHUNK);
    float *chunk = malloc((size_t)most * sizeof *chunk + 1);
    int rc = 0;
    if (chunk == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a buffer for reading '%s'",
                             slt_checkpoint_name(reader));
    for (int64_t at = 0, n; rc == 0 && at < count; at += n) {
        n = slt_least(count - at, most);
        if ((rc = slt_error_stopped(stop, err)) == 0 &&
            (rc = slt_checkpoint_read(reader, chunk, (size_t)n * sizeof *chunk, err)) == 0)
            rc = take(user, chunk, n, err);
    }
    free(chunk);
    return rc;
}

static int write_values(void *user, const float *values, int64_t count, struct slt_error *err)
{
    return slt_checkpoint_write(user, values, (size_t)count * sizeof *values, err);
}

int slt_values_copy(struct slt_checkpoint_writer *writer, struct slt_checkpoint_reader *reader,
                    int64_t count, slt_stop_flag *stop, struct slt_error *err)
{
    return slt_values_read(reader, count, write_values, writer, stop, err);
}

// ---- Positions ----

int slt_positions_load(int64_t **position, const struct slt_param_info *param,
                       struct slt_checkpoint_reader *reader, struct slt_error *err)
{
    const size_t n = (size_t)param->cols, width = slt_dtype_size(slt_param_dtype(param));
    int64_t *wide = malloc(n * sizeof *wide + 1);
    int rc = wide == NULL
                 ? slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the %zu positions of '%s'",
                                 n, param->name)
                 : slt_checkpoint_read(reader, wide, n * width, err);
    if (rc != 0) {
        free(wide);
        wide = NULL;
    }
    // In place from the end on, where a narrow value lies at or before its wide one.
    for (size_t i = n; rc == 0 && width == 4 && i-- > 0;) {
        int32_t narrow;
        memcpy(&narrow, (const char *)wide + i * width, width);
        wide[i] = narrow;
    }
    *position = wide;
    return rc;
}

int slt_positions_store(struct slt_checkpoint_writer *writer, const int64_t *position,
                        const struct slt_param_info *param, struct slt_error *err)
{
    enum { CHUNK = 4096 };
    int32_t narrow[CHUNK];
    const int64_t n = param->cols;
    if (slt_param_dtype(param) == SLT_I64)
        return slt_checkpoint_write(writer, position, (size_t)n * sizeof *position, err);
    for (int64_t at = 0; at < n; at += CHUNK) {
        const int64_t count = n - at < CHUNK ? n - at : CHUNK;
        for (int64_t i = 0; i < count; i++)
            narrow[i] = (int32_t)position[at + i];
        int rc = slt_checkpoint_write(writer, narrow, (size_t)count * sizeof *narrow, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

// ---- A new checkpoint ----

int slt_checkpoint_start(struct slt_checkpoint_writer **writer, struct slt_param_info **params,
                         size_t *count, struct slt_output *out, const struct slt_config *config,
                         struct slt_tokenizer_file tokenizer, struct slt_error *err)
{
    struct slt_checkpoint_writer *w = NULL;
    struct slt_param_info *list;
    size_t n;
    *params = NULL;
    int rc = slt_config_params(config, &list, &n, err);
    if (rc != 0)
        return rc;
    struct slt_tensor_info *infos = calloc(n, sizeof *infos);
    if (infos == NULL)
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the list of %zu tensors", n);
    for (size_t i = 0; rc == 0 && i < n; i++)
        slt_param_tensor(&infos[i], &list[i]);
    if (rc == 0 && (rc = slt_checkpoint_create(&w, out, config, tokenizer.member, tokenizer.data,
                                               tokenizer.bytes, err)) == 0)
        rc = slt_checkpoint_begin(w, SLT_SECTION_MODEL, NULL, infos, n, err);
    free(infos);
    if (rc != 0) {
        slt_checkpoint_abandon(w);
        free(list);
        return rc;
    }
    *writer = w;
    *params = list;
    *count = n;
    return 0;
}
