// Drawing random and block supports; support.h defines the draw.
#include <stdlib.h>
#include <string.h>

#include "config/support_spec.h"
#include "model/support.h"
#include "slt/digest.h"
#include "slt/random.h"
#include "slt/support.h"

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

// Appends the columns of the row at position at of either column array and clears the map. Returns
// the position after the last one.
static int64_t take_row(uint16_t *column16, int32_t *column32, int64_t at, uint64_t *map,
                        const struct slt_support_grid *g, bool clear)
{
    for (int64_t i = 0; i < (g->cols + 63) / 64; i++) {
        for (uint64_t bits = map[i]; bits != 0; bits &= bits - 1) {
            const int64_t cell = i * 64 + __builtin_ctzll(bits);
            for (int64_t c = 0; c < g->block_cols; c++, at++) {
                if (column16 != NULL)
                    column16[at] = (uint16_t)(cell * g->block_cols + c);
                else
                    column32[at] = (int32_t)(cell * g->block_cols + c);
            }
        }
        if (clear)
            map[i] = 0;
    }
    return at;
}

int slt_support_take(int64_t *row_start, uint16_t *column16, int32_t *column32,
                     const int64_t *position, int64_t count, int64_t out, int64_t in,
                     const char *name, struct slt_error *err)
{
    int64_t at = 0;
    row_start[0] = 0;
    for (int64_t row = 0; row < out; row++) {
        for (; at < count && position[at] < (row + 1) * in; at++) {
            if (position[at] < 0 || (at > 0 && position[at] <= position[at - 1]))
                return slt_error_set(err, SLT_ERR_FORMAT,
                                     "position %lld of the support of '%s' is %lld, which does not "
                                     "ascend",
                                     (long long)at, name, (long long)position[at]);
            if (in <= 65536)
                column16[at] = (uint16_t)(position[at] - row * in);
            else
                column32[at] = (int32_t)(position[at] - row * in);
        }
        row_start[row + 1] = at;
    }
    if (at < count)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "position %lld of the support of '%s' is %lld, beyond its %lld x %lld "
                             "elements",
                             (long long)at, name, (long long)position[at], (long long)out,
                             (long long)in);
    return 0;
}

int slt_support_draw(int64_t *row_start, uint16_t *column16, int32_t *column32,
                     const struct slt_support_spec *spec, double density, int64_t out, int64_t in,
                     const char *name, uint64_t seed, struct slt_error *err)
{
    const struct slt_support_grid g = slt_support_grid(spec, density, out, in);
    const struct slt_random_key key = slt_random_key("slt-support-1", name, seed);
    if ((in <= 65536 ? (void *)column16 : (void *)column32) == NULL && g.nnz > 0)
        return slt_error_set(err, SLT_ERR_RANGE, "no room for the columns of '%s'", name);
    if (in > 65536)
        column16 = NULL;
    int64_t *count = calloc((size_t)g.rows + 1, sizeof *count);
    uint64_t *map = calloc((size_t)g.cols / 64 + 1, sizeof *map);
    int rc = 0;
    if (count == NULL || map == NULL) {
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the support of '%s'", name);
        goto out;
    }
    if (g.rows > 0 && g.cols > 0)
        draw_counts(count, &g, key);
    int64_t at = 0;
    row_start[0] = 0;
    for (int64_t row = 0; row < out; row++) {
        const int64_t cell = row / g.block_rows;
        if (cell < g.rows) {
            if (row % g.block_rows == 0)
                draw_row(map, count[cell], &g, cell, key);
            at = take_row(column16, column32, at, map, &g, row % g.block_rows == g.block_rows - 1);
        }
        row_start[row + 1] = at;
    }
out:
    free(count);
    free(map);
    return rc;
}

int slt_support_positions(int64_t *position, const struct slt_support_spec *spec, double density,
                          int64_t out, int64_t in, const char *name, uint64_t seed,
                          struct slt_error *err)
{
    const int64_t nnz = slt_support_count(spec, density, out, in);
    int64_t *row_start = malloc(((size_t)out + 1) * sizeof *row_start);
    void *column = malloc((size_t)nnz * (in <= 65536 ? 2 : 4) + 1);
    int rc;
    if (row_start == NULL || column == NULL)
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the support of '%s'", name);
    else
        rc = slt_support_draw(row_start, column, column, spec, density, out, in, name, seed, err);
    for (int64_t row = 0; rc == 0 && row < out; row++)
        for (int64_t i = row_start[row]; i < row_start[row + 1]; i++)
            position[i] = row * in + (in <= 65536 ? (int64_t)((const uint16_t *)column)[i]
                                                  : ((const int32_t *)column)[i]);
    free(row_start);
    free(column);
    return rc;
}

uint32_t slt_support_linear_crc(const int64_t *row_start, const uint16_t *column16,
                                const int32_t *column32, int64_t out, int64_t in)
{
    unsigned char byte[8 * 512];
    size_t filled = 0;
    uint32_t crc = 0;
    for (int64_t row = 0; row < out; row++) {
        for (int64_t i = row_start[row]; i < row_start[row + 1]; i++) {
            const uint64_t column = in <= 65536 ? column16[i] : (uint64_t)column32[i];
            const uint64_t flat = (uint64_t)row * (uint64_t)in + column;
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
    slt_linear_name(name, sizeof name, c, p->layer, p->group, p->member);
    int64_t *row_start = malloc(((size_t)p->out + 1) * sizeof *row_start);
    void *column = malloc(((size_t)p->cols + 1) * (p->in <= 65536 ? 2 : 4));
    int rc;
    if (row_start == NULL || column == NULL)
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the support of '%s'", name);
    else
        rc = slt_support_draw(row_start, column, column, &c->support, c->density, p->out, p->in,
                              name, c->seed, err);
    if (rc == 0)
        *crc = slt_support_crc_add(
            *crc, slt_support_linear_crc(row_start, column, column, p->out, p->in));
    free(row_start);
    free(column);
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
