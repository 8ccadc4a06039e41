// What a model needs that comes from no file: the positions of supports, which are drawn, and the
// table of rotations.
#include <math.h>
#include <stdlib.h>

#include "config/rope.h"
#include "model/bands.h"
#include "model/layout.h"
#include "model/support.h"

// Draws the supports of a group's members below each other, as those of one linear; crc (members).
static int draw_members(const struct slt_support_rows *stacked, uint32_t *crc,
                        const struct slt_model *m, int64_t layer, int kind, struct slt_error *err)
{
    const struct slt_group *g = &m->layer[layer].group[kind];
    const struct slt_form form = slt_config_form(&m->config, layer, kind);
    const size_t width = slt_dtype_size(g->support.column.dtype);
    int64_t *row_start = stacked->row_start; // of the member's first row
    int64_t at = 0;                          // positions before the member's
    char name[100];
    for (int i = 0; i < g->shape.members; i++) {
        const struct slt_support_rows rows = {row_start, (char *)stacked->column + at * width};
        slt_linear_name(name, sizeof name, &m->config, (int32_t)layer, kind, i);
        const struct slt_support support =
            slt_config_support(&m->config, &form, name, g->own[i], g->shape.in);
        int rc = slt_support_draw(&rows, &support, err);
        if (rc != 0)
            return rc;
        crc[i] = slt_support_linear_crc(&rows, &support);
        for (int64_t row = 0; row <= support.out; row++)
            row_start[row] += at;
        row_start += support.out;
        at = *row_start;
        for (int64_t row = support.out; row < g->shape.out[i]; row++)
            *++row_start = at;
    }
    return 0;
}

static void write_bands(struct slt_model *m, const struct slt_csr *s, const struct slt_bands *bands)
{
    const struct slt_tensor *row = &s->band_row;
    m->ops->write(m->ctx, row->buffer, row->offset, bands->row,
                  (uint64_t)row->cols * sizeof *bands->row);
    m->ops->write(m->ctx, s->group_start.buffer, s->group_start.offset, bands->start,
                  ((uint64_t)bands->groups + 1) * sizeof *bands->start);
    m->ops->write(m->ctx, s->group_part.buffer, s->group_part.offset, bands->part,
                  (uint64_t)bands->parts * 3 * sizeof *bands->part);
}

// Draws a group's stacked support and writes it to the device; crc (members).
static int draw_group(struct slt_model *m, int64_t layer, int kind, uint32_t *crc,
                      struct slt_error *err)
{
    const struct slt_csr *s = &m->layer[layer].group[kind].support;
    const size_t width = slt_dtype_size(s->column.dtype);
    const struct slt_support_rows rows = {malloc(((size_t)s->rows + 1) * sizeof *rows.row_start),
                                          malloc(((size_t)s->nnz + 1) * width)};
    struct slt_bands bands = {0};
    int rc = rows.row_start != NULL && rows.column != NULL
                 ? draw_members(&rows, crc, m, layer, kind, err)
                 : slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a support of %lld positions",
                                 (long long)s->nnz);
    if (rc == 0 && slt_csr_has_bands(s))
        rc = slt_bands_find(&bands, &rows, s->rows, s->cols, err);
    if (rc == 0) {
#pragma omp critical(slt_model_write)
        {
            m->ops->write(m->ctx, s->row_start.buffer, s->row_start.offset, rows.row_start,
                          ((uint64_t)s->rows + 1) * sizeof *rows.row_start);
            m->ops->write(m->ctx, s->column.buffer, s->column.offset, rows.column,
                          (uint64_t)s->nnz * width);
            if (slt_csr_has_bands(s))
                write_bands(m, s, &bands);
        }
    }
    slt_bands_free(&bands);
    free(rows.row_start);
    free(rows.column);
    return rc;
}

int slt_model_draw_supports(struct slt_model *m, struct slt_error *err)
{
    const int64_t groups = slt_model_groups(m);
    uint32_t(*crc)[SLT_GROUP_MEMBERS] = calloc((size_t)groups, sizeof *crc);
    if (crc == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the check of the supports");
    int rc = 0;
#pragma omp parallel for schedule(dynamic) num_threads(m->threads)
    for (int64_t i = 0; i < groups; i++) {
        struct slt_error mine;
        if (!slt_group_has_support(slt_model_group(m, i)))
            continue;
        int one = draw_group(m, i / SLT_GROUP_KINDS, (int)(i % SLT_GROUP_KINDS), crc[i], &mine);
        if (one != 0) {
#pragma omp critical(slt_model_error)
            rc = slt_error_copy(err, &mine);
        }
    }
    uint32_t sum = 0;
    for (int64_t i = 0; i < groups; i++) {
        const struct slt_group *g = slt_model_group(m, i);
        for (int k = 0; slt_group_has_support(g) && k < g->shape.members; k++)
            sum = slt_support_crc_add(sum, crc[i][k]);
    }
    free(crc);
    if (rc == 0 && sum != m->config.support_crc)
        rc = slt_error_set(err, SLT_ERR_MISMATCH,
                           "the positions drawn from seed %llu have CRC-32 %08x, but the "
                           "checkpoint's have %08x",
                           (unsigned long long)m->config.seed, sum, m->config.support_crc);
    return rc;
}

// rope (head_dim, positions): cos rows, then sin rows, computed in double. All that scaling changes
// is here: the operations take the table as it is.
int slt_model_write_rope(struct slt_model *m, struct slt_error *err)
{
    const int64_t half = m->config.head_dim / 2, positions = m->rope.cols;
    const size_t size = slt_dtype_size(m->dtype);
    void *values = malloc((size_t)(2 * half * positions) * size);
    if (values == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the table of rotations");
    for (int64_t i = 0; i < 2 * half * positions; i++) {
        const double frequency = slt_rope_frequency(&m->config, i / positions % half);
        const double angle = (double)(i % positions) * frequency;
        const double value = i < half * positions ? cos(angle) : sin(angle);
        if (m->dtype == SLT_F64)
            ((double *)values)[i] = value;
        else
            ((float *)values)[i] = (float)value;
    }
    m->ops->write(m->ctx, m->rope.buffer, m->rope.offset, values,
                  (uint64_t)(2 * half * positions) * size);
    int rc = m->ops->synchronize(m->ctx, err);
    free(values);
    return rc;
}
