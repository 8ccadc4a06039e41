// Drawing supports; slt/support.h defines the draw.
#include <stdlib.h>
#include <string.h>

#include "config/support_spec.h"
#include "model/support.h"
#include "slt/digest.h"
#include "slt/random.h"

struct slt_support slt_config_support(const struct slt_config *config, const struct slt_form *form,
                                      const char *name, int64_t out, int64_t in)
{
    return (struct slt_support){.name = name,
                                .out = out,
                                .in = in,
                                .spec = form->support,
                                .density = form->density,
                                .seed = config->seed};
}

int slt_support_rows_create(struct slt_support_rows *rows, const struct slt_support *s,
                            struct slt_error *err)
{
    const int64_t nnz = slt_support_count(&s->spec, s->density, s->out, s->in);
    rows->row_start = malloc(((size_t)s->out + 1) * sizeof *rows->row_start);
    rows->column = malloc((size_t)nnz * slt_support_column_size(s->in) + 1);
    if (rows->row_start != NULL && rows->column != NULL)
        return 0;
    return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the support of '%s'", s->name);
}

void slt_support_rows_free(struct slt_support_rows *rows)
{
    free(rows->row_start);
    free(rows->column);
}

static void put_column(const struct slt_support_rows *rows, int64_t in, int64_t i, int64_t column)
{
    if (in <= 65536)
        ((uint16_t *)rows->column)[i] = (uint16_t)column;
    else
        ((int32_t *)rows->column)[i] = (int32_t)column;
}

// ---- The draw ----

// count (rows): how many of the nnz cells fall into each row.
static void draw_counts(int64_t *count, const struct slt_support_grid *g, struct slt_random_key key)
{
    uint32_t word[4];
    int64_t accepted = 0;
    memset(count, 0, (size_t)g->rows * sizeof *count);
    for (uint64_t n = 0; accepted < g->nnz; n++) {
        if (n % 2 == 0)
            slt_random_block(word, key, n / 2, UINT64_MAX);
        const uint64_t row = ((uint64_t)word[2 * (n % 2)] * (uint64_t)g->rows) >> 32;
        const uint64_t slot = ((uint64_t)word[2 * (n % 2) + 1] * (uint64_t)g->cols) >> 32;
        if ((int64_t)slot >= count[row]) {
            count[row]++;
            accepted++;
        }
    }
}

// The same for rows with equally many: those with one more are spread over them.
static void share_counts(int64_t *count, const struct slt_support_grid *g)
{
    const int64_t each = g->rows > 0 ? g->nnz / g->rows : 0, rest = g->nnz - each * g->rows;
    for (int64_t row = 0; row < g->rows; row++)
        count[row] = each + (row + 1) * rest / g->rows - row * rest / g->rows;
}

// Sets count bits of map (cols bits, all clear) for a row of the grid.
static void draw_row(uint64_t *map, int64_t count, const struct slt_support_grid *g, int64_t row,
                     struct slt_random_key key)
{
    uint32_t word[4];
    for (uint64_t t = 0; count > 0; t++) {
        if (t % 4 == 0)
            slt_random_block(word, key, t / 4, (uint64_t)row);
        const uint64_t column = ((uint64_t)word[t % 4] * (uint64_t)g->cols) >> 32;
        const uint64_t bit = (uint64_t)1 << (column % 64);
        if (!(map[column / 64] & bit)) {
            map[column / 64] |= bit;
            count--;
        }
    }
}

// Appends the columns of a row as positions from number at on, and clears the map. Returns the
// number after the last one.
static int64_t take_row(const struct slt_support_rows *rows, int64_t in, int64_t at, uint64_t *map,
                        const struct slt_support_grid *g, bool clear)
{
    for (int64_t i = 0; i < (g->cols + 63) / 64; i++) {
        for (uint64_t bits = map[i]; bits != 0; bits &= bits - 1) {
            const int64_t cell = i * 64 + __builtin_ctzll(bits);
            for (int64_t c = 0; c < g->block_cols; c++, at++)
                put_column(rows, in, at, cell * g->block_cols + c);
        }
        if (clear)
            map[i] = 0;
    }
    return at;
}

int slt_support_draw(const struct slt_support_rows *rows, const struct slt_support *s,
                     struct slt_error *err)
{
    const struct slt_support_grid g = slt_support_grid(&s->spec, s->density, s->out, s->in);
    const struct slt_random_key key = slt_random_key("slt-support-1", s->name, s->seed);
    int64_t *count = calloc((size_t)g.rows + 1, sizeof *count);
    uint64_t *map = calloc((size_t)g.cols / 64 + 1, sizeof *map);
    int rc = 0;
    if (count == NULL || map == NULL) {
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the support of '%s'", s->name);
        goto out;
    }
    if (s->spec.kind == SLT_SUPPORT_ROWS)
        share_counts(count, &g);
    else if (g.rows > 0 && g.cols > 0)
        draw_counts(count, &g, key);
    int64_t at = 0;
    rows->row_start[0] = 0;
    for (int64_t row = 0; row < s->out; row++) {
        const int64_t cell = row / g.block_rows;
        if (cell < g.rows) {
            if (row % g.block_rows == 0)
                draw_row(map, count[cell], &g, cell, key);
            at = take_row(rows, s->in, at, map, &g, row % g.block_rows == g.block_rows - 1);
        }
        rows->row_start[row + 1] = at;
    }
out:
    free(count);
    free(map);
    return rc;
}

// ---- Rows and positions ----

int slt_support_take(const struct slt_support_rows *rows, const struct slt_support *s,
                     const int64_t *position, int64_t count, struct slt_error *err)
{
    int64_t at = 0;
    rows->row_start[0] = 0;
    for (int64_t row = 0; row < s->out; row++) {
        for (; at < count && position[at] < (row + 1) * s->in; at++) {
            if (position[at] < 0 || (at > 0 && position[at] <= position[at - 1]))
                return slt_error_set(err, SLT_ERR_FORMAT,
                                     "position %lld of the support of '%s' is %lld, which does not "
                                     "ascend",
                                     (long long)at, s->name, (long long)position[at]);
            put_column(rows, s->in, at, position[at] - row * s->in);
        }
        rows->row_start[row + 1] = at;
    }
    if (at < count)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "position %lld of the support of '%s' is %lld, beyond its %lld x %lld "
                             "elements",
                             (long long)at, s->name, (long long)position[at], (long long)s->out,
                             (long long)s->in);
    return 0;
}

void slt_support_flatten(int64_t *position, const struct slt_support_rows *rows,
                         const struct slt_support *s)
{
    for (int64_t row = 0; row < s->out; row++)
        for (int64_t i = rows->row_start[row]; i < rows->row_start[row + 1]; i++)
            position[i] = row * s->in + slt_support_column(rows, s->in, i);
}

int slt_support_positions(int64_t *position, const struct slt_support *s, struct slt_error *err)
{
    struct slt_support_rows rows;
    int rc = slt_support_rows_create(&rows, s, err);
    if (rc == 0 && (rc = slt_support_draw(&rows, s, err)) == 0)
        slt_support_flatten(position, &rows, s);
    slt_support_rows_free(&rows);
    return rc;
}

// ---- Checks ----

uint32_t slt_support_linear_crc(const struct slt_support_rows *rows, const struct slt_support *s)
{
    unsigned char byte[8 * 512];
    size_t filled = 0;
    uint32_t crc = 0;
    for (int64_t row = 0; row < s->out; row++) {
        for (int64_t i = rows->row_start[row]; i < rows->row_start[row + 1]; i++) {
            const int64_t flat = row * s->in + slt_support_column(rows, s->in, i);
            for (int b = 0; b < 8; b++)
                byte[filled++] = (unsigned char)(flat >> (8 * b));
            if (filled == sizeof byte) {
                crc = slt_crc32(crc, byte, filled);
                filled = 0;
            }
        }
    }
    return slt_crc32(crc, byte, filled);
}

uint32_t slt_support_crc_add(uint32_t crc, uint32_t linear_crc)
{
    unsigned char byte[4];
    for (int b = 0; b < 4; b++)
        byte[b] = (unsigned char)(linear_crc >> (8 * b));
    return slt_crc32(crc, byte, sizeof byte);
}

static int crc_linear(uint32_t *crc, const struct slt_config *c, const struct slt_param_info *p,
                      struct slt_error *err)
{
    char name[100];
    struct slt_support_rows rows;
    slt_linear_name(name, sizeof name, c, p->layer, p->group, p->member);
    const struct slt_support s = slt_config_support(c, &p->form, name, p->out, p->in);
    int rc = slt_support_rows_create(&rows, &s, err);
    if (rc == 0 && (rc = slt_support_draw(&rows, &s, err)) == 0)
        *crc = slt_support_crc_add(*crc, slt_support_linear_crc(&rows, &s));
    slt_support_rows_free(&rows);
    return rc;
}

int slt_support_crc(uint32_t *crc, const struct slt_config *config, struct slt_error *err)
{
    struct slt_param_info *list;
    size_t count;
    uint32_t value = 0;
    const bool drawn = config->support.kind != SLT_SUPPORT_EXPLICIT;
    int rc = slt_config_params(config, &list, &count, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; drawn && rc == 0 && i < count; i++)
        if (list[i].role == SLT_ROLE_SPARSE)
            rc = crc_linear(&value, config, &list[i], err);
    free(list);
    if (rc == 0)
        *crc = value;
    return rc;
}
