// Every operation's backward against central finite differences of its forward, in double, on the
// reference backend. The loss is a fixed random weighting of the outputs.
//
// LIMIT: with a step h = 1e-5 and values of order 1, central differences are off by h^2/6 f''' and
// by eps |loss| / h, about 1e-10 both; sums over a few hundred terms leave room below 1e-7. A wrong
// term in a backward is off by 1e-2 or more.
#include "device.h"
#include "kernels/cpu/reference.h"

#define STEP  1e-5
#define LIMIT 1e-7

typedef double loss_function(void *self);

// Compares analytic (count) with base + the numeric gradient at values (count); base may be NULL.
static void check_gradient(const char *name, double *values, const double *analytic,
                           const double *base, double beta, int64_t count, loss_function *loss,
                           void *self)
{
    double *numeric = malloc((size_t)count * sizeof *numeric);
    for (int64_t i = 0; i < count; i++) {
        const double value = values[i];
        values[i] = value + STEP;
        const double above = loss(self);
        values[i] = value - STEP;
        const double below = loss(self);
        values[i] = value;
        numeric[i] = (above - below) / (2 * STEP) + (base != NULL ? beta * base[i] : 0);
    }
    const double distance = host_distance(analytic, numeric, count);
    CHECK(distance < LIMIT, "%s: relative distance %.3g", name, distance);
    free(numeric);
}

static struct device open_f64(void)
{
    return device_open(&slt_cpu_reference_f64_ops, SLT_F64, 1);
}

static double weighted(struct device *d, struct slt_act y, const double *weight)
{
    double *values = malloc((size_t)(y.tokens * y.features) * sizeof *values);
    device_get_act(d, values, y);
    const double loss = host_dot(values, weight, y.tokens * y.features);
    free(values);
    return loss;
}

// ---- Embedding ----

enum { EMB_V = 5, EMB_D = 3, EMB_T = 7 };

struct embedding {
    double *w, *dy; // (V, d), (T, d)
    int32_t *id;    // (T)
};

static double embedding_loss(void *self)
{
    const struct embedding *e = self;
    struct device d = open_f64();
    const struct slt_act y = device_act(&d, EMB_T, EMB_D, NULL);
    d.ops->embedding_forward(d.ctx, y, device_tensor(&d, EMB_V, EMB_D, e->w),
                             device_bytes(&d, SLT_I32, EMB_T, e->id));
    const double loss = weighted(&d, y, e->dy);
    device_close(&d);
    return loss;
}

static void test_embedding(double beta)
{
    struct embedding e = {host_random("w", EMB_V * EMB_D, 1), host_random("dy", EMB_T * EMB_D, 1),
                          host_integers("id", EMB_T, 0, EMB_V)};
    double *base = host_random("dw", EMB_V * EMB_D, 1), got[EMB_V * EMB_D];
    struct device d = open_f64();
    device_work(&d, SLT_OP_EMBEDDING,
                (struct slt_op_shape){.tokens = EMB_T, .in = EMB_D, .out = EMB_V});
    const struct slt_tensor dw = device_tensor(&d, EMB_V, EMB_D, beta == 0 ? NULL : base);
    d.ops->embedding_backward(d.ctx, dw, beta, device_act(&d, EMB_T, EMB_D, e.dy),
                              device_bytes(&d, SLT_I32, EMB_T, e.id));
    device_get(&d, got, dw);
    check_gradient("embedding dw", e.w, got, base, beta, EMB_V * EMB_D, embedding_loss, &e);
    device_close(&d);
    free(e.w), free(e.dy), free(e.id), free(base);
}

// ---- RMSNorm ----

enum { NORM_T = 5, NORM_D = 7, NORM_N = NORM_T * NORM_D };

struct norm {
    double *x, *r, *g, *dy, *dz; // r may be NULL; (T, d) and g (d)
};

static struct slt_act norm_forward(struct device *d, const struct norm *n, struct slt_act *z,
                                   struct slt_tensor *rstd)
{
    const struct slt_act x = device_act(d, NORM_T, NORM_D, n->x), none = {0};
    const struct slt_act y = device_act(d, NORM_T, NORM_D, NULL);
    *z = n->r == NULL ? x : device_act(d, NORM_T, NORM_D, NULL);
    *rstd = device_tensor(d, 1, NORM_T, NULL);
    d->ops->rmsnorm_forward(d->ctx, y, *z, *rstd, x,
                            n->r == NULL ? none : device_act(d, NORM_T, NORM_D, n->r),
                            device_tensor(d, 1, NORM_D, n->g), 1e-3);
    return y;
}

static double norm_loss(void *self)
{
    const struct norm *n = self;
    struct device d = open_f64();
    struct slt_act z;
    struct slt_tensor rstd;
    const struct slt_act y = norm_forward(&d, n, &z, &rstd);
    const double loss = weighted(&d, y, n->dy) + weighted(&d, z, n->dz);
    device_close(&d);
    return loss;
}

static void test_rmsnorm(bool residual, double beta)
{
    struct norm n = {host_random("x", NORM_N, 1), residual ? host_random("r", NORM_N, 1) : NULL,
                     host_random("g", NORM_D, 1), host_random("dy", NORM_N, 1),
                     host_random("dz", NORM_N, 1)};
    double *base = host_random("dg", NORM_D, 1), got[NORM_N];
    struct device d = open_f64();
    struct slt_act z;
    struct slt_tensor rstd;
    norm_forward(&d, &n, &z, &rstd);
    const struct slt_act dx = device_act(&d, NORM_T, NORM_D, n.dz);
    const struct slt_tensor dg = device_tensor(&d, 1, NORM_D, beta == 0 ? NULL : base);
    d.ops->rmsnorm_backward(d.ctx, dx, dg, beta, device_act(&d, NORM_T, NORM_D, n.dy), z, rstd,
                            device_tensor(&d, 1, NORM_D, n.g));
    device_get_act(&d, got, dx);
    check_gradient("rmsnorm dx", n.x, got, NULL, 0, NORM_N, norm_loss, &n);
    if (residual)
        check_gradient("rmsnorm dr", n.r, got, NULL, 0, NORM_N, norm_loss, &n);
    device_get(&d, got, dg);
    check_gradient("rmsnorm dg", n.g, got, base, beta, NORM_D, norm_loss, &n);
    device_close(&d);
    free(n.x), free(n.r), free(n.g), free(n.dy), free(n.dz), free(base);
}

// ---- Attention ----

struct attention {
    struct slt_attention shape;
    int64_t tokens, features, outputs;
    double *qkv, *dout, *rope;
};

struct attention_state {
    struct slt_act qkv, o;
    struct slt_tensor lse, rope;
};

static struct attention_state attention_forward(struct device *d, const struct attention *a)
{
    const struct attention_state s = {device_act(d, a->tokens, a->features, a->qkv),
                                      device_act(d, a->tokens, a->outputs, NULL),
                                      device_tensor(d, a->shape.heads, a->tokens, NULL),
                                      device_tensor(d, a->shape.head_dim, a->shape.seq, a->rope)};
    device_work(d, SLT_OP_ATTENTION,
                (struct slt_op_shape){.tokens = a->tokens, .attention = a->shape});
    d->ops->attention_forward(d->ctx, s.o, s.lse, s.qkv, s.rope, a->shape);
    return s;
}

static double attention_loss(void *self)
{
    const struct attention *a = self;
    struct device d = open_f64();
    const double loss = weighted(&d, attention_forward(&d, a).o, a->dout);
    device_close(&d);
    return loss;
}

static void test_attention(struct slt_attention shape)
{
    struct attention a = {.shape = shape,
                          .tokens = shape.batch * shape.seq,
                          .features = (shape.heads + 2 * shape.kv_heads) * shape.head_dim,
                          .outputs = shape.heads * shape.head_dim};
    const int64_t count = a.tokens * a.features;
    a.qkv = host_random("qkv", count, 2);
    a.dout = host_random("do", a.tokens * a.outputs, 1);
    a.rope = host_rope(shape.head_dim, shape.seq);
    double *got = malloc((size_t)count * sizeof *got);
    struct device d = open_f64();
    const struct attention_state s = attention_forward(&d, &a);
    const struct slt_act dqkv = device_act(&d, a.tokens, a.features, NULL);
    d.ops->attention_backward(d.ctx, dqkv, device_act(&d, a.tokens, a.outputs, a.dout), s.qkv, s.o,
                              s.lse, s.rope, shape);
    device_get_act(&d, got, dqkv);
    check_gradient("attention dqkv", a.qkv, got, NULL, 0, count, attention_loss, &a);
    device_close(&d);
    free(a.qkv), free(a.dout), free(a.rope), free(got);
}

// ---- SwiGLU ----

enum { GLU_T = 5, GLU_F = 3 };

struct swiglu {
    double *gu, *dy; // (T, 2f), (T, f)
};

static double swiglu_loss(void *self)
{
    const struct swiglu *s = self;
    struct device d = open_f64();
    const struct slt_act y = device_act(&d, GLU_T, GLU_F, NULL);
    d.ops->swiglu_forward(d.ctx, y, device_act(&d, GLU_T, 2 * GLU_F, s->gu));
    const double loss = weighted(&d, y, s->dy);
    device_close(&d);
    return loss;
}

static void test_swiglu(void)
{
    struct swiglu s = {host_random("gu", GLU_T * 2 * GLU_F, 4),
                       host_random("dy", GLU_T * GLU_F, 1)};
    double got[GLU_T * 2 * GLU_F];
    struct device d = open_f64();
    const struct slt_act gu = device_act(&d, GLU_T, 2 * GLU_F, s.gu);
    d.ops->swiglu_backward(d.ctx, gu, device_act(&d, GLU_T, GLU_F, s.dy), gu);
    device_get_act(&d, got, gu);
    check_gradient("swiglu dgu, in place", s.gu, got, NULL, 0, GLU_T * 2 * GLU_F, swiglu_loss, &s);
    device_close(&d);
    free(s.gu), free(s.dy);
}

// ---- Head and loss ----

enum { HEAD_T = 6, HEAD_D = 4, HEAD_V = 9 };

struct head {
    double *x, *w; // (T, d), (V, d)
    int32_t *target;
    double scale;
};

// The gradients into dx and dw, or with dx NULL the scaled loss only.
static double head_run(const struct head *h, double *dx, double *dw, double beta,
                       const double *base)
{
    const struct slt_act none = {0};
    const struct slt_tensor no_tensor = {0};
    struct device d = open_f64();
    device_work(&d, SLT_OP_HEAD_LOSS,
                (struct slt_op_shape){.tokens = HEAD_T, .in = HEAD_D, .out = HEAD_V});
    const struct slt_tensor scalars = device_scalars(&d, SLT_SCALAR_LOSS_SCALE, h->scale);
    const struct slt_act x = device_act(&d, HEAD_T, HEAD_D, h->x);
    const struct slt_tensor w = device_tensor(&d, HEAD_V, HEAD_D, h->w);
    const struct slt_tensor target = device_bytes(&d, SLT_I32, HEAD_T, h->target);
    if (dx == NULL) {
        d.ops->head_loss(d.ctx, scalars, none, no_tensor, 0, x, w, target);
    } else {
        const struct slt_act dx_act = device_act(&d, HEAD_T, HEAD_D, NULL);
        const struct slt_tensor dw_tensor = device_tensor(&d, HEAD_V, HEAD_D, base);
        d.ops->head_loss(d.ctx, scalars, dx_act, dw_tensor, beta, x, w, target);
        device_get_act(&d, dx, dx_act);
        device_get(&d, dw, dw_tensor);
    }
    const double loss = device_scalar(&d, scalars, SLT_SCALAR_LOSS);
    device_close(&d);
    return loss * h->scale;
}

static double head_objective(void *self)
{
    return head_run(self, NULL, NULL, 0, NULL);
}

static void test_head(double beta)
{
    struct head h = {host_random("x", HEAD_T * HEAD_D, 2), host_random("w", HEAD_V * HEAD_D, 2),
                     host_integers("target", HEAD_T, 0, HEAD_V), 0.3};
    double *base = host_random("dw", HEAD_V * HEAD_D, 1);
    double dx[HEAD_T * HEAD_D], dw[HEAD_V * HEAD_D];
    h.target[2] = -1;
    const double with = head_run(&h, dx, dw, beta, beta == 0 ? NULL : base);
    const double without = head_run(&h, NULL, NULL, 0, NULL);
    CHECK(with == without, "losses %.17g and %.17g", with, without);
    check_gradient("head dx", h.x, dx, NULL, 0, HEAD_T * HEAD_D, head_objective, &h);
    check_gradient("head dw", h.w, dw, base, beta, HEAD_V * HEAD_D, head_objective, &h);
    free(h.x), free(h.w), free(h.target), free(base);
}

// ---- Linear ----

enum { LIN_T = 5, LIN_IN = 4, LIN_OUT = 3 };

struct linear {
    double *x, *w, *y, *dy; // (T, in), (out, in), (T, out): what y held before, (T, out)
    double alpha, beta;
};

static double linear_loss(void *self)
{
    const struct linear *l = self;
    struct device d = open_f64();
    const struct slt_act y = device_act(&d, LIN_T, LIN_OUT, l->beta == 0 ? NULL : l->y);
    d.ops->linear_forward(d.ctx, y, l->beta, device_act(&d, LIN_T, LIN_IN, l->x),
                          device_tensor(&d, LIN_OUT, LIN_IN, l->w), l->alpha);
    const double loss = weighted(&d, y, l->dy);
    device_close(&d);
    return loss;
}

static void test_linear(double alpha, double beta)
{
    struct linear l = {host_random("x", LIN_T * LIN_IN, 1),
                       host_random("w", LIN_OUT * LIN_IN, 1),
                       host_random("y", LIN_T * LIN_OUT, 1),
                       host_random("dy", LIN_T * LIN_OUT, 1),
                       alpha,
                       beta};
    double *dx0 = host_random("dx", LIN_T * LIN_IN, 1);
    double *dw0 = host_random("dw", LIN_OUT * LIN_IN, 1);
    double got[LIN_T * LIN_IN];
    struct device d = open_f64();
    const struct slt_act x = device_act(&d, LIN_T, LIN_IN, l.x);
    const struct slt_act dy = device_act(&d, LIN_T, LIN_OUT, l.dy);
    const struct slt_act dx = device_act(&d, LIN_T, LIN_IN, beta == 0 ? NULL : dx0);
    const struct slt_tensor dw = device_tensor(&d, LIN_OUT, LIN_IN, beta == 0 ? NULL : dw0);
    d.ops->linear_backward_input(d.ctx, dx, beta, dy, device_tensor(&d, LIN_OUT, LIN_IN, l.w),
                                 alpha);
    d.ops->linear_backward_weight(d.ctx, dw, beta, dy, x, alpha);
    device_get_act(&d, got, dx);
    check_gradient("linear dx", l.x, got, dx0, beta, LIN_T * LIN_IN, linear_loss, &l);
    device_get(&d, got, dw);
    check_gradient("linear dw", l.w, got, dw0, beta, LIN_OUT * LIN_IN, linear_loss, &l);
    device_close(&d);
    free(l.x), free(l.w), free(l.y), free(l.dy), free(dx0), free(dw0);
}

// ---- Matrix products: da = alpha dc op(b)^T and db = alpha op(a)^T dc are such products too ----

enum { MAT_M = 4, MAT_N = 3, MAT_K = 5 };

struct matmul {
    double *a, *b, *dc; // op(a) (m, k), op(b) (k, n), (m, n)
    bool transpose_a, transpose_b;
};

static struct slt_tensor operand(struct device *d, bool transpose, int64_t rows, int64_t cols,
                                 const double *values)
{
    return transpose ? device_tensor(d, cols, rows, values) : device_tensor(d, rows, cols, values);
}

static double matmul_loss(void *self)
{
    const struct matmul *m = self;
    double values[MAT_M * MAT_N];
    struct device d = open_f64();
    const struct slt_tensor c = device_tensor(&d, MAT_M, MAT_N, NULL);
    d.ops->matmul(d.ctx, c, 0, operand(&d, m->transpose_a, MAT_M, MAT_K, m->a), m->transpose_a,
                  operand(&d, m->transpose_b, MAT_K, MAT_N, m->b), m->transpose_b, 0.7);
    device_get(&d, values, c);
    device_close(&d);
    return host_dot(values, m->dc, MAT_M * MAT_N);
}

// The gradient at a when neither operand is transposed, then at b when both are.
static void test_matmul(bool transposed)
{
    struct matmul m = {host_random("a", MAT_M * MAT_K, 1), host_random("b", MAT_K * MAT_N, 1),
                       host_random("dc", MAT_M * MAT_N, 1), transposed, transposed};
    double *base = host_random("base", MAT_M * MAT_K, 1), got[MAT_M * MAT_K];
    struct device d = open_f64();
    const struct slt_tensor a = operand(&d, transposed, MAT_M, MAT_K, m.a);
    const struct slt_tensor b = operand(&d, transposed, MAT_K, MAT_N, m.b);
    const struct slt_tensor dc = device_tensor(&d, MAT_M, MAT_N, m.dc);
    const struct slt_tensor da = device_tensor(&d, MAT_M, MAT_K, base);
    const struct slt_tensor db = operand(&d, transposed, MAT_K, MAT_N, NULL);
    if (transposed) {
        d.ops->matmul(d.ctx, db, 0, dc, true, a, true, 0.7); // (n, k) = dc^T op(a)
        device_get(&d, got, db);
        check_gradient("matmul db", m.b, got, NULL, 0, MAT_K * MAT_N, matmul_loss, &m);
    } else {
        d.ops->matmul(d.ctx, da, 0.5, dc, false, b, true, 0.7);
        device_get(&d, got, da);
        check_gradient("matmul da", m.a, got, base, 0.5, MAT_M * MAT_K, matmul_loss, &m);
    }
    device_close(&d);
    free(m.a), free(m.b), free(m.dc), free(base);
}

// ---- Sparse ----

enum { SP_T = 4, SP_OUT = 4, SP_IN = 5, SP_NNZ = 6 };

// Row 1 is empty.
static const int64_t sparse_start[SP_OUT + 1] = {0, 2, 2, 5, 6};
static const uint16_t sparse_column[SP_NNZ] = {1, 3, 0, 1, 4, 2};

struct sparse {
    double *x, *values, *y, *dy; // (T, in), (nnz), (T, out): what y held before, (T, out)
};

static struct slt_csr sparse_support(struct device *d)
{
    return (struct slt_csr){.rows = SP_OUT,
                            .cols = SP_IN,
                            .nnz = SP_NNZ,
                            .row_start = device_bytes(d, SLT_I64, SP_OUT + 1, sparse_start),
                            .column = device_bytes(d, SLT_U16, SP_NNZ, sparse_column)};
}

static double sparse_loss(void *self)
{
    const struct sparse *s = self;
    struct device d = open_f64();
    const struct slt_act y = device_act(&d, SP_T, SP_OUT, s->y);
    d.ops->sparse_forward(d.ctx, y, device_act(&d, SP_T, SP_IN, s->x), sparse_support(&d),
                          device_tensor(&d, 1, SP_NNZ, s->values));
    const double loss = weighted(&d, y, s->dy);
    device_close(&d);
    return loss;
}

static void test_sparse(double beta)
{
    struct sparse s = {host_random("x", SP_T * SP_IN, 1), host_random("values", SP_NNZ, 1),
                       host_random("y", SP_T * SP_OUT, 1), host_random("dy", SP_T * SP_OUT, 1)};
    double *dx0 = host_random("dx", SP_T * SP_IN, 1), *dv0 = host_random("dv", SP_NNZ, 1);
    double got[SP_T * SP_IN];
    struct device d = open_f64();
    device_work(&d, SLT_OP_SPARSE,
                (struct slt_op_shape){.tokens = SP_T, .in = SP_IN, .out = SP_OUT, .nnz = SP_NNZ});
    const struct slt_act dx = device_act(&d, SP_T, SP_IN, dx0);
    const struct slt_tensor dv = device_tensor(&d, 1, SP_NNZ, beta == 0 ? NULL : dv0);
    d.ops->sparse_backward(d.ctx, dx, dv, beta, device_act(&d, SP_T, SP_OUT, s.dy),
                           device_act(&d, SP_T, SP_IN, s.x), sparse_support(&d),
                           device_tensor(&d, 1, SP_NNZ, s.values));
    device_get_act(&d, got, dx);
    check_gradient("sparse dx", s.x, got, dx0, 1, SP_T * SP_IN, sparse_loss, &s);
    device_get(&d, got, dv);
    check_gradient("sparse dvalues", s.values, got, dv0, beta, SP_NNZ, sparse_loss, &s);
    device_close(&d);
    free(s.x), free(s.values), free(s.y), free(s.dy), free(dx0), free(dv0);
}

// The dense route: W = S by scatter, dS from a dense gradient by gather.
static double scatter_loss(void *self)
{
    const struct sparse *s = self; // y here weights W (out, in)
    double w[SP_OUT * SP_IN];
    struct device d = open_f64();
    const struct slt_tensor tensor = device_tensor(&d, SP_OUT, SP_IN, NULL);
    d.ops->sparse_scatter(d.ctx, tensor, sparse_support(&d),
                          device_tensor(&d, 1, SP_NNZ, s->values));
    device_get(&d, w, tensor);
    device_close(&d);
    return host_dot(w, s->y, SP_OUT * SP_IN);
}

static void test_scatter(void)
{
    struct sparse s = {.values = host_random("values", SP_NNZ, 1),
                       .y = host_random("g", SP_OUT * SP_IN, 1)};
    double *dv0 = host_random("dv", SP_NNZ, 1), got[SP_NNZ];
    struct device d = open_f64();
    const struct slt_tensor dv = device_tensor(&d, 1, SP_NNZ, dv0);
    d.ops->sparse_gather(d.ctx, dv, 0.5, device_tensor(&d, SP_OUT, SP_IN, s.y), sparse_support(&d));
    device_get(&d, got, dv);
    check_gradient("sparse gather", s.values, got, dv0, 0.5, SP_NNZ, scatter_loss, &s);
    device_close(&d);
    free(s.values), free(s.y), free(dv0);
}

int main(void)
{
    for (int i = 0; i < 2; i++) {
        const double beta = i == 0 ? 0 : 0.6;
        test_embedding(beta);
        test_rmsnorm(i == 1, beta);
        test_head(beta);
        test_linear(i == 0 ? 1 : 0.4, beta);
        test_sparse(beta);
        test_matmul(i == 1);
    }
    test_attention((struct slt_attention){2, 5, 6, 2, 4, 0});
    test_attention((struct slt_attention){1, 6, 2, 2, 6, 0});
    test_attention((struct slt_attention){3, 1, 2, 1, 2, 0});
    test_swiglu();
    test_scatter();
    return TEST_END();
}
