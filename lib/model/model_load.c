// Weights from a checkpoint, and host access to tensors.
#include <stdlib.h>
#include <string.h>

#include "core/bfloat.h"
#include "core/least.h"
#include "files/param_tensors.h"
#include "model/model.h"
#include "model/support.h"
#include "slt/quantize.h"

#define RUN ((int64_t)1 << 18) // BF16 elements of one copy to the device
#define FEW 4096               // that are converted at once on the host

void slt_tensor_write(struct slt_model *m, struct slt_tensor t, int64_t first, const void *values,
                      int64_t count)
{
    const uint64_t size = slt_dtype_size(t.dtype), at = t.offset + (uint64_t)first * size;
    const float *from = values;
    if (t.dtype != SLT_BF16) {
        m->ops->write(m->ctx, t.buffer, at, values, (uint64_t)count * size);
        return;
    }
    uint16_t few[FEW], *many = count > FEW ? malloc((size_t)slt_least(count, RUN) * size) : NULL;
    uint16_t *rounded = many != NULL ? many : few;
    const int64_t run = many != NULL ? RUN : FEW;
    for (int64_t i = 0; i < count; i += run) {
        const int64_t n = slt_least(count - i, run);
        for (int64_t k = 0; k < n; k++)
            rounded[k] = slt_bf16_nearest(from[i + k]);
        m->ops->write(m->ctx, t.buffer, at + (uint64_t)i * size, rounded, (uint64_t)n * size);
    }
    free(many);
}

// BF16 comes in one copy, to the second half of where the values go, and is spread out from there.
void slt_tensor_read(struct slt_model *m, void *values, struct slt_tensor t, int64_t first,
                     int64_t count)
{
    const uint64_t size = slt_dtype_size(t.dtype), at = t.offset + (uint64_t)first * size;
    if (t.dtype != SLT_BF16) {
        m->ops->read(m->ctx, values, t.buffer, at, (uint64_t)count * size);
        return;
    }
    float *to = values;
    const char *stored = (char *)values + (uint64_t)count * size;
    uint16_t few[FEW];
    m->ops->read(m->ctx, (char *)values + (uint64_t)count * size, t.buffer, at,
                 (uint64_t)count * size);
    for (int64_t i = 0; i < count; i += FEW) {
        const int64_t n = slt_least(count - i, FEW);
        memcpy(few, stored + (uint64_t)i * size, (uint64_t)n * size);
        for (int64_t k = 0; k < n; k++)
            to[i + k] = slt_bf16_value(few[k]);
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

// A parameter that is being loaded, and where its next value goes in its part.
struct loading {
    struct slt_model *model;
    const struct slt_param *param;
    int64_t at;
};

static int take_values(void *user, const float *values, int64_t count, struct slt_error *err)
{
    struct loading *l = user;
    (void)err;
    slt_tensor_write(l->model, l->model->part[l->param->part].value, l->at, values, count);
    l->at += count;
    return 0;
}

// The codes of a quantized tensor, and the scales of its blocks.
static int load_codes(struct slt_model *m, const struct slt_param *p,
                      struct slt_checkpoint_reader *reader, struct slt_error *err)
{
    enum { CHUNK = 1 << 20 };
    const struct slt_tensor t = m->part[p->part].value;
    const int64_t count = p->info.rows * p->info.cols;
    const float *absmax = NULL;
    char *codes = malloc(CHUNK);
    int rc = codes != NULL ? 0
                           : slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a buffer for '%s'",
                                           slt_checkpoint_name(reader));
    for (int64_t at = 0, n; rc == 0 && at < count; at += n) {
        n = slt_least(count - at, CHUNK);
        if ((rc = slt_checkpoint_read_codes(reader, codes, (size_t)n, &absmax, err)) == 0)
            m->ops->write(m->ctx, t.buffer, t.offset + (uint64_t)(p->first + at), codes,
                          (uint64_t)n);
    }
    const uint64_t first = (uint64_t)(p->first / t.block) * sizeof *absmax;
    const int64_t blocks = slt_quant_blocks(&m->config.quantization, count);
    if (rc == 0)
        m->ops->write(m->ctx, t.buffer, t.absmax + first, absmax,
                      (uint64_t)blocks * sizeof *absmax);
    free(codes);
    return rc;
}

static int load_tensor(struct slt_model *m, const struct slt_param *p,
                       struct slt_checkpoint_reader *reader, struct slt_error *err)
{
    struct loading l = {.model = m, .param = p, .at = p->first};
    if (m->part[p->part].value.dtype == SLT_I8)
        return load_codes(m, p, reader, err);
    return slt_values_read(reader, p->info.rows * p->info.cols, take_values, &l, NULL, err);
}

// ---- Explicit supports ----

// The first row of a parameter's linear in its stacked group.
static int64_t first_row(const struct slt_group *g, const struct slt_param *p)
{
    int64_t row = 0;
    for (int i = 0; i < p->info.member; i++)
        row += g->shape.out[i];
    return row;
}

// A linear's rows to its place in the group's, and from there; row_start counts the positions of
// the members before it too.
static void write_rows(struct slt_model *m, const struct slt_param *p,
                       const struct slt_support_rows *rows)
{
    const struct slt_group *g = &m->layer[p->info.layer].group[p->info.group];
    const struct slt_csr *s = &g->support;
    const uint64_t width = slt_dtype_size(s->column.dtype);
    m->ops->write(m->ctx, s->row_start.buffer,
                  s->row_start.offset + (uint64_t)first_row(g, p) * sizeof *rows->row_start,
                  rows->row_start, ((uint64_t)p->info.out + 1) * sizeof *rows->row_start);
    for (int64_t row = p->info.out; row < g->shape.out[p->info.member]; row++)
        m->ops->write(m->ctx, s->row_start.buffer,
                      s->row_start.offset +
                          (uint64_t)(first_row(g, p) + row + 1) * sizeof *rows->row_start,
                      rows->row_start + p->info.out, sizeof *rows->row_start);
    m->ops->write(m->ctx, s->column.buffer, s->column.offset + (uint64_t)p->first * width,
                  rows->column, (uint64_t)p->info.cols * width);
}

static void read_rows(struct slt_model *m, const struct slt_param *p, struct slt_support_rows *rows)
{
    const struct slt_group *g = &m->layer[p->info.layer].group[p->info.group];
    const struct slt_csr *s = &g->support;
    const uint64_t width = slt_dtype_size(s->column.dtype);
    m->ops->read(m->ctx, rows->row_start, s->row_start.buffer,
                 s->row_start.offset + (uint64_t)first_row(g, p) * sizeof *rows->row_start,
                 ((uint64_t)p->info.out + 1) * sizeof *rows->row_start);
    m->ops->read(m->ctx, rows->column, s->column.buffer,
                 s->column.offset + (uint64_t)p->first * width, (uint64_t)p->info.cols * width);
}

static struct slt_support support_of(const struct slt_model *m, const struct slt_param *p)
{
    return slt_config_support(&m->config, &p->info.form, p->info.name, p->info.out, p->info.in);
}

int slt_positions_read(struct slt_model *m, int64_t *position, const struct slt_param *p,
                       struct slt_error *err)
{
    const struct slt_support support = support_of(m, p);
    struct slt_support_rows rows;
    int rc = slt_support_rows_create(&rows, &support, err);
    if (rc == 0) {
        read_rows(m, p, &rows);
        for (int64_t i = 0; i <= support.out; i++)
            rows.row_start[i] -= p->first;
        slt_support_flatten(position, &rows, &support);
    }
    slt_support_rows_free(&rows);
    return rc;
}

// Reads the positions of a linear and hands them to its group.
static int load_positions(struct slt_model *m, const struct slt_param *p,
                          struct slt_checkpoint_reader *reader, struct slt_error *err)
{
    const struct slt_support support = support_of(m, p);
    struct slt_support_rows rows = {0};
    int64_t *position;
    int rc = slt_positions_load(&position, &p->info, reader, err);
    if (rc == 0 && (rc = slt_support_rows_create(&rows, &support, err)) == 0)
        rc = slt_support_take(&rows, &support, position, p->info.cols, err);
    if (rc == 0) {
        for (int64_t i = 0; i <= support.out; i++)
            rows.row_start[i] += p->first;
        write_rows(m, p, &rows);
    } else {
        slt_error_prefix(err, rc, "'%s'", slt_checkpoint_name(reader));
    }
    free(position);
    slt_support_rows_free(&rows);
    return rc;
}

int slt_model_load(struct slt_model *m, struct slt_checkpoint_reader *reader, int *more,
                   struct slt_error *err)
{
    const char *file = slt_checkpoint_name(reader);
    bool *seen = calloc(m->param_count, sizeof *seen);
    int rc = 0;
    if (seen == NULL) {
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
        if ((rc = slt_param_check(&p->info, t, file, err)) != 0 ||
            (rc = p->info.role == SLT_ROLE_INDEX ? load_positions(m, p, reader, err)
                                                 : load_tensor(m, p, reader, err)) != 0)
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
    return rc;
}
