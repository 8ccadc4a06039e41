// Weights from a checkpoint, and host access to tensors.
#include <stdlib.h>
#include <string.h>

#include "core/bfloat.h"
#include "model/model.h"

#define CHUNK ((int64_t)1 << 18) // elements that pass through host memory at once

#define PIECE 4096 // BF16 elements that are converted at once on the host

void slt_tensor_write(struct slt_model *m, struct slt_tensor t, int64_t first, const void *values,
                      int64_t count)
{
    const uint64_t size = slt_dtype_size(t.dtype), at = t.offset + (uint64_t)first * size;
    const float *from = values;
    uint16_t rounded[PIECE];
    if (t.dtype != SLT_BF16) {
        m->ops->write(m->ctx, t.buffer, at, values, (uint64_t)count * size);
        return;
    }
    for (int64_t i = 0; i < count; i += PIECE) {
        const int64_t n = count - i < PIECE ? count - i : PIECE;
        for (int64_t k = 0; k < n; k++)
            rounded[k] = slt_bf16_nearest(from[i + k]);
        m->ops->write(m->ctx, t.buffer, at + (uint64_t)i * size, rounded, (uint64_t)n * size);
    }
}

void slt_tensor_read(struct slt_model *m, void *values, struct slt_tensor t, int64_t first,
                     int64_t count)
{
    const uint64_t size = slt_dtype_size(t.dtype), at = t.offset + (uint64_t)first * size;
    float *to = values;
    uint16_t stored[PIECE];
    if (t.dtype != SLT_BF16) {
        m->ops->read(m->ctx, values, t.buffer, at, (uint64_t)count * size);
        return;
    }
    for (int64_t i = 0; i < count; i += PIECE) {
        const int64_t n = count - i < PIECE ? count - i : PIECE;
        m->ops->read(m->ctx, stored, t.buffer, at + (uint64_t)i * size, (uint64_t)n * size);
        for (int64_t k = 0; k < n; k++)
            to[i + k] = slt_bf16_value(stored[k]);
    }
}

static const struct slt_param *find_param(const struct slt_model *m, const char *name, size_t hint)
{
    // Our own files are in the order of the parameters, so that the hint nearly always hits.
    if (hint < m->param_count && strcmp(m->param[hint].info.name, name) == 0)
        return &m->param[hint];
    for (size_t i = 0; i < m->param_count; i++)
        if (strcmp(m->param[i].info.name, name) == 0)
            return &m->param[i];
    return NULL;
}

static int check_tensor(const struct slt_checkpoint_reader *reader, const struct slt_param_info *p,
                        const struct slt_tensor_info *t, struct slt_error *err)
{
    const char *file = slt_checkpoint_name(reader);
    if (t->dtype != SLT_F32)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s': tensor '%s' has type %s, not F32", file,
                             t->name, slt_dtype_name(t->dtype));
    const int dims = p->is_vector ? 1 : 2;
    const bool fits =
        t->dims == dims && t->shape[dims - 1] == p->cols && (dims == 1 || t->shape[0] == p->rows);
    if (!fits)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s': tensor '%s' does not have the shape (%lld, %lld) that "
                             "config.json asks for",
                             file, t->name, (long long)p->rows, (long long)p->cols);
    return 0;
}

static int load_tensor(struct slt_model *m, const struct slt_param *p,
                       struct slt_checkpoint_reader *reader, void *chunk, struct slt_error *err)
{
    const int64_t total = p->info.rows * p->info.cols;
    for (int64_t at = 0; at < total; at += CHUNK) {
        const int64_t count = total - at < CHUNK ? total - at : CHUNK;
        int rc = slt_checkpoint_read(reader, chunk, (size_t)count * sizeof(float), err);
        if (rc != 0)
            return rc;
        slt_tensor_write(m, m->part[p->part].value, p->first + at, chunk, count);
    }
    return 0;
}

int slt_model_load(struct slt_model *m, struct slt_checkpoint_reader *reader, int *more,
                   struct slt_error *err)
{
    const char *file = slt_checkpoint_name(reader);
    bool *seen = calloc(m->param_count, sizeof *seen);
    void *chunk = malloc((size_t)CHUNK * sizeof(float));
    int rc = 0;
    if (seen == NULL || chunk == NULL) {
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a buffer for reading '%s'", file);
        goto out;
    }
    enum slt_section section;
    const struct slt_tensor_info *t;
    size_t count = 0;
    int next;
    while ((next = slt_checkpoint_next(reader, &section, &t, err)) == 1 &&
           section == SLT_SECTION_MODEL) {
        const struct slt_param *p = find_param(m, t->name, count);
        if (p == NULL || seen[p - m->param]) {
            rc = slt_error_set(err, SLT_ERR_FORMAT,
                               "'%s': tensor '%s' is not one that config.json asks for", file,
                               t->name);
            goto out;
        }
        if ((rc = check_tensor(reader, &p->info, t, err)) != 0 ||
            (rc = load_tensor(m, p, reader, chunk, err)) != 0)
            goto out;
        seen[p - m->param] = true;
        count++;
    }
    if (next < 0) {
        rc = next;
        goto out;
    }
    for (size_t i = 0; count < m->param_count && i < m->param_count; i++) {
        if (!seen[i]) {
            rc = slt_error_set(err, SLT_ERR_FORMAT, "'%s': tensor '%s' is missing", file,
                               m->param[i].info.name);
            goto out;
        }
    }
    *more = next;
    rc = m->ops->synchronize(m->ctx, err);
out:
    free(seen);
    free(chunk);
    return rc;
}
