// Supports: golden positions from an independent program (tests/vectors/support.py), order, counts,
// uniformity, and blocks.
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "slt/support.h"

static const struct {
    const char *name;
    int64_t out, in;
    double density;
    uint64_t seed;
    int32_t block_rows, block_cols; // 0: random
    int64_t nnz;
    uint32_t crc;
    int64_t first[4], last;
} golden[] = {
    {"model.layers.0.self_attn.q_proj",
     64,
     48,
     0.03,
     1,
     0,
     0,
     92,
     0x6246070e,
     {8, 202, 223, 277},
     3045},
    {"model.layers.1.mlp.down_proj", 48, 85, 0.1, 2, 0, 0, 408, 0xd3d7737d, {3, 34, 37, 58}, 4059},
    {"model.layers.3.mlp.up_proj",
     33,
     1000,
     0.9,
     12345678901,
     0,
     0,
     29700,
     0xbc3d5f57,
     {0, 1, 2, 3},
     32999},
    {"wide", 3, 70000, 0.001, 7, 0, 0, 210, 0x4184c044, {583, 967, 1693, 3641}, 209916},
    {"blocks", 37, 50, 0.2, 9, 4, 3, 336, 0x7654c8bc, {18, 19, 20, 42}, 1785},
    {"rows", 64, 64, 0.25, 9, 16, 1, 1024, 0x3ab28020, {2, 4, 6, 7}, 4094},
};

struct drawn {
    int64_t *row_start, nnz, out, in;
    uint16_t *column16;
    int32_t *column32;
};

static struct drawn draw(const struct slt_support_spec *spec, double density, int64_t out,
                         int64_t in, const char *name, uint64_t seed)
{
    struct slt_error err;
    struct drawn d = {.nnz = slt_support_count(spec, density, out, in), .out = out, .in = in};
    d.row_start = malloc((size_t)(out + 1) * sizeof *d.row_start);
    d.column16 = malloc((size_t)(d.nnz + 1) * sizeof *d.column16);
    d.column32 = malloc((size_t)(d.nnz + 1) * sizeof *d.column32);
    CHECK_OK(slt_support_draw(d.row_start, d.column16, d.column32, spec, density, out, in, name,
                              seed, &err),
             err);
    CHECK(d.row_start[0] == 0 && d.row_start[out] == d.nnz, "%s: %lld positions", name,
          (long long)d.row_start[out]);
    return d;
}

static int64_t column(const struct drawn *d, int64_t i)
{
    return d->in <= 65536 ? d->column16[i] : d->column32[i];
}

static void release(struct drawn *d)
{
    free(d->row_start);
    free(d->column16);
    free(d->column32);
}

static void check_golden(void)
{
    for (size_t g = 0; g < sizeof golden / sizeof *golden; g++) {
        const struct slt_support_spec spec = {golden[g].block_rows > 0 ? SLT_SUPPORT_BLOCK
                                                                       : SLT_SUPPORT_RANDOM,
                                              golden[g].block_rows, golden[g].block_cols};
        struct drawn d = draw(&spec, golden[g].density, golden[g].out, golden[g].in, golden[g].name,
                              golden[g].seed);
        CHECK(d.nnz == golden[g].nnz, "%s: %lld", golden[g].name, (long long)d.nnz);
        const uint32_t crc =
            slt_support_linear_crc(d.row_start, d.column16, d.column32, d.out, d.in);
        CHECK(crc == golden[g].crc, "%s: %08x", golden[g].name, crc);
        for (int64_t row = 0, at = 0; row < d.out; row++) {
            for (int64_t i = d.row_start[row]; i < d.row_start[row + 1]; i++, at++) {
                const int64_t flat = row * d.in + column(&d, i);
                CHECK(i == d.row_start[row] || column(&d, i) > column(&d, i - 1),
                      "%s: columns do not ascend", golden[g].name);
                CHECK(at >= 4 || flat == golden[g].first[at], "%s: position %lld is %lld",
                      golden[g].name, (long long)at, (long long)flat);
                CHECK(at != d.nnz - 1 || flat == golden[g].last, "%s: last is %lld", golden[g].name,
                      (long long)flat);
            }
        }
        release(&d);
    }
}

// Over many seeds every cell of a small matrix is drawn equally often: chi-square with 47 degrees
// of freedom stays below 100 (a probability of about 1e-5 by chance, and the seeds are fixed).
static void check_uniform(void)
{
    enum { OUT = 6, IN = 8, SEEDS = 4000 };
    const struct slt_support_spec spec = {SLT_SUPPORT_RANDOM, 0, 0};
    int hits[OUT * IN] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct drawn d = draw(&spec, 0.25, OUT, IN, "cells", seed);
        for (int64_t row = 0; row < OUT; row++)
            for (int64_t i = d.row_start[row]; i < d.row_start[row + 1]; i++)
                hits[row * IN + column(&d, i)]++;
        release(&d);
    }
    double chi = 0;
    for (int i = 0; i < OUT * IN; i++)
        chi += pow(hits[i] - SEEDS * 0.25, 2) / (SEEDS * 0.25);
    CHECK(chi < 100, "chi-square %g", chi);
}

int main(void)
{
    check_golden();
    check_uniform();
    const struct slt_support_spec spec = {SLT_SUPPORT_RANDOM, 0, 0};
    struct drawn all = draw(&spec, 1, 5, 7, "all", 1);
    CHECK(all.nnz == 35, "a density of 1 takes every position");
    release(&all);
    struct drawn none = draw(&spec, 0.001, 5, 7, "none", 1);
    CHECK(none.nnz == 0, "a density below one position takes none");
    release(&none);
    return TEST_END();
}
