// The routes of one sparse plus low-rank linear, W = s B A + S, against the full-rank one: forward
// and backward, interleaved, next to oneDNN's GEMM rate.
//
// usage: bench_routes THREADS PAIRS [ISA]   (avx512, avx2 or plain)
// Prints name<TAB>median<TAB>lower quartile<TAB>upper quartile lines. A run whose own GEMM rate
// varied by more than 10% between its quartiles is marked void.
//
// The last lines of each shape are what the route planner's constants stand for: multiply-adds a
// GEMM at its full rate would do in the time of one multiply-add of the sparse products, or in the
// time the dense route spends on one element of W besides its products.
//
// A cost fitted to them, in multiply-adds of a GEMM at its full rate, for T tokens, rank r and a
// group of `members` linears with `rows` outputs in all:
//   factored = 3 T r (rows + members in) + (sparse T + order) nnz
//   dense    = 3 T rows in + 4 r rows in + element rows in
// measured on one core of a Zen 5 (oneDNN held to the same instruction set; element on a Zen 4):
//            sparse (forward + dx + dvalues)   order    element
//   AVX-512  3.2 + 2 x 2.7 = 8.6                450     40 (25 on one thread)
//   AVX2     2.0 + 2 x 2.25 = 6.5               450     25
//   SSE2     1.9 + 2 x 1.9 = 5.7                165     15
// order, the sorting of the positions by columns in each backward product, was measured on AVX-512
// as what 128 tokens cost above 2048, and scaled by the GEMM rates for the others.
//
// Bands need no order; sparse is then, measured on one core of a Zen 5,
//   AVX-512  1.6 + 2 x 1.85 = 5.3
//   AVX2     1.25 + 2 x 1.47 = 4.2
//   SSE2     1.9 + 2 x 1.7 = 5.3
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "kernels/ops.h"
#include "model/bands.h"
#include "model/support.h"
#include "slt/clock.h"
#include "slt/random.h"

#define TOKENS    2048
#define DENSITY   0.03
#define MAX_PAIRS 101

struct shape {
    int64_t out, in, rank;
};

// Of single positions, of bands of 16 rows, of bands whose positions follow each other as well.
static const char *const supports[] = {"random", "block:16x1", "block:16x16"};

static const struct shape shapes[] = {
    {512, 512, 128},   {1376, 512, 128},  {1024, 1024, 256},
    {2736, 1024, 256}, {2048, 2048, 512}, {5461, 2048, 512},
};

// What a run is made of.
enum part { GEMM, SPARSE_FORWARD, SPARSE_BACKWARD, SCATTER_GATHER, PARTS };

struct layer {
    const struct slt_ops *ops;
    struct slt_ctx *ctx;
    struct shape shape;
    struct slt_support_spec spec;
    struct slt_act x, y, dx, dy;       // (T, in), (T, out)
    struct slt_act h, dh;              // (T, r)
    struct slt_tensor w, dw;           // (out, in)
    struct slt_tensor a, b, da, db;    // (r, in), (out, r)
    struct slt_tensor values, dvalues; // (1, nnz)
    struct slt_csr support;
    double part[PARTS]; // seconds of the run in progress
    double since;       // when its current part began
};

static void die(const struct slt_error *err)
{
    fprintf(stderr, "bench_routes: %s\n", err->message);
    exit(1);
}

// ---- The three ways ----

static void done(struct layer *l, enum part part)
{
    const double now = slt_clock_now();
    l->part[part] += now - l->since;
    l->since = now;
}

static void run_full(struct layer *l)
{
    l->ops->linear_forward(l->ctx, l->y, 0, l->x, l->w, 1);
    l->ops->linear_backward_input(l->ctx, l->dx, 0, l->dy, l->w, 1);
    l->ops->linear_backward_weight(l->ctx, l->dw, 0, l->dy, l->x, 1);
    done(l, GEMM);
}

static void run_factored(struct layer *l)
{
    const double s = 0.5;
    l->ops->linear_forward(l->ctx, l->h, 0, l->x, l->a, 1);
    l->ops->linear_forward(l->ctx, l->y, 0, l->h, l->b, s);
    done(l, GEMM);
    l->ops->sparse_forward(l->ctx, l->y, l->x, l->support, l->values);
    done(l, SPARSE_FORWARD);
    l->ops->linear_backward_weight(l->ctx, l->db, 0, l->dy, l->h, s);
    l->ops->linear_backward_input(l->ctx, l->dh, 0, l->dy, l->b, s);
    l->ops->linear_backward_weight(l->ctx, l->da, 0, l->dh, l->x, 1);
    l->ops->linear_backward_input(l->ctx, l->dx, 0, l->dh, l->a, 1);
    done(l, GEMM);
    l->ops->sparse_backward(l->ctx, l->dx, l->dvalues, 0, l->dy, l->x, l->support, l->values);
    done(l, SPARSE_BACKWARD);
}

static void build_dense(struct layer *l)
{
    l->ops->sparse_scatter(l->ctx, l->w, l->support, l->values);
    done(l, SCATTER_GATHER);
    l->ops->matmul(l->ctx, l->w, 1, l->b, false, l->a, false, 0.5);
}

static void run_dense(struct layer *l)
{
    const double s = 0.5;
    build_dense(l);
    l->ops->linear_forward(l->ctx, l->y, 0, l->x, l->w, 1);
    done(l, GEMM);
    build_dense(l);
    l->ops->linear_backward_weight(l->ctx, l->dw, 0, l->dy, l->x, 1);
    l->ops->linear_backward_input(l->ctx, l->dx, 0, l->dy, l->w, 1);
    l->ops->matmul(l->ctx, l->db, 0, l->dw, false, l->a, true, s);
    l->ops->matmul(l->ctx, l->da, 0, l->b, true, l->dw, false, s);
    done(l, GEMM);
    l->ops->sparse_gather(l->ctx, l->dvalues, 0, l->dw, l->support);
    done(l, SCATTER_GATHER);
}

// Seconds of the best of several runs; its parts are left in the layer.
static double best_of(struct layer *l, void (*run)(struct layer *), int runs)
{
    double best = 0, part[PARTS] = {0};
    for (int i = 0; i < runs; i++) {
        memset(l->part, 0, sizeof l->part);
        const double start = l->since = slt_clock_now();
        run(l);
        const double seconds = slt_clock_now() - start;
        if (i == 0 || seconds < best) {
            best = seconds;
            memcpy(part, l->part, sizeof part);
        }
    }
    memcpy(l->part, part, sizeof part);
    return best;
}

// ---- A layer of random values ----

static struct slt_buffer *random_buffer(struct layer *l, uint64_t count, const char *name)
{
    struct slt_error err;
    struct slt_buffer *buffer;
    float *values = malloc(count * sizeof *values);
    if (l->ops->buffer_create(l->ctx, &buffer, name, count * sizeof *values, &err) != 0)
        die(&err);
    slt_random_uniform(values, slt_random_key("bench", name, 0), 0, count, 0.5f);
    l->ops->write(l->ctx, buffer, 0, values, count * sizeof *values);
    free(values);
    return buffer;
}

static struct slt_act random_act(struct layer *l, int64_t features, const char *name)
{
    const uint64_t bytes = l->ops->act_bytes(l->ctx, SLT_F32, TOKENS, features);
    return slt_act_view(random_buffer(l, bytes / sizeof(float), name), 0, SLT_F32, TOKENS,
                        features);
}

static struct slt_tensor random_tensor(struct layer *l, int64_t rows, int64_t cols,
                                       const char *name)
{
    return slt_tensor_view(random_buffer(l, (uint64_t)(rows * cols), name), 0, SLT_F32, rows, cols);
}

static struct slt_tensor host_tensor(struct layer *l, enum slt_dtype dtype, int64_t rows,
                                     int64_t cols, const void *data)
{
    struct slt_error err;
    struct slt_buffer *buffer;
    const uint64_t bytes = (uint64_t)(rows * cols) * slt_dtype_size(dtype);
    if (l->ops->buffer_create(l->ctx, &buffer, "support", bytes, &err) != 0)
        die(&err);
    l->ops->write(l->ctx, buffer, 0, data, bytes);
    return slt_tensor_view(buffer, 0, dtype, rows, cols);
}

static void add_bands(struct layer *l, struct slt_csr *s, const struct slt_support_rows *rows)
{
    struct slt_error err;
    struct slt_bands bands;
    if (slt_bands_find(&bands, rows, s->rows, s->cols, &err) != 0)
        die(&err);
    s->band_row = host_tensor(l, SLT_I32, 1, slt_bands_most(s->rows), bands.row);
    s->group_start = host_tensor(l, SLT_I32, 1, bands.groups + 1, bands.start);
    s->group_part = host_tensor(l, SLT_I32, bands.parts, 3, bands.part);
    slt_bands_free(&bands);
}

static struct slt_csr draw_support(struct layer *l)
{
    struct slt_error err;
    const int64_t out = l->shape.out, in = l->shape.in;
    const struct slt_support support = {
        .name = "bench", .out = out, .in = in, .spec = l->spec, .density = DENSITY, .seed = 1};
    const struct slt_op_shape shape = {.dtype = SLT_F32};
    struct slt_support_rows rows;
    struct slt_csr s = {.rows = out, .cols = in};
    if (slt_support_rows_create(&rows, &support, &err) != 0 ||
        slt_support_draw(&rows, &support, &err) != 0)
        die(&err);
    s.nnz = rows.row_start[out];
    s.row_start = host_tensor(l, SLT_I64, 1, out + 1, rows.row_start);
    s.column = host_tensor(l, SLT_U16, 1, s.nnz, rows.column);
    if (slt_bands_fit(&l->spec) && l->ops->supports(l->ctx, SLT_OP_BANDS, &shape))
        add_bands(l, &s, &rows);
    slt_support_rows_free(&rows);
    return s;
}

static struct slt_buffer *workspace(struct layer *l)
{
    struct slt_error err;
    struct slt_buffer *work;
    const struct slt_op_shape shape = {.dtype = SLT_F32,
                                       .tokens = TOKENS,
                                       .in = l->shape.in,
                                       .out = l->shape.out,
                                       .nnz = l->support.nnz};
    const uint64_t linear = l->ops->work_bytes(l->ctx, SLT_OP_LINEAR, &shape);
    const enum slt_op op = slt_csr_has_bands(&l->support) ? SLT_OP_BANDS : SLT_OP_SPARSE;
    const uint64_t sparse = l->ops->work_bytes(l->ctx, op, &shape);
    const uint64_t bytes = linear > sparse ? linear : sparse;
    if (l->ops->buffer_create(l->ctx, &work, "workspace", bytes, &err) != 0)
        die(&err);
    l->ops->set_workspace(l->ctx, work, 0, bytes);
    return work;
}

static void layer_create(struct layer *l)
{
    const int64_t out = l->shape.out, in = l->shape.in, r = l->shape.rank;
    l->x = random_act(l, in, "x");
    l->y = random_act(l, out, "y");
    l->dx = random_act(l, in, "dx");
    l->dy = random_act(l, out, "dy");
    l->h = random_act(l, r, "h");
    l->dh = random_act(l, r, "dh");
    l->w = random_tensor(l, out, in, "w");
    l->dw = random_tensor(l, out, in, "dw");
    l->a = random_tensor(l, r, in, "a");
    l->b = random_tensor(l, out, r, "b");
    l->da = random_tensor(l, r, in, "da");
    l->db = random_tensor(l, out, r, "db");
    l->support = draw_support(l);
    l->values = random_tensor(l, 1, l->support.nnz, "values");
    l->dvalues = random_tensor(l, 1, l->support.nnz, "dvalues");
}

static void layer_free(struct layer *l)
{
    struct slt_buffer *all[] = {l->x.buffer,
                                l->y.buffer,
                                l->dx.buffer,
                                l->dy.buffer,
                                l->h.buffer,
                                l->dh.buffer,
                                l->w.buffer,
                                l->dw.buffer,
                                l->a.buffer,
                                l->b.buffer,
                                l->da.buffer,
                                l->db.buffer,
                                l->values.buffer,
                                l->dvalues.buffer,
                                l->support.row_start.buffer,
                                l->support.column.buffer,
                                l->support.band_row.buffer,
                                l->support.group_start.buffer,
                                l->support.group_part.buffer};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        l->ops->buffer_free(l->ctx, all[i]);
}

// ---- Measuring ----

enum figure {
    FULL_OVER_FACTORED,
    FULL_OVER_DENSE,
    FULL_MS,
    DENSE_MS,
    FACTORED_MS,
    FACTORED_GEMM_MS,
    SPARSE_FORWARD_MS,
    SPARSE_BACKWARD_MS,
    FULL_RATE,
    FACTORED_RATE,
    FORWARD_COST,
    BACKWARD_COST,
    ELEMENT_COST,
    FIGURES
};

static const char *const figure_name[FIGURES] = {
    "full over factored",
    "full over dense route",
    "full, ms",
    "dense route, ms",
    "factored, ms",
    "factored, GEMMs, ms",
    "factored, sparse forward, ms",
    "factored, sparse backward, ms",
    "full, GEMM rate over sgemm",
    "factored, GEMM rate over sgemm",
    "cost of a multiply-add, sparse forward",
    "cost of a multiply-add, sparse backward",
    "cost of an element of W, scatter and gather",
};

// The dense route is that of a random support.
static void measure(struct layer *l, double figure[FIGURES], double gemm_rate)
{
    const double w = (double)l->shape.out * (double)l->shape.in, t = TOKENS;
    const double factors = (double)l->shape.rank * (double)(l->shape.out + l->shape.in);
    const double multiply_adds = gemm_rate * 1e9 / 2; // a second
    const double sparse = t * (double)l->support.nnz;
    const int runs = w < 2e6 ? 5 : 1;
    const double full = best_of(l, run_full, runs);
    const double factored = best_of(l, run_factored, runs);
    double part[PARTS];
    memcpy(part, l->part, sizeof part);
    figure[FULL_OVER_FACTORED] = full / factored;
    figure[FULL_MS] = full * 1e3;
    figure[FACTORED_MS] = factored * 1e3;
    figure[FACTORED_GEMM_MS] = part[GEMM] * 1e3;
    figure[SPARSE_FORWARD_MS] = part[SPARSE_FORWARD] * 1e3;
    figure[SPARSE_BACKWARD_MS] = part[SPARSE_BACKWARD] * 1e3;
    figure[FULL_RATE] = 3 * t * w / full / multiply_adds;
    figure[FACTORED_RATE] = 3 * t * factors / part[GEMM] / multiply_adds;
    figure[FORWARD_COST] = part[SPARSE_FORWARD] * multiply_adds / sparse;
    figure[BACKWARD_COST] = part[SPARSE_BACKWARD] * multiply_adds / (2 * sparse);
    if (l->spec.kind != SLT_SUPPORT_RANDOM)
        return;
    const double dense = best_of(l, run_dense, runs);
    figure[FULL_OVER_DENSE] = full / dense;
    figure[DENSE_MS] = dense * 1e3;
    figure[ELEMENT_COST] = l->part[SCATTER_GATHER] * multiply_adds / w;
}

static void print(const char *name, double *values, int n)
{
    const double low = bench_quantile(values, n, 0.25), high = bench_quantile(values, n, 0.75);
    printf("%s\t%.3f\t%.3f\t%.3f\n", name, bench_quantile(values, n, 0.5), low, high);
}

static void bench_shape(struct layer *l, double *gemm, int pairs)
{
    static double figure[FIGURES][MAX_PAIRS];
    struct slt_buffer *work;
    double one[FIGURES] = {0};
    char support[32];
    slt_support_format(support, sizeof support, &l->spec);
    layer_create(l);
    work = workspace(l);
    measure(l, one, 1);
    for (int i = 0; i < pairs; i++) {
        gemm[i] = bench_sgemm_rate();
        measure(l, one, gemm[i]);
        for (int f = 0; f < FIGURES; f++)
            figure[f][i] = one[f];
    }
    for (int f = 0; f < FIGURES; f++) {
        char name[160];
        snprintf(name, sizeof name, "%lldx%lld r%lld %s: %s", (long long)l->shape.out,
                 (long long)l->shape.in, (long long)l->shape.rank, support, figure_name[f]);
        if (one[f] > 0)
            print(name, figure[f], pairs);
    }
    layer_free(l);
    l->ops->buffer_free(l->ctx, work);
}

int main(int argc, char **argv)
{
    enum {
        SHAPES = sizeof shapes / sizeof shapes[0],
        SUPPORTS = sizeof supports / sizeof supports[0]
    };
    static double gemm[SHAPES * SUPPORTS * MAX_PAIRS];
    struct slt_error err;
    char text[256];
    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: bench_routes THREADS PAIRS [ISA]\n");
        return 2;
    }
    struct layer l = {.ops = bench_ops(argc > 3 ? argv[3] : NULL)};
    const int threads = atoi(argv[1]);
    const int pairs = atoi(argv[2]) < MAX_PAIRS ? atoi(argv[2]) : MAX_PAIRS;
    if (l.ops->open(&l.ctx, &(struct slt_ops_options){.threads = threads}, &err) != 0)
        die(&err);
    bench_threads(threads);
    printf("# forward and backward of one linear, %d tokens, density %g, %s\n", TOKENS, DENSITY,
           l.ops->describe(l.ctx, text, sizeof text));
    printf("# name\tmedian\tlower quartile\tupper quartile\n");
    for (int i = 0; i < SHAPES * SUPPORTS; i++) {
        l.shape = shapes[i / SUPPORTS];
        if (slt_support_parse(&l.spec, supports[i % SUPPORTS], &err) != 0)
            die(&err);
        bench_shape(&l, gemm + i * pairs, pairs);
    }
    const int rates = SHAPES * SUPPORTS * pairs;
    print("sgemm 2048^3 GFLOP/s", gemm, rates);
    if (bench_quantile(gemm, rates, 0.75) > 1.1 * bench_quantile(gemm, rates, 0.25))
        printf("# void: the GEMM rate itself varied by more than 10%%\n");
    l.ops->close(l.ctx);
    return 0;
}
