// Supports: golden positions from an independent program (tests/vectors/support.py), order, counts,
// uniformity, and blocks.
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "model/support.h"

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

static struct slt_support_rows draw(const struct slt_support *s)
{
    struct slt_error err;
    struct slt_support_rows rows;
    const int64_t nnz = slt_support_count(&s->spec, s->density, s->out, s->in);
    CHECK_OK(slt_support_rows_create(&rows, s, &err), err);
    CHECK_OK(slt_support_draw(&rows, s, &err), err);
    CHECK(rows.row_start[0] == 0 && rows.row_start[s->out] == nnz, "%s: %lld positions", s->name,
          (long long)rows.row_start[s->out]);
    return rows;
}

static void check_golden(void)
{
    for (size_t g = 0; g < sizeof golden / sizeof *golden; g++) {
        const struct slt_support s = {
            .name = golden[g].name,
            .out = golden[g].out,
            .in = golden[g].in,
            .spec = {golden[g].block_rows > 0 ? SLT_SUPPORT_BLOCK : SLT_SUPPORT_RANDOM,
                     golden[g].block_rows, golden[g].block_cols},
            .density = golden[g].density,
            .seed = golden[g].seed};
        struct slt_support_rows rows = draw(&s);
        const int64_t nnz = rows.row_start[s.out];
        CHECK(nnz == golden[g].nnz, "%s: %lld", s.name, (long long)nnz);
        const uint32_t crc = slt_support_linear_crc(&rows, &s);
        CHECK(crc == golden[g].crc, "%s: %08x", s.name, crc);
        for (int64_t row = 0, at = 0; row < s.out; row++) {
            for (int64_t i = rows.row_start[row]; i < rows.row_start[row + 1]; i++, at++) {
                const int64_t column = slt_support_column(&rows, s.in, i);
                const int64_t flat = row * s.in + column;
                CHECK(i == rows.row_start[row] || column > slt_support_column(&rows, s.in, i - 1),
                      "%s: columns do not ascend", s.name);
                CHECK(at >= 4 || flat == golden[g].first[at], "%s: position %lld is %lld", s.name,
                      (long long)at, (long long)flat);
                CHECK(at != nnz - 1 || flat == golden[g].last, "%s: last is %lld", s.name,
                      (long long)flat);
            }
        }
        slt_support_rows_free(&rows);
    }
}

// Over many seeds every cell of a small matrix is drawn equally often: chi-square with 47 degrees
// of freedom stays below 100 (a probability of about 1e-5 by chance, and the seeds are fixed).
static void check_uniform(void)
{
    enum { OUT = 6, IN = 8, SEEDS = 4000 };
    struct slt_support s = {"cells", OUT, IN, .spec.kind = SLT_SUPPORT_RANDOM, .density = 0.25};
    int hits[OUT * IN] = {0};
    for (s.seed = 0; s.seed < SEEDS; s.seed++) {
        int64_t position[OUT * IN / 4];
        struct slt_error err;
        CHECK_OK(slt_support_positions(position, &s, &err), err);
        for (int i = 0; i < OUT * IN / 4; i++)
            hits[position[i]]++;
    }
    double chi = 0;
    for (int i = 0; i < OUT * IN; i++)
        chi += pow(hits[i] - SEEDS * 0.25, 2) / (SEEDS * 0.25);
    CHECK(chi < 100, "chi-square %g", chi);
}

// Every row has as many positions as any other, or one more; channels are whole columns.
static void check_shapes(void)
{
    struct slt_support s = {"shaped",       37,       50, .spec.kind = SLT_SUPPORT_ROWS,
                            .density = 0.1, .seed = 1};
    struct slt_support_rows rows = draw(&s);
    CHECK(rows.row_start[37] == 185, "%lld positions", (long long)rows.row_start[37]);
    for (int i = 0; i < 37; i++)
        CHECK(rows.row_start[i + 1] - rows.row_start[i] == 5, "row %d", i);
    slt_support_rows_free(&rows);
    s.density = 0.11; // 203 positions: 18 rows have a sixth
    rows = draw(&s);
    int more = 0;
    for (int i = 0; i < 37; i++) {
        const int64_t n = rows.row_start[i + 1] - rows.row_start[i];
        CHECK(n == 5 || n == 6, "row %d has %lld", i, (long long)n);
        more += n == 6;
    }
    CHECK(more == 18, "%d rows have one more", more);
    slt_support_rows_free(&rows);
    s.spec.kind = SLT_SUPPORT_CHANNELS;
    rows = draw(&s);
    for (int i = 0; i < 37; i++)
        for (int k = 0; k < 5; k++)
            CHECK(rows.row_start[i] == 5 * i && slt_support_column(&rows, s.in, 5 * i + k) ==
                                                    slt_support_column(&rows, s.in, k),
                  "row %d of channels", i);
    CHECK(slt_support_count(&s.spec, s.density, s.out, s.in) == 5 * 37, "positions of channels");
    slt_support_rows_free(&rows);
}

int main(void)
{
    check_shapes();
    check_golden();
    check_uniform();
    struct slt_support s = {"all", 5, 7, .spec.kind = SLT_SUPPORT_RANDOM, .density = 1, .seed = 1};
    struct slt_support_rows rows = draw(&s);
    CHECK(rows.row_start[5] == 35, "a density of 1 takes every position");
    slt_support_rows_free(&rows);
    s.density = 0.001;
    rows = draw(&s);
    CHECK(rows.row_start[5] == 0, "a density below one position takes none");
    slt_support_rows_free(&rows);
    return TEST_END();
}
