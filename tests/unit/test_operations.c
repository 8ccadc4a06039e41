// Every operation that is vectorised over tokens, in every instruction set of this machine, against
// the reference: by normalised squared error, and the same bytes with 1, 2 and 3 threads.
#include "device.h"
#include "emulated.h"

#define MOST_RESULTS 8

// What an operation wrote, in order.
struct outcome {
    int count;
    const char *name[MOST_RESULTS];
    double *values[MOST_RESULTS];
    int64_t size[MOST_RESULTS];
};

static void keep_act(struct outcome *o, struct device *d, const char *name, struct slt_act act)
{
    o->name[o->count] = name;
    o->size[o->count] = act.tokens * act.features;
    o->values[o->count] = malloc((size_t)o->size[o->count] * sizeof(double) + 1);
    device_get_act(d, o->values[o->count++], act);
}

static void keep(struct outcome *o, struct device *d, const char *name, struct slt_tensor t)
{
    o->name[o->count] = name;
    o->size[o->count] = t.rows * t.cols;
    o->values[o->count] = malloc((size_t)o->size[o->count] * sizeof(double) + 1);
    device_get(d, o->values[o->count++], t);
}

static void outcome_free(struct outcome *o)
{
    for (int i = 0; i < o->count; i++)
        free(o->values[i]);
}

// Random inputs, freed with their device's test: a small pool keeps the calls short.
static double *pool[64];
static int pooled;

static const double *random_input(const char *name, int64_t count, double bound)
{
    return pool[pooled++] = host_random(name, count, bound);
}

static void pool_free(void)
{
    while (pooled > 0)
        free(pool[--pooled]);
}

struct sample {
    int64_t tokens, d, vocab; // or features, for what has no vocabulary
    struct slt_attention attention;
};

typedef void run_fn(struct outcome *o, struct device *d, const struct sample *s);

// ---- The operations ----

static void run_embedding(struct outcome *o, struct device *d, const struct sample *s)
{
    int32_t *id = host_integers("id", s->tokens, 0, (int32_t)s->vocab);
    const struct slt_tensor w =
        device_weight(d, s->vocab, s->d, random_input("w", s->vocab * s->d, 1));
    const struct slt_tensor dw =
        device_tensor(d, s->vocab, s->d, random_input("dw", s->vocab * s->d, 1));
    const struct slt_tensor fresh = device_tensor(d, s->vocab, s->d, NULL);
    const struct slt_tensor tokens = device_bytes(d, SLT_I32, s->tokens, id);
    const struct slt_act y = device_act(d, s->tokens, s->d, NULL);
    const struct slt_act dy =
        device_act(d, s->tokens, s->d, random_input("dy", s->tokens * s->d, 1));
    device_work(d, SLT_OP_EMBEDDING,
                (struct slt_op_shape){.tokens = s->tokens, .in = s->d, .out = s->vocab});
    d->ops->embedding_forward(d->ctx, y, w, tokens);
    d->ops->embedding_backward(d->ctx, dw, 0.5, dy, tokens);
    d->ops->embedding_backward(d->ctx, fresh, 0, dy, tokens);
    keep_act(o, d, "embedding y", y);
    keep(o, d, "embedding dw", dw);
    keep(o, d, "embedding dw, beta 0", fresh);
    free(id);
}

static void run_rmsnorm(struct outcome *o, struct device *d, const struct sample *s)
{
    const int64_t n = s->tokens * s->d;
    const struct slt_act x = device_act(d, s->tokens, s->d, random_input("x", n, 1));
    const struct slt_act r = device_act(d, s->tokens, s->d, random_input("r", n, 2));
    const struct slt_act dy = device_act(d, s->tokens, s->d, random_input("dy", n, 1));
    const struct slt_act dx = device_act(d, s->tokens, s->d, random_input("dx", n, 1));
    const struct slt_act y = device_act(d, s->tokens, s->d, NULL),
                         z = device_act(d, s->tokens, s->d, NULL);
    const struct slt_act alone = device_act(d, s->tokens, s->d, NULL), none = {0};
    const struct slt_tensor g = device_tensor(d, 1, s->d, random_input("g", s->d, 1));
    const struct slt_tensor dg = device_tensor(d, 1, s->d, random_input("dg", s->d, 1));
    const struct slt_tensor rstd = device_tensor(d, 1, s->tokens, NULL);
    device_work(d, SLT_OP_RMSNORM, (struct slt_op_shape){.tokens = s->tokens, .in = s->d});
    d->ops->rmsnorm_forward(d->ctx, alone, none, rstd, x, none, g, 1e-5);
    d->ops->rmsnorm_forward(d->ctx, y, z, rstd, x, r, g, 1e-5);
    d->ops->rmsnorm_backward(d->ctx, dx, dg, 0.5, dy, z, rstd, g);
    keep_act(o, d, "rmsnorm y without a residual", alone);
    keep_act(o, d, "rmsnorm y", y);
    keep_act(o, d, "rmsnorm z", z);
    keep(o, d, "rmsnorm rstd", rstd);
    keep_act(o, d, "rmsnorm dx", dx);
    keep(o, d, "rmsnorm dg", dg);
    d->ops->add(d->ctx, dx, r);
    keep_act(o, d, "add", dx);
}

static void run_swiglu(struct outcome *o, struct device *d, const struct sample *s)
{
    // Up begins at a multiple of 8 for some; what lies before it is not to be seen.
    const int64_t n = s->tokens * s->d, gap = s->tokens % 2 == 1 ? (s->d + 7) / 8 * 8 : s->d;
    // Gates up to 100, where the exponential saturates.
    double *gu = host_random("gu", 2 * s->tokens * gap, 3);
    for (int64_t i = 0; i < 2 * s->tokens * gap; i += 7)
        gu[i] *= 33;
    for (int64_t i = 0; i < 2 * s->tokens; i++)
        for (int64_t f = s->d; f < gap; f++)
            gu[i * gap + f] = NAN;
    const struct slt_act in = device_act(d, s->tokens, 2 * gap, gu);
    const struct slt_act y = device_act(d, s->tokens, s->d, NULL);
    const struct slt_act dy = device_act(d, s->tokens, s->d, random_input("dy", n, 1));
    device_work(d, SLT_OP_SWIGLU, (struct slt_op_shape){.tokens = s->tokens, .in = s->d});
    d->ops->swiglu_forward(d->ctx, y, in);
    keep_act(o, d, "swiglu y", y);
    d->ops->swiglu_backward(d->ctx, in, dy, in);
    keep_act(o, d, "swiglu dgu in place", in);
    free(gu);
}

static void run_attention(struct outcome *o, struct device *d, const struct sample *s)
{
    const struct slt_attention a = s->attention;
    const int64_t t = a.batch * a.seq, q = a.heads * a.head_dim,
                  all = q + 2 * a.kv_heads * a.head_dim;
    const struct slt_act qkv = device_act(d, t, all, random_input("qkv", t * all, 2));
    const struct slt_act out = device_act(d, t, q, NULL), dqkv = device_act(d, t, all, NULL);
    const struct slt_act dout = device_act(d, t, q, random_input("do", t * q, 1));
    const struct slt_tensor lse = device_tensor(d, a.heads, t, NULL);
    double *angles = host_rope(a.head_dim, a.seq);
    const struct slt_tensor rope = device_tensor(d, a.head_dim, a.seq, angles);
    device_work(d, SLT_OP_ATTENTION, (struct slt_op_shape){.tokens = t, .attention = a});
    d->ops->attention_forward(d->ctx, out, lse, qkv, rope, a);
    d->ops->attention_backward(d->ctx, dqkv, dout, qkv, out, lse, rope, a);
    keep_act(o, d, "attention o", out);
    keep(o, d, "attention lse", lse);
    keep_act(o, d, "attention dqkv", dqkv);
    free(angles);
}

// A prompt of 2/3 of the sequence, then token after token.
static void run_cached(struct outcome *o, struct device *d, const struct sample *s)
{
    struct slt_attention a = s->attention;
    const int64_t q = a.heads * a.head_dim, kv = a.kv_heads * a.head_dim, all = q + 2 * kv;
    const int64_t seq = a.seq, prompt = (2 * seq + 2) / 3;
    const double *values = random_input("qkv", seq * all, 2);
    double *angles = host_rope(a.head_dim, seq);
    const struct slt_tensor rope = device_tensor(d, a.head_dim, seq, angles);
    const struct slt_act cache = device_act(d, seq, 2 * kv, NULL);
    const struct slt_act first = device_act(d, prompt, all, values),
                         one = device_act(d, 1, all, NULL);
    const struct slt_act first_o = device_act(d, prompt, q, NULL),
                         one_o = device_act(d, 1, q, NULL);
    a.position = seq;
    device_work(d, SLT_OP_ATTENTION, (struct slt_op_shape){.tokens = prompt, .attention = a});
    a.position = 0;
    d->ops->attention_cached(d->ctx, first_o, first, cache, rope, a);
    keep_act(o, d, "cached attention, prompt", first_o);
    for (a.position = prompt; a.position < seq; a.position++) {
        device_put_act(d, one, values + a.position * all);
        d->ops->attention_cached(d->ctx, one_o, one, cache, rope, a);
    }
    if (prompt < seq)
        keep_act(o, d, "cached attention, last token", one_o);
    keep_act(o, d, "cache", cache);
    free(angles);
}

// A long cache: a prompt, then twenty tokens at once, then five, then one.
static void run_long_cache(struct outcome *o, struct device *d, const struct sample *s)
{
    struct slt_attention a = s->attention;
    const int64_t q = a.heads * a.head_dim, kv = a.kv_heads * a.head_dim, all = q + 2 * kv;
    const int64_t part[] = {a.seq - 26, 20, 5, 1};
    const double *values = random_input("qkv", a.seq * all, 2);
    double *angles = host_rope(a.head_dim, a.seq);
    const struct slt_tensor rope = device_tensor(d, a.head_dim, a.seq, angles);
    const struct slt_act cache = device_act(d, a.seq, 2 * kv, NULL);
    static const char *const name[] = {"long cache, prompt", "long cache, twenty",
                                       "long cache, five", "long cache, one"};
    a.position = a.seq;
    device_work(d, SLT_OP_ATTENTION, (struct slt_op_shape){.tokens = part[0], .attention = a});
    a.position = 0;
    for (int k = 0; k < 4; k++) {
        const struct slt_act qkv = device_act(d, part[k], all, values + a.position * all);
        const struct slt_act out = device_act(d, part[k], q, NULL);
        d->ops->attention_cached(d->ctx, out, qkv, cache, rope, a);
        keep_act(o, d, name[k], out);
        a.position += part[k];
    }
    free(angles);
}

static void run_head(struct outcome *o, struct device *d, const struct sample *s)
{
    int32_t *target = host_integers("target", s->tokens, -2, (int32_t)s->vocab);
    const int64_t n = s->vocab * s->d;
    // Logits of about 2, whatever d is, as those of a model are.
    const double scale = 3 / sqrt((double)s->d);
    const struct slt_tensor w = device_weight(d, s->vocab, s->d, random_input("w", n, scale));
    const struct slt_tensor dw = device_tensor(d, s->vocab, s->d, random_input("dw", n, 1e-2));
    const struct slt_tensor targets = device_bytes(d, SLT_I32, s->tokens, target);
    const struct slt_tensor scalars =
        device_scalars(d, SLT_SCALAR_LOSS_SCALE, 1.0 / (double)s->tokens);
    const struct slt_act x = device_act(d, s->tokens, s->d, random_input("x", s->tokens * s->d, 2));
    const struct slt_act dx = device_act(d, s->tokens, s->d, NULL), no_act = {0};
    const struct slt_tensor no_tensor = {0};
    device_work(d, SLT_OP_HEAD_LOSS,
                (struct slt_op_shape){.tokens = s->tokens, .in = s->d, .out = s->vocab});
    d->ops->head_loss(d->ctx, scalars, no_act, no_tensor, 0, x, w, targets);
    const double loss = device_scalar(d, scalars, SLT_SCALAR_LOSS);
    d->ops->head_loss(d->ctx, scalars, dx, dw, 0.5, x, w, targets);
    const double twice = device_scalar(d, scalars, SLT_SCALAR_LOSS);
    CHECK(fabs(twice - 2 * loss) <= 1e-9 * fabs(twice), "loss %g, with gradients %g", loss, twice);
    keep(o, d, "head scalars", scalars);
    keep_act(o, d, "head dx", dx);
    keep(o, d, "head dw", dw);
    free(target);
}

// Elements [at, at + n) of a tensor.
static struct slt_tensor elements(struct slt_tensor t, int64_t at, int64_t n)
{
    return slt_tensor_view(t.buffer, t.offset + (uint64_t)at * slt_dtype_size(t.dtype), t.dtype, 1,
                           n);
}

// The norm of more tensors than a launch passes: of all sizes up to s->d, s->tokens of them, one
// behind the other in one buffer, absent ones and empty ones among them.
static void run_norm(struct outcome *o, struct device *d, const struct sample *s)
{
    const int64_t most = s->tokens * s->d;
    const struct slt_tensor all = device_weight(d, 1, most, random_input("all", most, 1));
    struct slt_tensor *grads = calloc((size_t)s->tokens, sizeof *grads);
    double values[SLT_SCALARS] = {0};
    int64_t used = 0;
    for (int64_t k = 0; k < s->tokens; k++) {
        const int64_t n = k % 7 == 3 ? 0 : (k * k * 31 + 5) % s->d;
        if (k % 5 == 4)
            continue;
        grads[k] = elements(all, used, n);
        used += n;
    }
    const struct slt_tensor scalars = device_bytes(d, SLT_F64, SLT_SCALARS, values);
    device_work(d, SLT_OP_GRAD_NORM, (struct slt_op_shape){.nnz = used, .out = s->tokens});
    d->ops->grad_norm(d->ctx, scalars, grads, s->tokens);
    keep(o, d, "norm of many", scalars);
    const double zeros[1000] = {0};
    const int64_t blocks = (used + SLT_NORM_BLOCK - 1) / SLT_NORM_BLOCK;
    CHECK(blocks > 1 && blocks <= 1000, "%lld blocks", (long long)blocks);
    const struct slt_tensor sums = device_bytes(d, SLT_F64, blocks, zeros);
    d->ops->grad_squares(d->ctx, sums, elements(all, 0, used));
    keep(o, d, "squares of blocks", sums);
    d->ops->norm_of_squares(d->ctx, scalars, sums);
    keep(o, d, "norm of squares", scalars);
    free(grads);
}

static void run_optimizer(struct outcome *o, struct device *d, const struct sample *s)
{
    const int64_t n = s->tokens * s->d;
    const struct slt_tensor p = device_tensor(d, s->tokens, s->d, random_input("p", n, 1));
    const struct slt_tensor m = device_tensor(d, s->tokens, s->d, random_input("m", n, 0.1));
    double *squares = host_random("v", n, 0.1);
    for (int64_t i = 0; i < n; i++)
        squares[i] = fabs(squares[i]);
    const struct slt_tensor v = device_tensor(d, s->tokens, s->d, squares);
    const struct slt_tensor g[2] = {device_tensor(d, s->tokens, s->d, random_input("g", n, 1)),
                                    device_tensor(d, 1, 5, random_input("few", 5, 1))};
    double values[SLT_SCALARS] = {0};
    values[SLT_SCALAR_LR] = 0.01;
    values[SLT_SCALAR_C1] = 1 - 0.9;
    values[SLT_SCALAR_C2] = 1 - 0.999;
    values[SLT_SCALAR_CLIP] = 0.5;
    const struct slt_tensor scalars = device_bytes(d, SLT_F64, SLT_SCALARS, values);
    const struct slt_adam_item item = {.param = p, .grad = g[0], .m = m, .v = v, .rate = 1};
    const struct slt_adam hyper = {
        .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1, .eps_corrected = true};
    device_work(d, SLT_OP_GRAD_NORM, (struct slt_op_shape){.nnz = n + 5, .out = 2});
    d->ops->grad_norm(d->ctx, scalars, g, 2);
    d->ops->adam_step(d->ctx, &item, 1, &hyper, scalars);
    keep(o, d, "grad_norm scalars", scalars);
    keep(o, d, "adam p", p);
    keep(o, d, "adam m", m);
    keep(o, d, "adam v", v);
    values[SLT_SCALAR_SKIP] = 1;
    device_put(d, scalars, values);
    d->ops->adam_step(d->ctx, &item, 1, &hyper, scalars);
    keep(o, d, "adam p of a skipped step", p);
    free(squares);
}

// A step of more tensors than a launch passes, s->tokens of them of all sizes up to s->d, empty ones
// among them: one behind the other in one buffer, every second one where vectors may start; every
// third with coded moments, every fifth with none but the first, every fourth with a direction in the
// place of its gradient.
static void run_steps(struct outcome *o, struct device *d, const struct sample *s)
{
    enum { BLOCK = 64 };
    const int64_t most = s->tokens * s->d;
    const struct slt_tensor p = device_weight(d, 1, most, random_input("p", most, 1));
    const struct slt_tensor g = device_weight(d, 1, most, random_input("g", most, 1));
    const struct slt_tensor m = device_weight(d, 1, most, random_input("m", most, 0.1));
    double *some = host_random("v", most, 0.1);
    uint8_t *codes = malloc((size_t)most);
    for (int64_t i = 0; i < most; i++) {
        some[i] = fabs(some[i]) + 0.1;
        codes[i] = (uint8_t)(i * 37);
    }
    const struct slt_tensor v = device_weight(d, 1, most, some);
    const struct slt_tensor code[2] = {device_bytes(d, SLT_U8, most, codes),
                                       device_bytes(d, SLT_U8, most, codes)};
    const struct slt_tensor max[2] = {device_tensor(d, 1, most, some),
                                      device_tensor(d, 1, most, some)};
    struct slt_adam_item *items = calloc((size_t)s->tokens, sizeof *items);
    int64_t used = 0;
    for (int64_t k = 0; k < s->tokens; k++) {
        const int64_t n = k % 7 == 3 ? 0 : (k * k * 3101 + 5) % s->d;
        const int64_t at = k % 2 == 0 ? (used + 15) / 16 * 16 : used;
        const bool coded = k % 3 == 1, single = k % 5 == 2;
        items[k] = (struct slt_adam_item){.param = elements(p, at, n),
                                          .grad = elements(g, at, n),
                                          .m = elements(coded ? code[0] : m, at, n),
                                          .rate = 1 + (double)k / 8};
        if (k % 4 == 3)
            items[k].direction = items[k].grad;
        if (!single)
            items[k].v = elements(coded ? code[1] : v, at, n);
        if (coded)
            items[k].m_max = elements(max[0], at, (n + BLOCK - 1) / BLOCK);
        if (coded && !single)
            items[k].v_max = elements(max[1], at, (n + BLOCK - 1) / BLOCK);
        used = at + n;
    }
    const double values[SLT_SCALARS] = {[SLT_SCALAR_LR] = 0.01,
                                        [SLT_SCALAR_C1] = 0.1,
                                        [SLT_SCALAR_C2] = 0.001,
                                        [SLT_SCALAR_GRAD_SCALE] = 0.5};
    const struct slt_tensor scalars = device_bytes(d, SLT_F64, SLT_SCALARS, values);
    const struct slt_adam hyper = {.beta1 = 0.9,
                                   .beta2 = 0.999,
                                   .eps = 1e-8,
                                   .weight_decay = 0.1,
                                   .scale = 50,
                                   .block = BLOCK};
    d->ops->adam_step(d->ctx, items, s->tokens, &hyper, scalars);
    keep(o, d, "p of many", p);
    keep(o, d, "gradients and directions of many", g);
    keep(o, d, "m of many", m);
    keep(o, d, "v of many", v);
    keep(o, d, "maxima of many m", max[0]);
    keep(o, d, "maxima of many v", max[1]);
    free(items);
    free(codes);
    free(some);
}

// Steps of SGD that are kept as directions, with a momentum in F32 and one in codes; the direction
// over its norm; a parameter that moves along it.
static void run_direction(struct outcome *o, struct device *d, const struct sample *s)
{
    enum { BLOCK = 64 };
    const int64_t n = s->tokens * s->d, blocks = (n + BLOCK - 1) / BLOCK;
    const struct slt_tensor p = device_tensor(d, s->tokens, s->d, random_input("p", n, 1));
    const struct slt_tensor direction = device_tensor(d, s->tokens, s->d, NULL);
    const struct slt_tensor coded_direction = device_tensor(d, s->tokens, s->d, NULL);
    const struct slt_tensor norms = device_tensor(d, 1, 2, random_input("norms", 2, 1));
    uint8_t *codes = malloc((size_t)n + 1);
    for (int64_t i = 0; i < n; i++)
        codes[i] = (uint8_t)(i * 37);
    double *maxima = host_random("maxima", blocks, 1);
    for (int64_t i = 0; i < blocks; i++)
        maxima[i] = fabs(maxima[i]);
    const struct slt_tensor scalars = device_scalars(d, SLT_SCALAR_LR, 0.01);
    double values[SLT_SCALARS] = {[SLT_SCALAR_LR] = 0.01, [SLT_SCALAR_GRAD_SCALE] = 0.5};
    device_put(d, scalars, values);
    struct slt_adam_item item[2] = {
        {.param = direction,
         .grad = device_tensor(d, s->tokens, s->d, random_input("g", n, 1)),
         .m = device_tensor(d, s->tokens, s->d, random_input("m", n, 1)),
         .direction = direction,
         .rate = 2}};
    item[1] = item[0];
    item[1].m = device_bytes(d, SLT_U8, n, codes);
    item[1].m_max = device_tensor(d, 1, blocks, maxima);
    item[1].param = item[1].direction = coded_direction;
    const struct slt_adam hyper = {
        .beta1 = 0.95, .weight_decay = 0.1, .nesterov = true, .scale = 3, .block = BLOCK};
    d->ops->adam_step(d->ctx, item, 2, &hyper, scalars);
    keep(o, d, "direction", direction);
    keep(o, d, "direction of coded momentum", coded_direction);
    keep(o, d, "maxima of coded momentum", item[1].m_max);
    device_work(d, SLT_OP_GRAD_NORM, (struct slt_op_shape){.nnz = n, .out = 1});
    struct slt_tensor norm = slt_tensor_view(norms.buffer, norms.offset, norms.dtype, 1, 1);
    d->ops->normalize(d->ctx, direction, norm);
    keep(o, d, "normalized direction", direction);
    keep(o, d, "norms", norms);
    const struct slt_adam_item given = {
        .param = p, .direction = direction, .rate = 5, .divisors = norms};
    d->ops->adam_step(d->ctx, &given, 1, &hyper, scalars);
    keep(o, d, "p after a given step", p);
    d->ops->zero(d->ctx, direction.buffer, direction.offset,
                 (uint64_t)n * slt_dtype_size(direction.dtype));
    d->ops->normalize(d->ctx, direction, norm);
    keep(o, d, "normalized zeros", direction);
    free(codes);
    free(maxima);
}

// ---- Comparisons ----

static struct outcome compute(run_fn *run, const struct slt_ops *ops, enum slt_dtype dtype,
                              int threads, const struct sample *s)
{
    struct outcome o = {0};
    struct device d = device_open(ops, dtype, threads);
    run(&o, &d, s);
    device_close(&d);
    pool_free();
    return o;
}

// float32 results of the same formulas in another order of summation, exponentials to 2 units in
// the last place: relative errors of some 1e-6.
#define LIMIT 2e-6

// With weights and activations in bfloat16, rounded to 2^-9 as they are stored: an output is off by
// some of its inputs' rounding and by its own.
#define LIMIT_BF16 1e-2

static void check_near(const struct outcome *got, const struct outcome *want, const char *name,
                       double limit, const struct sample *s)
{
    for (int i = 0; i < want->count; i++) {
        const double error = host_distance(got->values[i], want->values[i], want->size[i]);
        CHECK(error <= limit, "%s of %s, %lld tokens: error %g", want->name[i], name,
              (long long)s->tokens, error);
    }
}

static void check_equal(const struct outcome *got, const struct outcome *want, const char *name,
                        const char *how)
{
    for (int i = 0; i < want->count; i++)
        CHECK(memcmp(got->values[i], want->values[i], (size_t)want->size[i] * sizeof(double)) == 0,
              "%s of %s, %s", want->name[i], name, how);
}

// The CUDA backend on a CPU: near the reference, and the same bytes in any order of its threads.
static void test_emulated(run_fn *run, enum slt_dtype dtype, const struct outcome *want,
                          const struct sample *s)
{
    const char *name = dtype == SLT_BF16 ? "emulated CUDA in bfloat16" : "emulated CUDA";
    static const char *const orders[] = {"reverse", "random"};
    const struct slt_ops *ops = emulated_ops();
    if (ops == NULL)
        return;
    emulated_order("forward");
    struct outcome one = compute(run, ops, dtype, 1, s);
    check_near(&one, want, name, dtype == SLT_BF16 ? LIMIT_BF16 : LIMIT, s);
    for (int k = 0; k < 2; k++) {
        emulated_order(orders[k]);
        struct outcome more = compute(run, ops, dtype, 1, s);
        check_equal(&more, &one, name, orders[k]);
        outcome_free(&more);
    }
    outcome_free(&one);
}

// At the sizes of real models, which only a GPU is fast enough for, against the fast CPU backend.
// Sums of some thousand products in float32 on both sides.
#define LIMIT_LARGE 1e-5

static void test_large(run_fn *run, const struct sample *s)
{
    struct outcome want = compute(run, slt_cpu_ops(NULL), SLT_F32, 0, s);
    for (int k = 0; k < 2; k++) {
        const enum slt_dtype dtype = k == 0 ? SLT_F32 : SLT_BF16;
        const char *name = k == 0 ? "the GPU" : "the GPU in bfloat16";
        struct outcome one = compute(run, emulated_ops(), dtype, 1, s);
        struct outcome again = compute(run, emulated_ops(), dtype, 1, s);
        check_near(&one, &want, name, k == 0 ? LIMIT_LARGE : LIMIT_BF16, s);
        check_equal(&again, &one, name, "again");
        outcome_free(&one);
        outcome_free(&again);
    }
    outcome_free(&want);
}

static void test_on_gpu(void)
{
    static const struct sample plain[] = {{4096, 1024, 32000, {0}}, {2100, 5461, 3000, {0}}};
    static const struct sample attention[] = {{4096, 0, 0, {16, 256, 16, 16, 64, 0}},
                                              {2048, 0, 0, {2, 1024, 32, 8, 128, 0}},
                                              {3000, 0, 0, {3, 1000, 24, 24, 64, 0}},
                                              {4096, 0, 0, {1, 4096, 8, 2, 64, 0}}};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        test_large(run_embedding, &plain[i]);
        test_large(run_rmsnorm, &plain[i]);
        test_large(run_swiglu, &plain[i]);
        test_large(run_head, &plain[i]);
        test_large(run_optimizer, &plain[i]);
        test_large(run_direction, &plain[i]);
    }
    static const struct sample lists = {.tokens = 300, .d = 40000};
    test_large(run_steps, &lists);
    for (size_t i = 0; i < sizeof attention / sizeof *attention; i++)
        test_large(run_attention, &attention[i]);
    static const struct sample cache = {2048, 0, 0, {1, 2048, 8, 2, 128, 0}};
    test_large(run_long_cache, &cache);
}

static void test(run_fn *run, const struct sample *s)
{
    static const char *const isas[] = {"avx512", "avx2", "plain"};
    struct outcome want = compute(run, &slt_cpu_reference_ops, SLT_F32, 1, s);
    for (size_t k = 0; k < sizeof isas / sizeof *isas; k++) {
        const struct slt_ops *ops = slt_cpu_ops(isas[k]);
        if (ops == NULL)
            continue;
        struct outcome one = compute(run, ops, SLT_F32, 1, s);
        check_near(&one, &want, isas[k], LIMIT, s);
        for (int threads = 2; threads <= 3; threads++) {
            struct outcome more = compute(run, ops, SLT_F32, threads, s);
            check_equal(&more, &one, isas[k], threads == 2 ? "2 threads" : "3 threads");
            outcome_free(&more);
        }
        outcome_free(&one);
    }
    test_emulated(run, SLT_F32, &want, s);
    test_emulated(run, SLT_BF16, &want, s);
    outcome_free(&want);
}

int main(void)
{
    static const struct sample plain[] = {
        {5, 40, 8203, {0}},   {1, 24, 50, {0}},    {2, 7, 5, {0}},    {3, 130, 33, {0}},
        {33, 21, 3, {0}},     {16, 64, 64, {0}},   {67, 40, 17, {0}}, {200, 33, 301, {0}},
        {520, 20, 1003, {0}}, {1030, 70, 40, {0}}, {3, 8192, 5, {0}}, {530, 6, 8200, {0}},
    };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        test(run_embedding, &plain[i]);
        test(run_rmsnorm, &plain[i]);
        test(run_swiglu, &plain[i]);
        test(run_head, &plain[i]);
        test(run_optimizer, &plain[i]);
        test(run_direction, &plain[i]);
    }
    static const struct sample many = {.tokens = 300, .d = 9000};
    test(run_norm, &many);
    static const struct sample lists = {.tokens = 300, .d = 1500},
                               longer = {.tokens = 5, .d = 40000};
    test(run_steps, &lists);
    test(run_steps, &longer);
    // Odd heads; every compiled width, full and not; tiles of 16, 32, 64 and 128 rows that the
    // sequence does not fill; grouped keys.
    static const struct sample attention[] = {
        {2, 0, 0, {1, 2, 1, 1, 2, 0}},      {9, 0, 0, {3, 3, 2, 2, 6, 0}},
        {64, 0, 0, {1, 64, 2, 1, 16, 0}},   {65, 0, 0, {1, 65, 4, 2, 10, 0}},
        {140, 0, 0, {2, 70, 3, 3, 64, 0}},  {200, 0, 0, {1, 200, 6, 2, 18, 0}},
        {66, 0, 0, {2, 33, 2, 2, 256, 0}},  {150, 0, 0, {2, 75, 4, 2, 128, 0}},
        {130, 0, 0, {1, 130, 2, 1, 40, 0}}, {257, 0, 0, {1, 257, 2, 1, 64, 0}},
        {129, 0, 0, {1, 129, 2, 1, 32, 0}}, {97, 0, 0, {1, 97, 3, 1, 80, 0}},
        {161, 0, 0, {1, 161, 2, 2, 96, 0}}, {34, 0, 0, {2, 17, 2, 1, 192, 0}},
    };
    for (size_t i = 0; i < sizeof attention / sizeof *attention; i++) {
        test(run_attention, &attention[i]);
        test(run_cached, &attention[i]);
    }
    // So long that the CUDA backend turns q and k in a pass of their own, and that a cache's keys
    // are divided among blocks.
    static const struct sample turned = {520, 0, 0, {1, 520, 1, 1, 32, 0}};
    static const struct sample caches[] = {
        {700, 0, 0, {1, 700, 4, 2, 64, 0}},  {300, 0, 0, {1, 300, 2, 1, 80, 0}},
        {300, 0, 0, {1, 300, 2, 2, 10, 0}},  {270, 0, 0, {1, 270, 1, 1, 256, 0}},
        {130, 0, 0, {1, 130, 3, 1, 128, 0}},
    };
    test(run_attention, &turned);
    for (size_t i = 0; i < sizeof caches / sizeof *caches; i++)
        test(run_long_cache, &caches[i]);
    if (getenv("SLT_TEST_CUDA") != NULL)
        test_on_gpu();
    CHECK(slt_cpu_ops("plain") != NULL && slt_cpu_ops("none") == NULL, "the tables by name");
    return TEST_END();
}
