// Bands of rows with the same columns.
#include <stdlib.h>

#include "model/bands.h"

bool slt_bands_fit(const struct slt_support_spec *support)
{
    return support->kind == SLT_SUPPORT_BLOCK && support->block_rows % SLT_BAND_ROWS == 0;
}

int64_t slt_bands_most(int64_t out)
{
    return out / SLT_BAND_ROWS;
}

int64_t slt_bands_groups(int64_t in)
{
    return (in + SLT_BAND_COLUMNS - 1) / SLT_BAND_COLUMNS;
}

// Each part has a position in every row of its band.
int64_t slt_bands_most_parts(int64_t nnz)
{
    return nnz / SLT_BAND_ROWS;
}

static int64_t group_of(const struct slt_support_rows *rows, int64_t in, int64_t k)
{
    return slt_support_column(rows, in, k) / SLT_BAND_COLUMNS;
}

// The first position after k of its row, which ends at last, that is in another group.
static int64_t part_end(const struct slt_support_rows *rows, int64_t in, int64_t k, int64_t last)
{
    const int64_t group = group_of(rows, in, k);
    while (k < last && group_of(rows, in, k) == group)
        k++;
    return k;
}

int slt_bands_find(struct slt_bands *bands, const struct slt_support_rows *rows, int64_t out,
                   int64_t in, struct slt_error *err)
{
    struct slt_bands b = {.groups = slt_bands_groups(in)};
    b.row = calloc((size_t)slt_bands_most(out) + 1, sizeof *b.row);
    b.start = calloc((size_t)b.groups + 1, sizeof *b.start);
    if (b.row == NULL || b.start == NULL)
        goto memory;
    // The first row with positions that is in no band yet starts one.
    for (int64_t row = 0; row + SLT_BAND_ROWS <= out;) {
        const int64_t first = rows->row_start[row], last = rows->row_start[row + 1];
        for (int64_t k = first; k < last; k = part_end(rows, in, k, last))
            b.start[group_of(rows, in, k) + 1]++;
        if (first < last)
            b.row[b.bands++] = (int32_t)row;
        row += first < last ? SLT_BAND_ROWS : 1;
    }
    for (int64_t i = b.bands; i < slt_bands_most(out); i++)
        b.row[i] = -1;
    for (int64_t g = 0; g < b.groups; g++)
        b.start[g + 1] += b.start[g];
    b.parts = b.start[b.groups];
    b.part = calloc((size_t)b.parts + 1, 3 * sizeof *b.part);
    int32_t *next = malloc(((size_t)b.groups + 1) * sizeof *next);
    if (b.part == NULL || next == NULL) {
        free(next);
        goto memory;
    }
    for (int64_t g = 0; g < b.groups; g++)
        next[g] = b.start[g];
    for (int64_t i = 0; i < b.bands; i++) {
        const int64_t first = rows->row_start[b.row[i]], last = rows->row_start[b.row[i] + 1];
        for (int64_t k = first, end; k < last; k = end) {
            int32_t *part = b.part + 3 * next[group_of(rows, in, k)]++;
            end = part_end(rows, in, k, last);
            part[0] = b.row[i];
            part[1] = (int32_t)(k - first);
            part[2] = (int32_t)(end - k);
        }
    }
    free(next);
    *bands = b;
    return 0;
memory:
    slt_bands_free(&b);
    return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the bands of a support");
}

void slt_bands_free(struct slt_bands *bands)
{
    free(bands->row);
    free(bands->start);
    free(bands->part);
    *bands = (struct slt_bands){0};
}
