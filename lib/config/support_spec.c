// Names and sizes of supports.
#include <stdio.h>
#include <string.h>

#include "config/support_spec.h"

// "none" and "block" alone are not typed.
static const char *const names[] = {
    [SLT_SUPPORT_NONE] = "none",   [SLT_SUPPORT_RANDOM] = "random",
    [SLT_SUPPORT_ROWS] = "rows",   [SLT_SUPPORT_CHANNELS] = "channels",
    [SLT_SUPPORT_BLOCK] = "block", [SLT_SUPPORT_EXPLICIT] = "explicit"};

int slt_support_parse(struct slt_support_spec *spec, const char *text, struct slt_error *err)
{
    for (int kind = 0; kind < (int)(sizeof names / sizeof *names); kind++) {
        if (strcmp(text, names[kind]) != 0 || kind == SLT_SUPPORT_NONE || kind == SLT_SUPPORT_BLOCK)
            continue;
        *spec = (struct slt_support_spec){(enum slt_support_kind)kind, 0, 0};
        return 0;
    }
    int rows, cols, end = 0;
    if (sscanf(text, "block:%4dx%4d%n", &rows, &cols, &end) == 2 && text[end] == '\0' && rows > 0 &&
        cols > 0) {
        *spec = (struct slt_support_spec){SLT_SUPPORT_BLOCK, rows, cols};
        return 0;
    }
    return slt_error_set(
        err, SLT_ERR_RANGE,
        "unknown support '%s' (known: random, rows, channels, block:RxC, explicit)", text);
}

char *slt_support_format(char *text, size_t size, const struct slt_support_spec *spec)
{
    if (spec->kind == SLT_SUPPORT_BLOCK)
        snprintf(text, size, "block:%dx%d", spec->block_rows, spec->block_cols);
    else
        snprintf(text, size, "%s", names[spec->kind]);
    return text;
}

struct slt_support_grid slt_support_grid(const struct slt_support_spec *spec, double density,
                                         int64_t out, int64_t in)
{
    struct slt_support_grid g = {out, in, 0, 1, 1};
    if (spec->kind == SLT_SUPPORT_BLOCK) {
        g.block_rows = spec->block_rows;
        g.block_cols = spec->block_cols;
        g.rows = out / g.block_rows;
        g.cols = in / g.block_cols;
    }
    if (spec->kind == SLT_SUPPORT_CHANNELS) {
        g.block_rows = out;
        g.rows = out > 0 ? 1 : 0;
    }
    if (spec->kind != SLT_SUPPORT_NONE)
        g.nnz = (int64_t)(density * (double)(g.rows * g.cols));
    return g;
}

int64_t slt_support_count(const struct slt_support_spec *spec, double density, int64_t out,
                          int64_t in)
{
    const struct slt_support_grid g = slt_support_grid(spec, density, out, in);
    return g.nnz * g.block_rows * g.block_cols;
}
