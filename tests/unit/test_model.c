// The whole model: parameter counts, gradients against finite differences in double, routes and
// backends against each other, tied embeddings and grouped-query attention.
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "core/bfloat.h"
#include "kernels/cpu/reference.h"
#include "slt/random.h"
#include "slt/support.h"
#include "train/sink.h"

enum { BATCH = 2, SEQ = 7, T = BATCH * SEQ };

struct bench {
    struct slt_device device;
    struct slt_model *model;
    struct slt_grads grads;
};

static struct slt_config small_config(enum slt_method method)
{
    struct slt_config c = {.vocab_size = 37,
                           .hidden_size = 24,
                           .intermediate_size = 29,
                           .num_hidden_layers = 2,
                           .num_attention_heads = 4,
                           .num_key_value_heads = 4,
                           .head_dim = 6,
                           .max_position_embeddings = 64,
                           .rms_norm_eps = 1e-6,
                           .rope_theta = 10000,
                           .initializer_range = 0.02,
                           .bos_token_id = -1,
                           .eos_token_id = -1,
                           .pad_token_id = -1,
                           .method = method,
                           .seed = 5};
    if (method != SLT_FULL) {
        c.rank = 5;
        c.alpha = 7;
    }
    if (method == SLT_SLTRAIN) {
        c.density = 0.1;
        c.support.kind = SLT_SUPPORT_RANDOM;
    }
    return c;
}

// Three layers: the first one dense, the others with ranks and densities of their own, so that what
// layers share must be as large as the largest of them asks for.
static struct slt_config mixed_config(enum slt_method method)
{
    struct slt_config c = small_config(method);
    const bool sparse = method == SLT_SLTRAIN;
    const struct slt_layers layers[] = {
        {.first = 0, .last = 0, .groups = 15, .full = true},
        {.first = 1,
         .last = 2,
         .groups = 1 << SLT_GROUP_O,
         .rank = 11,
         .density = sparse ? 0.3 : 0},
        {.first = 2, .last = 2, .groups = 1 << SLT_GROUP_QKV, .rank = 2},
        {.first = 2, .last = 2, .groups = 1 << SLT_GROUP_DOWN, .full = true},
        {.first = 1, .last = 1, .groups = 1 << SLT_GROUP_GATE_UP, .density = sparse ? 0.2 : 0}};
    c.num_hidden_layers = 3;
    memcpy(c.layers, layers, sizeof layers);
    c.layers_count = sizeof layers / sizeof *layers;
    return c;
}

static int layout_grads(struct slt_model *model, void *user, struct slt_error *err)
{
    struct slt_grads *grads = user;
    if (grads->grad == NULL && slt_grads_init(grads, model, false, model->dtype, NULL, err) != 0)
        return err->code;
    slt_grads_layout(grads, model, 1, 1);
    return 0;
}

static void write_value(struct slt_model *m, struct slt_tensor t, int64_t i, double value)
{
    const float single = (float)value;
    slt_tensor_write(m, t, i, m->dtype == SLT_F64 ? (const void *)&value : (const void *)&single,
                     1);
}

static double read_value(struct slt_model *m, struct slt_tensor t, int64_t i)
{
    double value;
    float single;
    slt_tensor_read(m, m->dtype == SLT_F64 ? (void *)&value : (void *)&single, t, i, 1);
    return m->dtype == SLT_F64 ? value : (double)single;
}

// A model with random weights of a size that makes every gradient matter, and one batch.
static int create_with(struct bench *b, const struct slt_ops *ops, enum slt_dtype dtype,
                       struct slt_config config, enum slt_route route, enum slt_recompute recompute,
                       struct slt_error *err)
{
    const struct slt_ops_options options = {.threads = 2};
    const struct slt_model_shape shape = {.batch = BATCH,
                                          .seq = SEQ,
                                          .training = true,
                                          .route = route,
                                          .recompute = recompute,
                                          .logits = T};
    int32_t ids[T], targets[T];
    *b = (struct bench){.device = {.ops = ops}};
    int rc = ops->open(&b->device.ctx, &options, err);
    if (rc == 0 && config.method == SLT_SLTRAIN)
        rc = slt_support_crc(&config.support_crc, &config, err);
    if (rc == 0)
        rc = slt_model_create(&b->model, &b->device, &config, dtype, &shape, layout_grads,
                              &b->grads, err);
    if (rc != 0)
        return rc;
    for (int p = 0; p < b->model->part_count; p++) {
        const struct slt_tensor t = b->model->part[p].value;
        const struct slt_random_key key = slt_random_key("test", "weights", (uint64_t)p);
        for (int64_t i = 0; i < t.rows * t.cols; i++) {
            float u;
            slt_random_uniform(&u, key, (uint64_t)i, 1, 0.4f);
            write_value(b->model, t, i, u + (b->model->part[p].role == SLT_ROLE_NORM ? 1 : 0));
        }
    }
    for (int i = 0; i < T; i++) {
        ids[i] = (i * 11 + 3) % 37;
        targets[i] = i == 4 ? -1 : (i * 5 + 2) % 37;
    }
    slt_model_set_batch(b->model, ids, targets);
    slt_model_set_scalar(b->model, SLT_SCALAR_LOSS_SCALE, 1);
    return 0;
}

static int create(struct bench *b, const struct slt_ops *ops, enum slt_dtype dtype,
                  struct slt_config config, enum slt_route route, struct slt_error *err)
{
    return create_with(b, ops, dtype, config, route, SLT_RECOMPUTE_NONE, err);
}

static void destroy(struct bench *b)
{
    slt_model_free(b->model);
    slt_grads_free(&b->grads);
    b->device.ops->close(b->device.ctx);
}

static double loss_of(struct bench *b)
{
    slt_model_set_scalar(b->model, SLT_SCALAR_LOSS, 0);
    slt_model_forward(b->model);
    slt_model_loss(b->model, NULL);
    return slt_model_get_scalar(b->model, SLT_SCALAR_LOSS);
}

static void gradients_of(struct bench *b)
{
    slt_grads_begin(&b->grads, b->model->part_count, 0);
    slt_model_set_scalar(b->model, SLT_SCALAR_LOSS, 0);
    slt_model_forward(b->model);
    slt_model_loss(b->model, &b->grads.sink);
    slt_model_backward(b->model, &b->grads.sink);
}

// Every part: a few values moved by a small step in double; the error of the central difference is
// of order step^2 in the third derivative, which 1e-7 relative to the part's largest gradient
// covers.
static void check_differences(struct slt_config config, enum slt_route route, const char *name)
{
    struct slt_error err;
    struct bench b;
    CHECK_OK(create(&b, &slt_cpu_reference_f64_ops, SLT_F64, config, route, &err), err);
    gradients_of(&b);
    for (int p = 0; p < b.model->part_count; p++) {
        const struct slt_tensor t = b.model->part[p].value, g = b.grads.grad[p];
        const int64_t n = t.rows * t.cols;
        double largest = 0, worst = 0;
        for (int64_t i = 0; i < n; i++)
            largest = fmax(largest, fabs(read_value(b.model, g, i)));
        for (int k = 0; k < 6; k++) {
            const int64_t i = (k * 7919 + 13) % n;
            const double old = read_value(b.model, t, i), h = 1e-5;
            write_value(b.model, t, i, old + h);
            const double up = loss_of(&b);
            write_value(b.model, t, i, old - h);
            const double down = loss_of(&b);
            write_value(b.model, t, i, old);
            worst = fmax(worst, fabs((up - down) / (2 * h) - read_value(b.model, g, i)));
        }
        CHECK(largest > 1e-4, "%s part %d has no gradient", name, p);
        CHECK(worst <= 1e-7 * fmax(largest, 1), "%s part %d (role %d): off by %g of %g", name, p,
              b.model->part[p].role, worst, largest);
    }
    destroy(&b);
}

// Normalised squared error of all gradients and logits of two ways to compute the same.
static void check_same(const struct slt_ops *ops_a, enum slt_route route_a,
                       const struct slt_ops *ops_b, enum slt_route route_b,
                       struct slt_config config, double limit, const char *name)
{
    struct slt_error err;
    struct bench a, b;
    float la[T * 37], lb[T * 37];
    CHECK_OK(create(&a, ops_a, SLT_F32, config, route_a, &err), err);
    CHECK_OK(create(&b, ops_b, SLT_F32, config, route_b, &err), err);
    gradients_of(&a);
    gradients_of(&b);
    CHECK_OK(slt_model_logits(a.model, la, &err), err);
    CHECK_OK(slt_model_logits(b.model, lb, &err), err);
    double worst = 0;
    for (int i = 0; i < T * 37; i++)
        worst = fmax(worst, fabs(la[i] - lb[i]));
    CHECK(worst < 1e-4, "%s: logits differ by %g", name, worst);
    for (int p = 0; p < a.model->part_count; p++) {
        const struct slt_tensor ga = a.grads.grad[p], gb = b.grads.grad[p];
        double error = 0, norm = 0;
        for (int64_t i = 0; i < ga.rows * ga.cols; i++) {
            const double x = read_value(a.model, ga, i), y = read_value(b.model, gb, i);
            error += (x - y) * (x - y);
            norm += y * y;
        }
        CHECK(error <= limit * norm, "%s part %d: normalised squared error %g", name, p,
              error / norm);
    }
    destroy(&a);
    destroy(&b);
}

// What is worked out again is what was kept, where layers share the memory for it.
static void check_recomputed(struct slt_config config, enum slt_route route, const char *name)
{
    struct slt_error err;
    struct bench kept, again;
    CHECK_OK(
        create_with(&kept, slt_cpu_ops(NULL), SLT_F32, config, route, SLT_RECOMPUTE_NONE, &err),
        err);
    CHECK_OK(
        create_with(&again, slt_cpu_ops(NULL), SLT_F32, config, route, SLT_RECOMPUTE_BLOCK, &err),
        err);
    gradients_of(&kept);
    gradients_of(&again);
    for (int p = 0; p < kept.model->part_count; p++) {
        const struct slt_tensor a = kept.grads.grad[p], b = again.grads.grad[p];
        int64_t differ = 0;
        for (int64_t i = 0; i < a.rows * a.cols; i++)
            differ += read_value(kept.model, a, i) != read_value(again.model, b, i);
        CHECK(differ == 0, "%s part %d: %d values differ", name, p, (int)differ);
    }
    destroy(&kept);
    destroy(&again);
}

// Counts of PAPER's released configurations, in millions.
static void check_counts(void)
{
    static const struct {
        const char *preset;
        int64_t rank;
        double density, full, lowrank, sltrain;
    } rows[] = {
        {"60m", 128, 0.03, 58.07, 42.77, 43.53},     {"130m", 256, 0.03, 134.11, 94.00, 96.55},
        {"350m", 256, 0.03, 367.97, 185.22, 194.29}, {"1b", 512, 0.03, 1339.08, 609.31, 645.55},
        {"7b", 1024, 0.05, 6738.42, 0, 3144.7},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slt_error err;
        struct slt_config c;
        CHECK_OK(slt_config_preset(&c, rows[i].preset, &err), err);
        const double full = (double)slt_config_param_count(&c) * 1e-6;
        c.rank = rows[i].rank;
        c.alpha = 8;
        c.method = SLT_LOWRANK;
        const double lowrank = (double)slt_config_param_count(&c) * 1e-6;
        c.method = SLT_SLTRAIN;
        c.density = rows[i].density;
        c.support.kind = SLT_SUPPORT_RANDOM;
        const double sltrain = (double)slt_config_param_count(&c) * 1e-6;
        CHECK(fabs(full - rows[i].full) < 0.0051, "%s full %.4f", rows[i].preset, full);
        CHECK(rows[i].lowrank == 0 || fabs(lowrank - rows[i].lowrank) < 0.0051, "%s lowrank %.4f",
              rows[i].preset, lowrank);
        CHECK(fabs(sltrain - rows[i].sltrain) < 0.051, "%s sltrain %.4f", rows[i].preset, sltrain);
    }
}

// ---- Host copies ----

static int copies;

static void count_write(struct slt_ctx *ctx, struct slt_buffer *buffer, uint64_t offset,
                        const void *data, uint64_t bytes)
{
    copies++;
    slt_cpu_ops(NULL)->write(ctx, buffer, offset, data, bytes);
}

static void count_read(struct slt_ctx *ctx, void *data, struct slt_buffer *buffer, uint64_t offset,
                       uint64_t bytes)
{
    copies++;
    slt_cpu_ops(NULL)->read(ctx, data, buffer, offset, bytes);
}

// BF16 values to a tensor and back, all but two at its ends, in few large copies.
static void check_copies(int64_t count, int most)
{
    struct slt_ops ops = *slt_cpu_ops(NULL);
    struct slt_model m = {.ops = &ops};
    struct slt_error err = {0};
    struct slt_buffer *buffer;
    const struct slt_ops_options options = {.threads = 1};
    float *values = malloc((size_t)count * sizeof *values),
          *got = calloc((size_t)count, sizeof *got);
    CHECK_OK(ops.open(&m.ctx, &options, &err), err);
    CHECK_OK(ops.buffer_create(m.ctx, &buffer, "test", (uint64_t)(count + 2) * 2, &err), err);
    ops.write = count_write;
    ops.read = count_read;
    for (int64_t i = 0; i < count; i++) // every pattern of bits, NaN and infinities apart
        values[i] = slt_bf16_value((uint16_t)(i * 40503 % 0x7f80 | (i % 2) << 15));
    const struct slt_tensor t = slt_tensor_view(buffer, 0, SLT_BF16, 1, count + 2);
    copies = 0;
    slt_tensor_write(&m, t, 1, values, count);
    slt_tensor_read(&m, got, t, 1, count);
    CHECK(memcmp(values, got, (size_t)count * sizeof *got) == 0, "%d values", (int)count);
    CHECK(copies <= most, "%d values in %d copies", (int)count, copies);
    ops.buffer_free(m.ctx, buffer);
    ops.close(m.ctx);
    free(values);
    free(got);
}

int main(void)
{
    check_counts();
    check_copies(1, 2);
    check_copies(4096, 2);
    check_copies(4097, 2);
    check_copies(1 << 18, 2);
    check_copies((1 << 18) + 1, 3);
    check_copies(600001, 4);
    struct slt_config grouped = small_config(SLT_FULL);
    grouped.num_key_value_heads = 2;
    grouped.tie_word_embeddings = true;
    check_differences(small_config(SLT_FULL), SLT_ROUTE_AUTO, "full");
    check_differences(grouped, SLT_ROUTE_AUTO, "grouped and tied");
    check_differences(small_config(SLT_LOWRANK), SLT_ROUTE_FACTORED, "lowrank factored");
    check_differences(small_config(SLT_LOWRANK), SLT_ROUTE_DENSE, "lowrank dense");
    check_differences(small_config(SLT_SLTRAIN), SLT_ROUTE_FACTORED, "sltrain factored");
    check_differences(small_config(SLT_SLTRAIN), SLT_ROUTE_DENSE, "sltrain dense");
    struct slt_config block = small_config(SLT_SLTRAIN);
    block.support = (struct slt_support_spec){SLT_SUPPORT_BLOCK, 4, 3};
    check_differences(block, SLT_ROUTE_FACTORED, "sltrain blocks");

    check_differences(mixed_config(SLT_SLTRAIN), SLT_ROUTE_FACTORED, "mixed factored");
    check_differences(mixed_config(SLT_SLTRAIN), SLT_ROUTE_DENSE, "mixed dense");
    check_differences(mixed_config(SLT_LOWRANK), SLT_ROUTE_AUTO, "mixed lowrank");
    check_recomputed(mixed_config(SLT_SLTRAIN), SLT_ROUTE_FACTORED, "mixed");
    check_recomputed(mixed_config(SLT_RELORA), SLT_ROUTE_AUTO, "mixed relora");

    // float32 rounding through two layers: 1e-6 of the norm, squared, with room for summation
    // order.
    const double limit = 1e-10;
    const struct slt_ops *fast = slt_cpu_ops(NULL), *plain = &slt_cpu_reference_ops;
    for (int method = 0; method < SLT_METHOD_COUNT; method++)
        check_same(fast, SLT_ROUTE_FACTORED, plain, SLT_ROUTE_FACTORED, small_config(method), limit,
                   slt_method_name(method));
    check_same(fast, SLT_ROUTE_AUTO, plain, SLT_ROUTE_AUTO, grouped, limit, "grouped");
    check_same(fast, SLT_ROUTE_DENSE, plain, SLT_ROUTE_FACTORED, mixed_config(SLT_SLTRAIN), limit,
               "mixed");
    check_same(fast, SLT_ROUTE_DENSE, fast, SLT_ROUTE_FACTORED, small_config(SLT_SLTRAIN), limit,
               "dense against factored");
    check_same(fast, SLT_ROUTE_DENSE, fast, SLT_ROUTE_FACTORED, block, limit,
               "dense against factored, blocks");
    return TEST_END();
}
