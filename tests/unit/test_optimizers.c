// Optimizer steps against the originals: 8-bit AdamW against bitsandbytes
// (tests/vectors/make_adam8.py), GaLore, and orthogonalised momentum against PyTorch
// (make_galore.py, make_spectral.py), SGD against its formula, on fast backends and on the
// reference.
#include <unistd.h>

#include "core/codes.h"
#include "device.h"
#include "emulated.h"
#include "optim/refactor.h"
#include "slt/support.h"
#include "training.h"
#include "vectors.h"

static void check_maps(const struct vector_file *v)
{
    for (int has_sign = 0; has_sign < 2; has_sign++) {
        float map[SLT_CODES_8BIT];
        size_t n;
        const void *want = vector_find(v, "map_", has_sign ? "signed" : "unsigned", &n);
        slt_codes_dynamic(map, has_sign);
        CHECK(n == SLT_CODES_8BIT && memcmp(map, want, sizeof map) == 0, "map %d", has_sign);
    }
}

// Elements of a code tensor that are not those of bitsandbytes.
static int64_t count_different(struct device *d, struct slt_tensor t, const uint8_t *want,
                               int64_t n)
{
    uint8_t *got = malloc((size_t)n);
    int64_t different = 0;
    d->ops->read(d->ctx, got, t.buffer, t.offset, (uint64_t)n);
    for (int64_t i = 0; i < n; i++)
        different += got[i] != want[i];
    free(got);
    return different;
}

// limit: of the parameters' relative error; codes that fall on the other side of a boundary move
// their element by a fraction of a step. wrong: the share of codes that may differ.
static void check_adam8(const struct slt_ops *ops, const struct vector_file *v, const char *name,
                        double decay, double limit, double wrong)
{
    const bool coded = strcmp(name, "small") != 0;
    size_t count, n;
    char step_name[32];
    snprintf(step_name, sizeof step_name, ".%d", 50);
    (void)vector_find(v, name, step_name, &count);
    const int64_t size = (int64_t)count, blocks = (size + 255) / 256;
    struct device d = device_open(ops, SLT_F32, 2);
    double *values = malloc(count * sizeof *values);
    vector_hashed(values, 1000, size);
    void *zero = calloc(count, 4);
    const enum slt_dtype moment = coded ? SLT_U8 : SLT_F32;
    struct slt_adam_item item = {.param = device_tensor(&d, 1, size, values),
                                 .grad = device_tensor(&d, 1, size, NULL),
                                 .m = device_bytes(&d, moment, size, zero),
                                 .v = device_bytes(&d, moment, size, zero),
                                 .rate = 1};
    if (coded) {
        item.m_max = device_bytes(&d, SLT_F32, blocks, zero);
        item.v_max = device_bytes(&d, SLT_F32, blocks, zero);
    }
    const struct slt_adam hyper = {.beta1 = 0.9,
                                   .beta2 = 0.999,
                                   .eps = 1e-8,
                                   .weight_decay = decay,
                                   .eps_corrected = true,
                                   .decay_last = true,
                                   .block = 256};
    double scalar[SLT_SCALARS] = {0};
    scalar[SLT_SCALAR_LR] = 1e-2;
    scalar[SLT_SCALAR_GRAD_SCALE] = 1;
    const struct slt_tensor scalars = device_bytes(&d, SLT_F64, SLT_SCALARS, scalar);
    for (int step = 0; step < 50; step++) {
        scalar[SLT_SCALAR_C1] = 1 - pow(0.9, step + 1);
        scalar[SLT_SCALAR_C2] = 1 - pow(0.999, step + 1);
        device_put(&d, scalars, scalar);
        vector_hashed(values, step, size);
        device_put(&d, item.grad, values);
        ops->adam_step(d.ctx, &item, 1, &hyper, scalars);
        if (step != 0 && step != 9 && step != 49)
            continue;
        snprintf(step_name, sizeof step_name, ".%d", step + 1);
        const float *want = vector_find(v, name, step_name, &n);
        double *wanted = malloc(n * sizeof *wanted);
        for (size_t i = 0; i < n; i++)
            wanted[i] = (double)want[i];
        device_get(&d, values, item.param);
        const double error = host_distance(values, wanted, size);
        CHECK(error <= limit, "%s on %s, step %d: error %g", name, ops->name, step + 1, error);
        free(wanted);
    }
    if (coded) {
        const uint8_t *state1 = vector_find(v, name, ".state1", &n);
        const int64_t m = count_different(&d, item.m, state1, size);
        const uint8_t *state2 = vector_find(v, name, ".state2", &n);
        const int64_t s = count_different(&d, item.v, state2, size);
        CHECK((double)(m + s) <= wrong * (double)size, "%s on %s: %lld and %lld codes differ", name,
              ops->name, (long long)m, (long long)s);
    }
    device_close(&d);
    free(values);
    free(zero);
}

// Some steps with 8-bit moments on gradients that lie shift bytes into their buffer; results (n
// parameters, then n codes of each moment and their maxima) as bytes.
static char *coded_steps(const struct slt_ops *ops, uint64_t shift, int64_t n, bool has_v)
{
    const int64_t blocks = (n + 255) / 256;
    struct device d = device_open(ops, SLT_F32, 1);
    double *values = malloc((size_t)n * sizeof *values), scalar[SLT_SCALARS] = {0};
    void *zero = calloc((size_t)n + 8, 4);
    float *grads = malloc((size_t)n * sizeof *grads);
    char *bytes = calloc((size_t)n, 6 + 8);
    vector_hashed(values, 1000, n);
    struct slt_tensor all = device_bytes(&d, SLT_F32, n + 8, zero);
    struct slt_adam_item item = {.param = device_tensor(&d, 1, n, values),
                                 .grad = slt_tensor_view(all.buffer, shift, SLT_F32, 1, n),
                                 .m = device_bytes(&d, SLT_U8, n, zero),
                                 .m_max = device_bytes(&d, SLT_F32, blocks, zero),
                                 .rate = 1};
    if (has_v) {
        item.v = device_bytes(&d, SLT_U8, n, zero);
        item.v_max = device_bytes(&d, SLT_F32, blocks, zero);
    }
    const struct slt_adam hyper = {
        .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1, .block = 256};
    scalar[SLT_SCALAR_LR] = 1e-2;
    scalar[SLT_SCALAR_GRAD_SCALE] = scalar[SLT_SCALAR_C1] = scalar[SLT_SCALAR_C2] = 1;
    const struct slt_tensor scalars = device_bytes(&d, SLT_F64, SLT_SCALARS, scalar);
    for (int step = 0; step < 5; step++) {
        vector_hashed(values, step, n);
        // Of all magnitudes, zeros among them.
        for (int64_t i = 0; i < n; i++)
            grads[i] = (float)(i % 11 == 0 ? 0 : values[i] * pow(10, (double)(-(i % 9))));
        ops->write(d.ctx, item.grad.buffer, shift, grads, (uint64_t)n * sizeof *grads);
        ops->adam_step(d.ctx, &item, 1, &hyper, scalars);
    }
    const struct slt_tensor parts[] = {item.param, item.m, item.m_max, item.v, item.v_max};
    uint64_t at = 0;
    for (int i = 0; i < (has_v ? 5 : 3); i++) {
        const uint64_t size = (uint64_t)parts[i].cols * slt_dtype_size(parts[i].dtype);
        ops->read(d.ctx, bytes + at, parts[i].buffer, parts[i].offset, size);
        at += size;
    }
    device_close(&d);
    free(values);
    free(grads);
    free(zero);
    return bytes;
}

// However they lie, and so whichever kernel has them.
static void check_same_codes(const struct slt_ops *ops)
{
    for (int k = 0; k < 4; k++) {
        const int64_t n = k < 2 ? 1000 : 70000;
        char *aligned = coded_steps(ops, 0, n, k % 2), *other = coded_steps(ops, 4, n, k % 2);
        CHECK(memcmp(aligned, other, (size_t)n * 14) == 0, "%s: %d values, %s", ops->name, (int)n,
              k % 2 ? "two moments" : "one moment");
        free(aligned);
        free(other);
    }
}

// ---- GaLore ----

// A trainer of a one-layer model; its data is not used.
static void write_tokens(const char *path)
{
    struct slt_error err;
    struct slt_output *out;
    struct slt_tokens_writer *writer;
    const struct slt_tokens_header header = {.vocab_size = 11, .eos = SLT_TOKEN_NONE};
    const uint32_t ids[20] = {1, 2, 3};
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_tokens_create(&writer, out, &header, &err), err);
    CHECK_OK(slt_tokens_append(writer, ids, 20, 20, &err), err);
    CHECK_OK(slt_tokens_finish(writer, NULL, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
}

static void fill(struct slt_model *m, struct slt_tensor t, int seed)
{
    const int64_t n = t.rows * t.cols;
    double *values = malloc((size_t)n * sizeof *values);
    vector_hashed(values, seed, n);
    void *packed = device_pack(SLT_F32, values, n);
    slt_tensor_write(m, t, 0, packed, n);
    free(packed);
    free(values);
}

// Steps from given weights along given gradients.
static void given_steps(struct slt_trainer *t, int steps)
{
    struct slt_error err;
    struct slt_model *m = t->model;
    struct slt_optimizer *o = &t->optimizer;
    for (size_t i = 0; i < o->slots; i++)
        fill(m, o->slot[i].param, 5000 + (int)i);
    slt_model_set_scalar(m, SLT_SCALAR_LR, t->options.lr);
    slt_model_set_scalar(m, SLT_SCALAR_GRAD_SCALE, 1);
    for (int step = 0; step < steps; step++) {
        for (size_t i = 0; i < o->slots; i++)
            fill(m, o->slot[i].grad, 100 * step + (int)i);
        slt_model_set_scalar(m, SLT_SCALAR_C1, 1 - pow(0.9, step + 1));
        slt_model_set_scalar(m, SLT_SCALAR_C2, 1 - pow(0.999, step + 1));
        CHECK_OK(o->kind->step(o, 0, m->part_count, step, &err), err);
    }
}

struct small {
    struct slt_device *device;
    struct slt_tokens *tokens;
    struct slt_trainer *trainer;
};

// A trainer of a one-layer model with a vocabulary, sparse plus low-rank of rank 4 if not
// full-rank; its data is not used.
static struct small make_small(const char *device, enum slt_method method, int64_t vocab,
                               struct slt_train_options *options)
{
    struct small s = {0};
    struct slt_error err;
    struct slt_input *in;
    struct slt_config config;
    char path[] = "/tmp/slt-test-optimizers-XXXXXX";
    close(mkstemp(path));
    write_tokens(path);
    CHECK_OK(slt_input_open(&in, path, NULL, &err), err);
    CHECK_OK(slt_tokens_open(&s.tokens, in, &err), err);
    unlink(path);
    CHECK_OK(slt_config_preset(&config, "nano", &err), err);
    config.vocab_size = vocab;
    config.hidden_size = 16;
    config.intermediate_size = 24;
    config.num_hidden_layers = 1;
    config.num_attention_heads = config.num_key_value_heads = 2;
    config.head_dim = 8;
    config.method = method;
    if (method == SLT_SLTRAIN) {
        config.rank = 4;
        config.alpha = 2;
        config.density = 0.1;
        config.support.kind = SLT_SUPPORT_RANDOM;
        CHECK_OK(slt_support_crc(&config.support_crc, &config, &err), err);
    }
    options->steps = 12;
    options->batch = 1;
    options->seq = 4;
    CHECK_OK(emulated_device_open(&s.device, device, 2, &err), err);
    CHECK_OK(make_trainer(&s.trainer, s.device, &config, s.tokens, options, &err), err);
    return s;
}

static void free_small(struct small *s)
{
    slt_trainer_free(s->trainer);
    slt_tokens_close(s->tokens);
    emulated_device_close(s->device);
}

// The parameters against those of a vector file, as its names have them.
static void check_params(const struct slt_trainer *t, const struct vector_file *v,
                         const char *prefix, const char *const *names, size_t count, double limit,
                         const char *what)
{
    CHECK(t->optimizer.slots == count, "%s: %zu parameters", what, t->optimizer.slots);
    for (size_t i = 0; i < t->optimizer.slots; i++) {
        const struct slt_tensor p = t->optimizer.slot[i].param;
        size_t n;
        float got[16 * 24];
        double error = 0, norm = 0;
        const float *want = vector_find(v, prefix, names[i], &n);
        CHECK((int64_t)n == p.rows * p.cols, "%s: %s has %zu values", what, names[i], n);
        slt_tensor_read(t->model, got, p, 0, p.rows * p.cols);
        for (size_t k = 0; k < n; k++) {
            error += ((double)got[k] - want[k]) * ((double)got[k] - want[k]);
            norm += (double)want[k] * want[k];
        }
        CHECK(sqrt(error / norm) <= limit, "%s: %s is off by %g", what, names[i],
              sqrt(error / norm));
    }
}

static const char *const full_names[] = {"embed", "norm1", "q",  "k",    "v",    "o",
                                         "norm2", "gate",  "up", "down", "norm", "head"};

static void check_galore(const struct vector_file *v, const char *device_name,
                         enum slt_galore_svd svd, double limit)
{
    struct slt_train_options options;
    char what[64];
    slt_train_defaults(&options);
    options.lr = 1e-2;
    options.seed = 0;
    options.optimizer.weight_decay = 0.1;
    options.optimizer.kind = SLT_OPTIMIZER_GALORE;
    options.optimizer.galore_rank = 4;
    options.optimizer.galore_gap = 5;
    options.optimizer.galore_stagger = false;
    options.optimizer.galore_svd = svd;
    struct small small = make_small(device_name, SLT_FULL, 11, &options);
    struct slt_trainer *t = small.trainer;
    given_steps(t, 12);
    snprintf(what, sizeof what, "galore on %s, svd %d", device_name, (int)svd);
    check_params(t, v, "", full_names, 12, limit, what);
    free_small(&small);
}

// ---- Orthogonalised momentum ----

static const char *const factor_names[] = {
    "embed", "norm1", "q.A",  "q.B",    "q.S",    "k.A",    "k.B",    "k.S",    "v.A",
    "v.B",   "v.S",   "o.A",  "o.B",    "o.S",    "norm2",  "gate.A", "gate.B", "gate.S",
    "up.A",  "up.B",  "up.S", "down.A", "down.B", "down.S", "norm",   "head"};

// limit: what five iterations make of rounding in float32.
static void check_spectral(const struct vector_file *v, const char *device_name,
                           enum slt_optimizer_id id, enum slt_method method, double limit)
{
    struct slt_train_options options;
    char prefix[64], what[96];
    slt_train_defaults(&options);
    options.lr = 1e-2;
    options.optimizer.weight_decay = 0.1;
    options.optimizer.kind = id;
    options.optimizer.spectral_lr = 5e-2;
    struct small small = make_small(device_name, method, 11, &options);
    struct slt_optimizer *o = &small.trainer->optimizer;
    slt_optimizer_start(o);
    for (size_t i = 0; i < o->slots; i++) {
        const struct slt_tensor vector = slt_slot_state(&o->slot[i], "singular_vector");
        if (vector.buffer == NULL)
            continue;
        fill(small.trainer->model, vector, 7000 + (int)i);
        o->model->ops->normalize(o->model->ctx, vector, (struct slt_tensor){0});
    }
    given_steps(small.trainer, 8);
    snprintf(prefix, sizeof prefix, "%s-%s/", slt_optimizer_name(id), slt_method_name(method));
    snprintf(what, sizeof what, "%s on %s", prefix, device_name);
    check_params(small.trainer, v, prefix, method == SLT_FULL ? full_names : factor_names,
                 method == SLT_FULL ? 12 : 26, limit, what);
    free_small(&small);
}

// 8-bit moments beside BF16 weights move a model much as others do.
static void check_spectral_codes(const char *device_name, enum slt_precision precision)
{
    struct slt_train_options options;
    double size[2], apart = 0;
    float *value[2];
    slt_train_defaults(&options);
    options.optimizer.spectral_lr = 1e-3;
    for (int coded = 0; coded < 2; coded++) {
        options.optimizer.kind = coded ? SLT_OPTIMIZER_SPECTRAL8BIT : SLT_OPTIMIZER_SPECTRAL;
        options.precision = coded ? precision : SLT_PRECISION_F32;
        struct small small = make_small(device_name, SLT_SLTRAIN, 11, &options);
        slt_optimizer_start(&small.trainer->optimizer);
        given_steps(small.trainer, 4);
        const struct slt_tensor p = small.trainer->optimizer.slot[2].param; // q.A
        const int64_t n = p.rows * p.cols;
        value[coded] = malloc((size_t)n * sizeof(float));
        slt_tensor_read(small.trainer->model, value[coded], p, 0, n);
        size[coded] = 0;
        for (int64_t i = 0; i < n; i++)
            size[coded] += (double)value[coded][i] * (double)value[coded][i];
        for (int64_t i = 0; coded && i < n; i++)
            apart += pow((double)value[0][i] - (double)value[1][i], 2);
        free_small(&small);
    }
    CHECK(apart <= 1e-4 * size[0], "spectral8bit on %s in precision %d: %g of the values apart",
          device_name, (int)precision, sqrt(apart / size[0]));
    free(value[0]);
    free(value[1]);
}

// c (r, r) = x x^T of the rows of x (r, n), or of its columns.
static void gram(double *c, const float *x, int64_t r, int64_t n, bool of_columns)
{
    for (int64_t i = 0; i < r; i++)
        for (int64_t j = 0; j < r; j++) {
            c[i * r + j] = 0;
            for (int64_t k = 0; k < n; k++)
                c[i * r + j] += of_columns ? (double)x[k * r + i] * (double)x[k * r + j]
                                           : (double)x[i * n + k] * (double)x[j * n + k];
        }
}

// New factors have the same product, and both have the same orthogonal rows and columns of falling
// length; their moments are gone.
static void check_refactor(const char *device_name)
{
    enum { R = 4, OUT = 24, IN = 16, A = 15 }; // the slots of gate: norm2 is number 14
    struct slt_train_options options;
    struct slt_error err;
    float a[2][R * IN], b[2][OUT * R];
    double rows[R * R], columns[R * R], off = 0, size = 0;
    uint8_t m[OUT * R * sizeof(float)];
    slt_train_defaults(&options);
    options.optimizer.kind = SLT_OPTIMIZER_SPECTRAL;
    struct small small = make_small(device_name, SLT_SLTRAIN, 11, &options);
    struct slt_optimizer *o = &small.trainer->optimizer;
    slt_optimizer_start(o);
    given_steps(small.trainer, 2);
    for (int after = 0; after < 2; after++) {
        slt_tensor_read(small.trainer->model, a[after], o->slot[A].param, 0, R * IN);
        slt_tensor_read(small.trainer->model, b[after], o->slot[A + 1].param, 0, OUT * R);
        if (after == 0)
            CHECK_OK(slt_refactor(o, &err), err);
    }
    for (int i = 0; i < OUT; i++)
        for (int j = 0; j < IN; j++) {
            double product[2] = {0};
            for (int after = 0; after < 2; after++)
                for (int k = 0; k < R; k++)
                    product[after] += (double)b[after][i * R + k] * (double)a[after][k * IN + j];
            off += pow(product[0] - product[1], 2);
            size += product[0] * product[0];
        }
    CHECK(size > 0 && sqrt(off / size) < 1e-5, "new factors: the product is off by %g",
          sqrt(off / size));
    gram(rows, a[1], R, IN, false);
    gram(columns, b[1], R, OUT, true);
    for (int i = 0; i < R * R; i++) {
        CHECK(fabs(rows[i] - columns[i]) < 1e-4 * rows[0], "A A^T and B^T B differ");
        if (i % (R + 1) != 0)
            CHECK(fabs(rows[i]) < 1e-4 * rows[0], "element %d of A A^T is %g", i, rows[i]);
    }
    CHECK(rows[0] >= rows[R + 1] && rows[R + 1] >= rows[2 * R + 2], "values that do not fall");
    const struct slt_tensor moment = slt_slot_state(&o->slot[A + 1], "momentum_buffer");
    o->model->ops->read(o->model->ctx, m, moment.buffer, moment.offset, sizeof m);
    for (size_t i = 0; i < sizeof m; i++)
        CHECK(m[i] == 0, "a moment has not begun anew");
    free_small(&small);
}

// ---- 8-bit moments beside BF16 weights ----

// A tensor that is converted to F32 in several runs, with blocks of moments that do not divide
// them: every block's maximum after the first step is that of its own moments.
static void check_blocks(void)
{
    enum { VOCAB = 70000, D = 16, BLOCK = 100 };
    struct slt_train_options options;
    slt_train_defaults(&options);
    options.precision = SLT_PRECISION_BF16;
    options.optimizer.kind = SLT_OPTIMIZER_ADAM8BIT;
    options.optimizer.adam_block = BLOCK;
    struct small small = make_small("cpu", SLT_FULL, VOCAB, &options);
    struct slt_trainer *t = small.trainer;
    const struct slt_slot *slot = &t->optimizer.slot[0];
    const int64_t n = (int64_t)VOCAB * D, blocks = n / BLOCK;
    float *grad = malloc((size_t)n * sizeof *grad), *max = malloc((size_t)blocks * sizeof *max);
    slt_random_normal(grad, slt_random_key("test", "grad", 1), 0, (size_t)n, 1);
    slt_tensor_write(t->model, slot->grad, 0, grad, n);
    double scalar[SLT_SCALARS] = {[SLT_SCALAR_LR] = 1e-3,
                                  [SLT_SCALAR_C1] = 1,
                                  [SLT_SCALAR_C2] = 1,
                                  [SLT_SCALAR_GRAD_SCALE] = 1};
    slt_model_set_scalars(t->model, scalar);
    const struct slt_adam_item item = slt_slot_item(slot, slot->param, slot->grad);
    slt_optimizer_adam(&t->optimizer, slot, &item, &t->optimizer.hyper, 0);
    slt_tensor_read(t->model, max, slt_slot_state(slot, "absmax1"), 0, blocks);
    int64_t wrong = 0;
    for (int64_t b = 0; b < blocks; b++) {
        float want = 0;
        for (int64_t i = b * BLOCK; i < (b + 1) * BLOCK; i++)
            want = fmaxf(want, fabsf(grad[i]) / 10);
        wrong += !(fabsf(max[b] - want) < 1e-5f);
    }
    CHECK(wrong == 0, "%lld of %lld maxima are wrong", (long long)wrong, (long long)blocks);
    free(grad);
    free(max);
    free_small(&small);
}

// ---- SGD ----

// SGD with momentum against its formula, with a gradient that is scaled, decay, and a step that is
// skipped.
static void check_sgd(const struct slt_ops *ops)
{
    enum { N = 5000, STEPS = 4, SKIPPED = 2 };
    if (ops == NULL)
        return;
    struct device d = device_open(ops, SLT_F32, 2);
    double p[N], m[N] = {0}, g[N], got[N];
    const float zero[N] = {0};
    vector_hashed(p, 1000, N);
    const struct slt_adam_item item = {.param = device_tensor(&d, 1, N, p),
                                       .grad = device_tensor(&d, 1, N, NULL),
                                       .m = device_bytes(&d, SLT_F32, N, zero),
                                       .rate = 1};
    const struct slt_adam hyper = {.beta1 = 0.9, .weight_decay = 0.1, .scale = 1, .block = 256};
    double scalar[SLT_SCALARS] = {[SLT_SCALAR_LR] = 0.2,
                                  [SLT_SCALAR_C1] = 1,
                                  [SLT_SCALAR_C2] = 1,
                                  [SLT_SCALAR_GRAD_SCALE] = 0.5};
    const struct slt_tensor scalars = device_bytes(&d, SLT_F64, SLT_SCALARS, scalar);
    for (int step = 0; step < STEPS; step++) {
        scalar[SLT_SCALAR_SKIP] = step == SKIPPED;
        device_put(&d, scalars, scalar);
        vector_hashed(g, step, N);
        device_put(&d, item.grad, g);
        ops->adam_step(d.ctx, &item, 1, &hyper, scalars);
        for (int i = 0; step != SKIPPED && i < N; i++) {
            m[i] = 0.9 * m[i] + 0.5 * g[i];
            p[i] = p[i] * (1 - 0.2 * 0.1) - 0.2 * m[i];
        }
    }
    device_get(&d, got, item.param);
    const double error = host_distance(got, p, N);
    CHECK(error <= 1e-6, "sgd on %s: error %g", ops->name, error);
    device_close(&d);
}

int main(void)
{
    struct vector_file v;
    vector_file_read(&v, "adam8");
    check_maps(&v);
    const struct slt_ops *const tables[] = {&slt_cpu_reference_ops, slt_cpu_ops(NULL),
                                            slt_cpu_ops("plain"), emulated_ops()};
    for (size_t i = 0; i < sizeof tables / sizeof *tables && tables[i] != NULL; i++) {
        check_adam8(tables[i], &v, "kernel", 0.1, 2e-6, 0);
        check_adam8(tables[i], &v, "library", 0, 3e-3, 0.2);
        check_adam8(tables[i], &v, "small", 0, 2e-7, 0);
        check_sgd(tables[i]);
        check_same_codes(tables[i]);
    }
    check_blocks();
    vector_file_free(&v);
    vector_file_read(&v, "galore");
    check_galore(&v, "cpu", SLT_GALORE_EXACT, 1e-5);
    check_galore(&v, "cpu-reference", SLT_GALORE_EXACT, 1e-5);
    // r + 8 vectors of 16: all but exact for a matrix this small.
    check_galore(&v, "cpu", SLT_GALORE_RANDOMIZED, 1e-1);
    vector_file_free(&v);
    vector_file_read(&v, "spectral");
    static const char *const devices[] = {"cpu", "cpu-reference", "cuda-emulated"};
    for (int d = 0; d < 3; d++) {
        check_spectral(&v, devices[d], SLT_OPTIMIZER_MUON, SLT_FULL, 1e-5);
        check_spectral(&v, devices[d], SLT_OPTIMIZER_MUON, SLT_SLTRAIN, 1e-5);
        check_spectral(&v, devices[d], SLT_OPTIMIZER_SPECTRAL, SLT_SLTRAIN, 1e-5);
        check_spectral_codes(devices[d], SLT_PRECISION_F32);
        if (d != 1)
            check_spectral_codes(devices[d], SLT_PRECISION_BF16);
        check_refactor(devices[d]);
    }
    vector_file_free(&v);
    return TEST_END();
}
