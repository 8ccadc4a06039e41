// Sparse products: the fast backend against the reference, over shapes that leave edges of every
// kind, and the same bytes with any number of threads.
#include "emulated.h"
#include "model/bands.h"
#include "products.h"

// Sums of up to a few thousand products in a different order, each exact to 2^-24.
#define LIMIT 1e-11
// The same of values and activations in bfloat16, rounded to 2^-9.
#define LIMIT_BF16 1e-4

struct sample {
    const char *name;
    int64_t tokens, in, out;
    double density;
    int64_t band; // positions of a row that follow each other, in bands of 16 rows; 0: anywhere
};

static const struct sample samples[] = {
    {"one token", 1, 130, 70, 0.1, 0},
    {"two tokens", 2, 33, 17, 0.2, 0},
    {"15 tokens", 15, 65, 31, 0.1, 0},
    {"16 tokens", 16, 40, 50, 0.2, 0},
    {"64 tokens", 64, 96, 128, 0.03, 0},
    {"100 tokens", 100, 257, 129, 0.03, 0},
    {"many tokens", 2051, 61, 47, 0.1, 0},
    {"dense", 70, 33, 35, 1, 0},
    {"hardly any", 33, 200, 300, 0.0005, 0},
    {"no positions", 17, 20, 30, 0, 0},
    {"one row, one column", 40, 1, 1, 1, 0},
    {"wide", 37, 65536, 5, 0.002, 0},
    {"32-bit columns", 37, 70001, 5, 0.002, 0},
    {"32-bit columns, one token", 1, 70001, 5, 0.002, 0},
    {"many columns", 48, 12000, 40, 0.01, 0},
    {"several blocks", 130, 40, 5000, 0.03, 0},
};

// A matrix (out, in) on the host; every fifth row is empty.
struct matrix {
    int64_t rows, cols, nnz;
    int64_t *row_start;
    void *column;
    float *value;
};

static struct matrix matrix_random(int64_t rows, int64_t cols, double density, uint64_t seed)
{
    struct matrix s = {.rows = rows, .cols = cols};
    const int64_t most = (int64_t)((double)(rows * cols) * density * 1.5) + rows + 1000;
    s.row_start = calloc((size_t)rows + 1, sizeof *s.row_start);
    s.column = calloc((size_t)most, 4);
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t col = 0; col < cols && (row % 5 != 2 || rows == 1); col++) {
            if (random_value(&seed) >= 2 * density - 1 || s.nnz == most)
                continue;
            if (cols <= 65536)
                ((uint16_t *)s.column)[s.nnz++] = (uint16_t)col;
            else
                ((int32_t *)s.column)[s.nnz++] = (int32_t)col;
        }
        s.row_start[row + 1] = s.nnz;
    }
    s.value = random_values(s.nnz, seed);
    return s;
}

// A matrix (out, in) of bands of 16 rows; every fourth is empty, and so are the rows before row 3.
static struct matrix matrix_banded(const struct sample *c, uint64_t seed)
{
    struct matrix s = {.rows = c->out, .cols = c->in};
    s.row_start = calloc((size_t)s.rows + 1, sizeof *s.row_start);
    s.column = calloc((size_t)(s.rows * s.cols) + 1, 2);
    for (int64_t row = 0; row < s.rows; row++) {
        const int64_t band = (row - 3) / 16;
        uint64_t state = seed + (uint64_t)band * 77;
        const bool empty = row < 3 || row >= 3 + (s.rows - 3) / 16 * 16 || band % 4 == 3;
        for (int64_t col = 0; col + c->band <= s.cols && !empty; col += c->band)
            for (int64_t k = random_value(&state) < 2 * c->density - 1 ? 0 : c->band; k < c->band;
                 k++)
                ((uint16_t *)s.column)[s.nnz++] = (uint16_t)(col + k);
        s.row_start[row + 1] = s.nnz;
    }
    s.value = random_values(s.nnz, seed);
    return s;
}

static void matrix_free(struct matrix *s)
{
    free(s->row_start);
    free(s->column);
    free(s->value);
}

static struct slt_csr csr_with(const struct backend *b, const struct matrix *s)
{
    const enum slt_dtype dtype = s->cols <= 65536 ? SLT_U16 : SLT_I32;
    return (struct slt_csr){.rows = s->rows,
                            .cols = s->cols,
                            .nnz = s->nnz,
                            .row_start = tensor_with(b, SLT_I64, 1, s->rows + 1, s->row_start),
                            .column = tensor_with(b, dtype, 1, s->nnz, s->column)};
}

// The same with its bands.
static struct slt_csr csr_with_bands(const struct backend *b, const struct matrix *m)
{
    struct slt_csr csr = csr_with(b, m);
    struct slt_bands bands;
    struct slt_error err;
    const struct slt_support_rows rows = {m->row_start, m->column};
    CHECK_OK(slt_bands_find(&bands, &rows, m->rows, m->cols, &err), err);
    const int64_t most = slt_bands_most(m->rows);
    CHECK(bands.parts <= slt_bands_most_parts(m->nnz) && bands.bands <= most, "%lld parts",
          (long long)bands.parts);
    csr.band_row = tensor_with(b, SLT_I32, 1, most, bands.row);
    csr.group_start = tensor_with(b, SLT_I32, 1, bands.groups + 1, bands.start);
    csr.group_part = tensor_with(b, SLT_I32, bands.parts, 3, bands.part);
    slt_bands_free(&bands);
    return csr;
}

static void csr_free(const struct backend *b, struct slt_csr *csr)
{
    struct slt_buffer *bands[] = {csr->band_row.buffer, csr->group_start.buffer,
                                  csr->group_part.buffer};
    for (int i = 0; i < 3; i++)
        b->ops->buffer_free(b->ctx, bands[i]);
    b->ops->buffer_free(b->ctx, csr->row_start.buffer);
    b->ops->buffer_free(b->ctx, csr->column.buffer);
}

// What one backend makes of one sample.
struct outcome {
    float *y;            // (T, out)
    float *dx, *dvalues; // both at once
    float *dx_only, *dvalues_only;
    float *w, *gathered; // (out, in), (1, nnz)
};

static void outcome_free(struct outcome *o)
{
    float *all[] = {o->y, o->dx, o->dvalues, o->dx_only, o->dvalues_only, o->w, o->gathered};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

static struct outcome compute(const struct slt_ops *ops, enum slt_dtype dtype, int threads,
                              const struct sample *c, const struct matrix *m, double beta)
{
    const int64_t t = c->tokens, in = c->in, out = c->out;
    const struct slt_op_shape shape = {
        .dtype = dtype, .tokens = t, .in = in, .out = out, .nnz = m->nnz};
    const bool bands = c->band > 0 && ops != &slt_cpu_reference_ops;
    struct backend b = backend_open(ops, threads, bands ? SLT_OP_BANDS : SLT_OP_SPARSE, &shape);
    struct slt_csr csr = bands ? csr_with_bands(&b, m) : csr_with(&b, m);
    const struct slt_tensor none = {0}, values = weight_with(&b, 1, m->nnz, m->value);
    float *x_host = random_values(t * in, 1), *dy_host = random_values(t * out, 2);
    float *old = random_values(m->nnz, 3), *y_host = random_values(t * out, 4);
    float *w_host = random_values(out * in, 5);
    for (int64_t k = 0; k < m->nnz && beta == 0; k++)
        old[k] = NAN;
    const struct slt_act x = act_with(&b, t, in, x_host), dy = act_with(&b, t, out, dy_host);
    const struct slt_act y = act_with(&b, t, out, y_host), dx = act_with(&b, t, in, x_host);
    const struct slt_act dx_only = act_with(&b, t, in, x_host), no_act = {0};
    const struct slt_tensor dv = tensor_with(&b, SLT_F32, 1, m->nnz, old);
    const struct slt_tensor dv_only = tensor_with(&b, SLT_F32, 1, m->nnz, old);
    const struct slt_tensor gathered = tensor_with(&b, SLT_F32, 1, m->nnz, old);
    const struct slt_tensor w = weight_with(&b, out, in, w_host);
    const struct slt_tensor g = weight_with(&b, out, in, w_host);

    ops->sparse_forward(b.ctx, y, x, csr, values);
    ops->sparse_backward(b.ctx, dx, dv, beta, dy, x, csr, values);
    ops->sparse_backward(b.ctx, dx_only, none, beta, dy, x, csr, values);
    ops->sparse_backward(b.ctx, no_act, dv_only, beta, dy, x, csr, values);
    ops->sparse_scatter(b.ctx, w, csr, values);
    ops->sparse_gather(b.ctx, gathered, beta, g, csr);
    const struct outcome o = {.y = act_values(&b, y),
                              .dx = act_values(&b, dx),
                              .dx_only = act_values(&b, dx_only),
                              .dvalues = tensor_values(&b, dv),
                              .dvalues_only = tensor_values(&b, dv_only),
                              .w = tensor_values(&b, w),
                              .gathered = tensor_values(&b, gathered)};
    struct slt_buffer *rest[] = {values.buffer, x.buffer, dy.buffer, g.buffer};
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++)
        ops->buffer_free(b.ctx, rest[i]);
    csr_free(&b, &csr);
    backend_close(&b);
    float *host[] = {x_host, dy_host, old, y_host, w_host};
    for (size_t i = 0; i < sizeof host / sizeof host[0]; i++)
        free(host[i]);
    return o;
}

static void test_against_reference(const struct slt_ops *ops, enum slt_dtype dtype,
                                   const struct sample *c, const struct matrix *m, double beta)
{
    const double limit = dtype == SLT_BF16 ? LIMIT_BF16 : LIMIT;
    struct outcome want = compute(&slt_cpu_reference_ops, SLT_F32, 1, c, m, beta);
    struct outcome got = compute(ops, dtype, 1, c, m, beta);
    const int64_t t = c->tokens, n = c->out * c->in;
    const double y = error_of(got.y, want.y, t * c->out), dx = error_of(got.dx, want.dx, t * c->in);
    const double dv = error_of(got.dvalues, want.dvalues, m->nnz);
    CHECK(y <= limit, "%s: error of y is %g", c->name, y);
    CHECK(dx <= limit, "%s: error of dx is %g", c->name, dx);
    CHECK(dv <= limit, "%s: error of dvalues is %g, beta %g", c->name, dv, beta);
    for (int64_t i = 0; dtype == SLT_BF16 && i < n; i++)
        want.w[i] = slt_bf16_value(slt_bf16_nearest(want.w[i]));
    CHECK(memcmp(got.w, want.w, (size_t)n * sizeof(float)) == 0, "%s: scatter", c->name);
    const double gathered = error_of(got.gathered, want.gathered, m->nnz);
    CHECK(gathered <= limit, "%s: error of gather is %g, beta %g", c->name, gathered, beta);
    outcome_free(&want);
    outcome_free(&got);
}

// Each output alone, and each number of threads, gives the bytes of both outputs on one thread.
static void test_same_bytes(const struct sample *c, const struct matrix *m, double beta)
{
    const size_t y_bytes = (size_t)(c->tokens * c->out) * sizeof(float);
    const size_t dx_bytes = (size_t)(c->tokens * c->in) * sizeof(float);
    const size_t dv_bytes = (size_t)m->nnz * sizeof(float);
    struct outcome one = compute(slt_cpu_ops(NULL), SLT_F32, 1, c, m, beta);
    CHECK(memcmp(one.dx, one.dx_only, dx_bytes) == 0, "%s: dx alone", c->name);
    CHECK(memcmp(one.dvalues, one.dvalues_only, dv_bytes) == 0, "%s: dvalues alone", c->name);
    for (int threads = 2; threads <= 5; threads++) {
        struct outcome more = compute(slt_cpu_ops(NULL), SLT_F32, threads, c, m, beta);
        CHECK(memcmp(one.y, more.y, y_bytes) == 0, "%s: y, %d threads", c->name, threads);
        CHECK(memcmp(one.dx, more.dx, dx_bytes) == 0, "%s: dx, %d threads", c->name, threads);
        CHECK(memcmp(one.dvalues, more.dvalues, dv_bytes) == 0, "%s: dvalues, %d threads", c->name,
              threads);
        outcome_free(&more);
    }
    outcome_free(&one);
}

// Rows [first, first + rows) of a matrix; column and value stay the whole one's.
static struct matrix matrix_rows(const struct matrix *m, int64_t first, int64_t rows)
{
    struct matrix part = {.rows = rows, .cols = m->cols};
    const int64_t start = m->row_start[first];
    part.nnz = m->row_start[first + rows] - start;
    part.row_start = malloc((size_t)(rows + 1) * sizeof *part.row_start);
    for (int64_t i = 0; i <= rows; i++)
        part.row_start[i] = m->row_start[first + i] - start;
    part.column = (uint16_t *)m->column + start;
    part.value = m->value + start;
    return part;
}

// The members of a group, stacked by rows in one matrix, give the bytes of separate products.
static void test_stacked_members(void)
{
    enum { T = 90, IN = 50, MEMBERS = 3 };
    const int64_t out[MEMBERS] = {40, 24, 24}, all_out = 88;
    struct matrix m = matrix_random(all_out, IN, 0.1, 9);
    const struct slt_op_shape shape = {
        .dtype = SLT_F32, .tokens = T, .in = IN, .out = all_out, .nnz = m.nnz};
    struct backend b = backend_open(slt_cpu_ops(NULL), 2, SLT_OP_SPARSE, &shape);
    float *x_host = random_values(T * IN, 1), *dy_host = random_values(T * all_out, 2);
    const struct slt_act x = act_with(&b, T, IN, x_host), dy = act_with(&b, T, all_out, dy_host);
    struct slt_act y[2], dx[2];
    float *dvalues[2], *y_values[2], *dx_values[2];
    for (int separate = 0; separate < 2; separate++) {
        y[separate] = act_with(&b, T, all_out, dy_host);
        dx[separate] = act_with(&b, T, IN, x_host);
        dvalues[separate] = malloc((size_t)m.nnz * sizeof(float));
        int64_t first = 0;
        for (int i = 0; i < (separate ? MEMBERS : 1); i++) {
            const int64_t rows = separate ? out[i] : all_out;
            struct matrix part = matrix_rows(&m, first, rows);
            struct slt_csr csr = csr_with(&b, &part);
            const struct slt_tensor values = tensor_with(&b, SLT_F32, 1, part.nnz, part.value);
            const struct slt_tensor dv = tensor_with(&b, SLT_F32, 1, part.nnz, NULL);
            b.ops->sparse_forward(b.ctx, slt_act_slice(y[separate], first, rows), x, csr, values);
            b.ops->sparse_backward(b.ctx, dx[separate], dv, 0, slt_act_slice(dy, first, rows), x,
                                   csr, values);
            float *read = tensor_values(&b, dv);
            memcpy(dvalues[separate] + m.row_start[first], read, (size_t)part.nnz * sizeof(float));
            free(read);
            b.ops->buffer_free(b.ctx, values.buffer);
            csr_free(&b, &csr);
            free(part.row_start);
            first += rows;
        }
        y_values[separate] = act_values(&b, y[separate]);
        dx_values[separate] = act_values(&b, dx[separate]);
    }
    CHECK(memcmp(y_values[0], y_values[1], T * (size_t)all_out * sizeof(float)) == 0, "y");
    CHECK(memcmp(dx_values[0], dx_values[1], sizeof(float) * T * IN) == 0, "dx");
    CHECK(memcmp(dvalues[0], dvalues[1], (size_t)m.nnz * sizeof(float)) == 0, "dvalues");
    b.ops->buffer_free(b.ctx, x.buffer);
    b.ops->buffer_free(b.ctx, dy.buffer);
    backend_close(&b);
    for (int i = 0; i < 2; i++) {
        free(y_values[i]);
        free(dx_values[i]);
        free(dvalues[i]);
    }
    free(x_host);
    free(dy_host);
    matrix_free(&m);
}

static const struct sample banded[] = {
    {"16 x 1", 100, 130, 100, 0.1, 1},
    {"16 x 16", 70, 96, 83, 0.3, 16},
    {"16 x 8", 260, 72, 67, 0.2, 8},
    {"16 x 1, many columns", 20, 700, 51, 0.3, 1},
    {"16 x 1, many tokens", 4133, 40, 35, 0.3, 1},
    {"16 x 16, one token", 1, 64, 51, 0.5, 16},
    {"16 x 1, two tokens", 2, 70, 40, 0.2, 1},
    {"16 x 1, 47 tokens", 47, 61, 19, 0.5, 1},
    {"16 x 2, 49 tokens", 49, 34, 131, 0.3, 2},
    {"16 x 1, one column", 800, 1, 35, 1, 1},
    {"16 x 3, few positions", 97, 300, 67, 0.02, 3},
    {"16 x 1, all positions", 1537, 33, 51, 1, 1},
};

// Bands on every instruction set of this machine's CPU.
static void test_bands(const struct sample *c, const struct matrix *m)
{
    static const char *const isas[] = {"avx512", "avx2", "plain"};
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        const struct slt_ops *ops = slt_cpu_ops(isas[i]);
        for (int beta = 0; beta < 2 && ops != NULL; beta++)
            test_against_reference(ops, SLT_F32, c, m, 0.5 * beta);
    }
    test_same_bytes(c, m, 0.5);
}

int main(void)
{
    for (size_t i = 0; i < sizeof banded / sizeof banded[0]; i++) {
        static const char *const orders[] = {"forward", "reverse", "random"};
        struct matrix m = matrix_banded(&banded[i], 100 + i);
        CHECK(m.nnz > 0, "%s: no positions", banded[i].name);
        test_bands(&banded[i], &m);
        for (int k = 0; k < 3 && emulated_ops() != NULL; k++) {
            emulated_order(orders[k]);
            test_against_reference(emulated_ops(), SLT_BF16, &banded[i], &m, k == 1 ? 0 : 0.5);
        }
        if (emulated_ops() != NULL)
            emulated_order("forward");
        matrix_free(&m);
    }
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const struct sample *c = &samples[i];
        struct matrix m = matrix_random(c->out, c->in, c->density, 7 + i);
        test_against_reference(slt_cpu_ops(NULL), SLT_F32, c, &m, 0);
        test_against_reference(slt_cpu_ops(NULL), SLT_F32, c, &m, 0.5);
        if (emulated_ops() != NULL) {
            test_against_reference(emulated_ops(), SLT_F32, c, &m, i % 2 ? 0 : 0.5);
            test_against_reference(emulated_ops(), SLT_BF16, c, &m, i % 2 ? 0.5 : 0);
        }
        test_same_bytes(c, &m, i % 2 ? 0.5 : 1);
        matrix_free(&m);
    }
    test_stacked_members();
    return TEST_END();
}
