// Gradients accumulated in GaLore's subspace against the projections of whole ones: in the first
// update, which makes the projectors, later, and where a projector is due.
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "slt/device.h"
#include "slt/random.h"
#include "train/sink.h"

enum { BATCH = 2, SEQ = 9, T = BATCH * SEQ, GAP = 7 };

struct side {
    struct slt_model *model;
    struct slt_optimizer optimizer;
    struct slt_grads grads;
    struct slt_optimizer_options options;
    bool shared;
};

static int layout(struct slt_model *model, void *user, struct slt_error *err)
{
    struct side *s = user;
    const bool projects = slt_optimizer_projects(&s->options, &model->config, false) > 0;
    if (s->grads.grad == NULL && (slt_optimizer_init(&s->optimizer, &s->options, 1e-3,
                                                     SLT_PRECISION_F32, 0, model, err) != 0 ||
                                  slt_grads_init(&s->grads, model, s->shared, SLT_F32,
                                                 projects ? &s->optimizer : NULL, err) != 0))
        return err->code;
    slt_optimizer_layout(&s->optimizer);
    slt_grads_layout(&s->grads, model, 1, 1);
    return 0;
}

static void create(struct side *s, struct slt_device *device, bool stagger, bool shared)
{
    struct slt_error err;
    const struct slt_config c = {.vocab_size = 37,
                                 .hidden_size = 24,
                                 .intermediate_size = 29,
                                 .num_hidden_layers = 2,
                                 .num_attention_heads = 4,
                                 .num_key_value_heads = 2,
                                 .head_dim = 6,
                                 .max_position_embeddings = 64,
                                 .rms_norm_eps = 1e-6,
                                 .rope_theta = 10000,
                                 .initializer_range = 0.02,
                                 .method = SLT_FULL};
    *s = (struct side){.shared = shared};
    s->options = (struct slt_optimizer_options){.kind = SLT_OPTIMIZER_GALORE,
                                                .beta1 = 0.9,
                                                .beta2 = 0.999,
                                                .eps = 1e-6,
                                                .adam_block = 256,
                                                .galore_rank = 5,
                                                .galore_gap = GAP,
                                                .galore_scale = 0.25,
                                                .galore_stagger = stagger};
    const struct slt_model_shape shape = {.batch = BATCH,
                                          .seq = SEQ,
                                          .training = true,
                                          .projected =
                                              slt_optimizer_projects(&s->options, &c, false)};
    CHECK_OK(slt_model_create(&s->model, device, &c, SLT_F32, &shape, layout, s, &err), err);
    for (int i = 0; i < SLT_REGIONS; i++)
        CHECK(s->model->memory.used[i] == s->model->memory.capacity[i],
              "%s: %llu of %llu, stagger %d, shared %d", slt_region_name(i),
              (unsigned long long)s->model->memory.used[i],
              (unsigned long long)s->model->memory.capacity[i], stagger, shared);
    slt_optimizer_bind(&s->optimizer, s->grads.grad);
    for (int p = 0; p < s->model->part_count; p++) {
        const struct slt_tensor t = s->model->part[p].value;
        float values[37 * 29 * 2];
        slt_random_uniform(values, slt_random_key("test", "weights", (uint64_t)p), 0,
                           (size_t)(t.rows * t.cols), 0.4f);
        slt_tensor_write(s->model, t, 0, values, t.rows * t.cols);
    }
    slt_model_set_scalar(s->model, SLT_SCALAR_LOSS_SCALE, 1);
}

static void destroy(struct side *s)
{
    slt_model_free(s->model);
    slt_grads_free(&s->grads);
    slt_optimizer_free(&s->optimizer);
}

// The gradients of one micro-batch, on top of those of the earlier ones.
static void add_batch(struct side *s, int number)
{
    int32_t ids[T], targets[T];
    for (int i = 0; i < T; i++) {
        ids[i] = (i * 11 + 3 + number * 5) % 37;
        targets[i] = i == 4 ? -1 : (i * 5 + 2 + number) % 37;
    }
    slt_model_set_batch(s->model, ids, targets);
    slt_model_forward(s->model);
    slt_model_loss(s->model, &s->grads.sink);
    slt_model_backward(s->model, &s->grads.sink);
}

static double value_at(const float *g, const struct slt_slot *slot, const float *p, bool right,
                       int64_t i, int64_t j)
{
    const int64_t m = slot->info.rows, n = slot->info.cols;
    double sum = 0;
    for (int64_t k = 0; k < (right ? n : m); k++)
        sum += right ? (double)g[i * n + k] * p[j * n + k] : (double)p[i * m + k] * g[k * n + j];
    return sum;
}

// What the projected side has accumulated for every slot is what its projector makes of the whole
// gradient; returns how many are whole.
static int compare(struct side *projected, struct side *whole, const char *when)
{
    int wholes = 0;
    for (size_t s = 0; s < projected->optimizer.slots; s++) {
        const struct slt_slot *slot = &projected->optimizer.slot[s];
        const struct slt_tensor ref = whole->optimizer.slot[s].grad, got = slot->grad;
        const struct slt_tensor p = slt_slot_state(slot, "projector");
        const bool weight = slot->info.role == SLT_ROLE_WEIGHT;
        const bool right = slot->info.rows >= slot->info.cols;
        float g[37 * 29], low[37 * 29], vectors[37 * 29];
        double error = 0, norm = 0;
        slt_tensor_read(whole->model, g, ref, 0, ref.rows * ref.cols);
        slt_tensor_read(projected->model, low, got, 0, got.rows * got.cols);
        if (weight)
            slt_tensor_read(projected->model, vectors, p, 0, p.rows * p.cols);
        wholes += weight && !slot->projected;
        for (int64_t i = 0; i < got.rows * got.cols; i++) {
            const double want = slot->projected
                                    ? value_at(g, slot, vectors, right, i / got.cols, i % got.cols)
                                    : (double)g[i];
            error += (low[i] - want) * (low[i] - want);
            norm += want * want;
        }
        CHECK(norm > 0 && error <= 1e-10 * norm, "%s: %s off by %g", when, slot->info.name,
              sqrt(error / norm));
    }
    return wholes;
}

int main(void)
{
    struct slt_error err;
    struct slt_device *device;
    struct side projected, whole, shared;
    // 14 weights over 7 updates, the last ones first: two are due in each but the first one, which
    // makes all projectors. In the second one these are the up and the down projection of the last
    // layer, and the gate goes with the up; then its o and its gate, which the up goes with; then k
    // and v, which q goes with.
    const int whole_in[] = {0, 3, 3, 3};
    CHECK_OK(slt_device_open(&device, "cpu", 2, &err), err);
    create(&projected, device, true, false);
    create(&whole, device, false, false);
    create(&shared, device, true, true);
    for (int64_t update = 0; update < 4; update++) {
        int due = 0;
        slt_grads_begin(&projected.grads, projected.model->part_count, update);
        slt_grads_begin(&whole.grads, whole.model->part_count, update);
        for (int batch = 0; batch < 3; batch++) {
            char when[40];
            snprintf(when, sizeof when, "update %d, micro-batch %d", (int)update, batch);
            add_batch(&projected, batch);
            add_batch(&whole, batch);
            due = compare(&projected, &whole, when);
        }
        CHECK(due == whole_in[update], "%d whole in update %d, not %d", due, (int)update,
              whole_in[update]);
        CHECK(projected.grads.projected.failure.code == 0, "%s",
              projected.grads.projected.failure.message);
    }
    CHECK(shared.model->memory.used[SLT_REGION_GRADIENTS] <
              projected.model->memory.used[SLT_REGION_GRADIENTS],
          "shared buffers are smaller");
    CHECK(projected.model->memory.used[SLT_REGION_GRADIENTS] <
              whole.model->memory.used[SLT_REGION_GRADIENTS],
          "projected gradients are smaller");
    destroy(&projected);
    destroy(&whole);
    destroy(&shared);
    slt_device_close(device);
    return TEST_END();
}
