// Sampling of sequences, schedules, accumulation, clipping and non-finite steps.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "emulated.h"
#include "slt/init.h"
#include "slt/random.h"
#include "training.h"

enum { VOCAB = 61, EOS = 2, PAD = 3, DOCUMENTS = 23 };

static char directory[] = "/tmp/slt-test-train-XXXXXX";

static char *in_directory(char path[64], const char *name)
{
    snprintf(path, 64, "%s/%s", directory, name);
    return path;
}

// Documents of 5 to 37 tokens whose ids follow a pattern that a model can learn a little of.
static void write_tokens(const char *path)
{
    struct slt_error err;
    struct slt_output *out;
    struct slt_tokens_writer *writer;
    const struct slt_tokens_header header = {.vocab_size = VOCAB, .eos = EOS, .pad = PAD};
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_tokens_create(&writer, out, &header, &err), err);
    for (uint32_t d = 0; d < DOCUMENTS; d++) {
        uint32_t ids[40];
        const uint32_t n = 5 + d * 7 % 33;
        for (uint32_t i = 0; i < n; i++)
            ids[i] = 4 + (d * 3 + i * i) % (VOCAB - 4);
        CHECK_OK(slt_tokens_append(writer, ids, n, n * 4, &err), err);
    }
    CHECK_OK(slt_tokens_finish(writer, NULL, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
}

static struct slt_tokens *open_tokens(const char *path)
{
    struct slt_error err;
    struct slt_input *in;
    struct slt_tokens *tokens = NULL;
    CHECK_OK(slt_input_open(&in, path, NULL, &err), err);
    CHECK_OK(slt_tokens_open(&tokens, in, &err), err);
    return tokens;
}

// Every window exactly once in each epoch, targets shifted by one, another order in the next epoch.
static void check_packed(const char *path)
{
    enum { SEQ = 8, MOST = 128 };
    struct slt_error err;
    struct slt_tokens *tokens = open_tokens(path);
    struct slt_sampler sampler;
    CHECK_OK(slt_sampler_init(&sampler, tokens, SEQ, SLT_PACKED, true, 9, &err), err);
    const int64_t n = (int64_t)sampler.sequences;
    CHECK(n == (int64_t)((slt_tokens_totals(tokens).tokens - 1) / SEQ) && n <= MOST, "%lld windows",
          (long long)n);
    static int32_t ids[2][MOST][SEQ], targets[2][MOST][SEQ], want[SEQ + 1];
    int64_t got;
    int moved = 0;
    for (int epoch = 0; epoch < 2; epoch++) {
        CHECK_OK(slt_sampler_next(&sampler, ids[epoch][0], targets[epoch][0], n, &got, &err), err);
        CHECK(got == n, "got %lld", (long long)got);
        for (int64_t w = 0; w < n; w++) {
            int found = 0;
            CHECK_OK(slt_tokens_read_at(tokens, want, (uint64_t)(w * SEQ), SEQ + 1, &err), err);
            for (int64_t i = 0; i < n; i++)
                found += memcmp(ids[epoch][i], want, SEQ * sizeof *want) == 0 &&
                         memcmp(targets[epoch][i], want + 1, SEQ * sizeof *want) == 0;
            CHECK(found == 1, "epoch %d: window %lld sampled %d times", epoch, (long long)w, found);
        }
    }
    for (int64_t i = 0; i < n; i++)
        moved += memcmp(ids[0][i], ids[1][i], sizeof ids[0][i]) != 0;
    CHECK(moved > n / 2, "only %d of %lld windows moved", moved, (long long)n);
    slt_sampler_free(&sampler);
    slt_tokens_close(tokens);
}

// A single pass predicts every token but the first, once.
static void check_single_pass(const char *path)
{
    enum { SEQ = 10 };
    struct slt_error err;
    struct slt_tokens *tokens = open_tokens(path);
    struct slt_sampler sampler;
    int32_t ids[SEQ], targets[SEQ];
    int64_t got = 1;
    uint64_t position = 1;
    CHECK_OK(slt_sampler_init(&sampler, tokens, SEQ, SLT_PACKED, false, 0, &err), err);
    for (;;) {
        CHECK_OK(slt_sampler_next(&sampler, ids, targets, 1, &got, &err), err);
        if (got == 0)
            break;
        for (int i = 0; i < SEQ; i++) {
            int32_t token;
            if (targets[i] < 0)
                continue;
            CHECK_OK(slt_tokens_read_at(tokens, &token, position++, 1, &err), err);
            CHECK(token == targets[i], "target %llu is %d", (unsigned long long)position, token);
        }
    }
    CHECK(position == slt_tokens_totals(tokens).tokens, "predicted up to %llu",
          (unsigned long long)position);
    slt_sampler_free(&sampler);
    slt_tokens_close(tokens);
}

// A long document keeps EOS last, a short one is padded and its padding is not predicted.
static void check_documents(const char *path)
{
    enum { SEQ = 12 };
    struct slt_error err;
    struct slt_tokens *tokens = open_tokens(path);
    struct slt_sampler sampler;
    int32_t ids[SEQ], targets[SEQ];
    int64_t got;
    CHECK_OK(slt_sampler_init(&sampler, tokens, SEQ, SLT_DOCUMENTS, false, 0, &err), err);
    for (uint64_t d = 0; d < DOCUMENTS; d++) {
        uint64_t position, length;
        CHECK_OK(slt_tokens_document(tokens, d, &position, &length, &err), err);
        CHECK_OK(slt_sampler_next(&sampler, ids, targets, 1, &got, &err), err);
        const int64_t count = length < SEQ ? (int64_t)length : SEQ;
        CHECK(ids[count - 1] == EOS, "document %llu ends with %d", (unsigned long long)d,
              ids[count - 1]);
        CHECK((int64_t)slt_count_targets(targets, SEQ) == count - 1, "document %llu",
              (unsigned long long)d);
        for (int64_t i = 0; i < SEQ; i++) {
            CHECK(i < count || (ids[i] == PAD && targets[i] == -1), "padding at %lld",
                  (long long)i);
            CHECK(i + 1 >= count || targets[i] == ids[i + 1], "target at %lld", (long long)i);
        }
    }
    CHECK_OK(slt_sampler_next(&sampler, ids, targets, 1, &got, &err), err);
    CHECK(got == 0, "a document too many");
    slt_sampler_free(&sampler);
    slt_tokens_close(tokens);
}

static void check_schedules(void)
{
    struct slt_schedule s = {.kind = SLT_SCHEDULE_COSINE, .min_lr_ratio = 0.1, .warmup = 10};
    const struct {
        enum slt_schedule_kind kind;
        int64_t t;
        double factor;
    } want[] = {
        {SLT_SCHEDULE_COSINE, 1, 0.1},   {SLT_SCHEDULE_COSINE, 10, 1},
        {SLT_SCHEDULE_COSINE, 55, 0.55}, {SLT_SCHEDULE_COSINE, 100, 0.1},
        {SLT_SCHEDULE_LINEAR, 55, 0.55}, {SLT_SCHEDULE_LINEAR, 100, 0.1},
        {SLT_SCHEDULE_CONSTANT, 100, 1}, {SLT_SCHEDULE_WSD, 5, 0.5},
        {SLT_SCHEDULE_WSD, 84, 1},       {SLT_SCHEDULE_WSD, 88, 0.55},
        {SLT_SCHEDULE_WSD, 100, 0.1},
    };
    s.decay_steps = 16;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        s.kind = want[i].kind;
        const double got = slt_schedule_factor(&s, 100, 0, want[i].t);
        CHECK(fabs(got - want[i].factor) < 1e-12, "schedule %d at %lld: %g", (int)s.kind,
              (long long)want[i].t, got);
    }
    s.kind = SLT_SCHEDULE_WSD;
    CHECK(slt_schedule_common(&s, 100) == 84, "wsd falls from another step on");
    s.kind = SLT_SCHEDULE_COSINE;
    CHECK(slt_schedule_common(&s, 100) == 0, "a cosine falls from another step on");
}

static struct slt_config config_of(enum slt_method method)
{
    struct slt_config c = {.vocab_size = VOCAB,
                           .hidden_size = 16,
                           .intermediate_size = 20,
                           .num_hidden_layers = 2,
                           .num_attention_heads = 2,
                           .num_key_value_heads = 2,
                           .head_dim = 8,
                           .max_position_embeddings = 64,
                           .rms_norm_eps = 1e-6,
                           .rope_theta = 10000,
                           .initializer_range = 0.1,
                           .bos_token_id = -1,
                           .eos_token_id = EOS,
                           .pad_token_id = PAD,
                           .method = method,
                           .seed = 3};
    if (method == SLT_SLTRAIN) {
        c.rank = 4;
        c.alpha = 4;
        c.density = 0.1;
        c.support.kind = SLT_SUPPORT_RANDOM;
    }
    return c;
}

// Three layers: the first one dense, the others with ranks of their own in some groups.
static struct slt_config mixed_config(enum slt_method method)
{
    struct slt_config c = config_of(SLT_SLTRAIN);
    const struct slt_layers layers[] = {
        {.first = 0, .last = 0, .groups = 15, .full = true},
        {.first = 1, .last = 1, .groups = 1 << SLT_GROUP_QKV | 1 << SLT_GROUP_DOWN, .rank = 7},
        {.first = 2, .last = 2, .groups = 1 << SLT_GROUP_O, .rank = 2},
        {.first = 2, .last = 2, .groups = 1 << SLT_GROUP_GATE_UP, .full = true}};
    c.method = method;
    c.num_hidden_layers = 3;
    memcpy(c.layers, layers, sizeof layers);
    c.layers_count = sizeof layers / sizeof *layers;
    return c;
}

// A trainer that starts from slt_init_write's values.
static struct slt_trainer *create_from(struct slt_device *device, struct slt_tokens *tokens,
                                       struct slt_config config,
                                       const struct slt_train_options *options)
{
    struct slt_error err;
    struct slt_output *out;
    struct slt_input *in;
    struct slt_checkpoint_reader *reader;
    struct slt_trainer *trainer = NULL;
    char path[64];
    int more;
    in_directory(path, "init.slt");
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_init_write(out, &config, NULL, NULL, NULL, NULL, 0, NULL, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
    CHECK_OK(slt_input_open(&in, path, NULL, &err), err);
    CHECK_OK(slt_checkpoint_open(&reader, in, &err), err);
    CHECK_OK(make_trainer(&trainer, device, slt_checkpoint_config(reader), tokens, options, &err),
             err);
    CHECK_OK(slt_model_load(trainer->model, reader, &more, &err), err);
    CHECK(more == 0, "a new checkpoint has no optimizer state");
    slt_optimizer_start(&trainer->optimizer);
    slt_checkpoint_close(reader);
    return trainer;
}

static struct slt_trainer *create(struct slt_device *device, struct slt_tokens *tokens,
                                  enum slt_method method, const struct slt_train_options *options)
{
    return create_from(device, tokens, config_of(method), options);
}

static struct slt_train_options options_of(int64_t micro_batch)
{
    struct slt_train_options o;
    slt_train_defaults(&o);
    o.steps = 30;
    o.batch = 4;
    o.micro_batch = micro_batch;
    o.seq = 16;
    o.lr = 1e-2;
    o.schedule.warmup = 2;
    o.seed = 0;
    return o;
}

// Training learns, and the size of the micro-batch changes nothing but rounding.
static void check_accumulation(struct slt_device *device, struct slt_tokens *tokens,
                               struct slt_config config, const char *what)
{
    struct slt_error err;
    const struct slt_train_options whole = options_of(4), split = options_of(1);
    struct slt_trainer *a = create_from(device, tokens, config, &whole);
    struct slt_trainer *b = create_from(device, tokens, config, &split);
    struct slt_train_record ra, rb;
    double first = 0, worst = 0;
    for (int i = 0; i < 30; i++) {
        CHECK_OK(slt_trainer_step(a, &ra, NULL, &err), err);
        CHECK_OK(slt_trainer_step(b, &rb, NULL, &err), err);
        first = i == 0 ? ra.loss : first;
        worst = fmax(worst, fabs(ra.loss - rb.loss));
        CHECK(ra.tokens == (uint64_t)(i + 1) * 64, "%llu tokens", (unsigned long long)ra.tokens);
    }
    CHECK(fabs(first - log(VOCAB)) < 0.3, "%s starts at %g", what, first);
    CHECK(ra.loss < first - 0.5, "%s: from %g to %g", what, first, ra.loss);
    CHECK(worst < 1e-3, "%s: micro-batches of 4 and 1 differ by %g", what, worst);
    slt_trainer_free(a);
    slt_trainer_free(b);
}

// With clipping the gradients that reach the optimizer have the given norm: Adam's first step does
// not show it, but its second moment does.
static void check_clipping(struct slt_device *device, struct slt_tokens *tokens)
{
    struct slt_error err;
    struct slt_train_options o = options_of(2);
    struct slt_train_record record;
    o.clip = 1e-3;
    struct slt_trainer *t = create(device, tokens, SLT_FULL, &o);
    CHECK_OK(slt_trainer_step(t, &record, NULL, &err), err);
    double sum = 0;
    for (size_t p = 0; p < t->optimizer.slots; p++) {
        const struct slt_tensor v = t->optimizer.slot[p].state[1].tensor;
        for (int64_t i = 0; i < v.rows * v.cols; i++) {
            float value;
            slt_tensor_read(t->model, &value, v, i, 1);
            sum += value / (1 - o.optimizer.beta2);
        }
    }
    CHECK(record.grad_norm > 0.01, "norm %g", record.grad_norm);
    CHECK(fabs(sqrt(sum) / o.clip - 1) < 1e-3, "clipped to %g", sqrt(sum));
    slt_trainer_free(t);
}

// A weight that is not a number: the step is counted as skipped and changes no other weight.
static void check_non_finite(struct slt_device *device, struct slt_tokens *tokens)
{
    struct slt_error err;
    const struct slt_train_options o = options_of(2);
    struct slt_train_record record;
    struct slt_trainer *t = create(device, tokens, SLT_SLTRAIN, &o);
    const struct slt_tensor norm = t->model->part[t->model->norm_part].value;
    const struct slt_tensor head = t->model->part[t->model->head_part].value;
    const float nan_ = NAN, one = 1;
    float before, after;
    slt_tensor_read(t->model, &before, head, 5, 1);
    slt_tensor_write(t->model, norm, 3, &nan_, 1);
    CHECK_OK(slt_trainer_step(t, &record, NULL, &err), err);
    slt_tensor_read(t->model, &after, head, 5, 1);
    CHECK(record.skipped && record.skipped_losses == 1 && isnan(record.loss), "not skipped");
    CHECK(before == after && t->progress.updates == 0, "a skipped step changed the weights");
    slt_tensor_write(t->model, norm, 3, &one, 1);
    CHECK_OK(slt_trainer_step(t, &record, NULL, &err), err);
    slt_tensor_read(t->model, &after, head, 5, 1);
    CHECK(!record.skipped && isfinite(record.loss) && before != after, "did not recover");
    CHECK(t->progress.skipped_in_row == 0 && t->progress.updates == 1, "counted wrongly");
    slt_trainer_free(t);
}

// Steps whose operations are recorded and replayed do what they do one by one, with as many
// micro-batches as make every kind of recording, and a step that is skipped among them.
static void check_recorded(struct slt_device *device, struct slt_tokens *tokens,
                           const struct slt_train_options *o, const char *what)
{
    enum { STEPS = 5, VALUES = 600 };
    float head[2][VALUES];
    double losses[2][STEPS];
    for (int eager = 0; eager < 2; eager++) {
        struct slt_error err;
        struct slt_train_record record;
        struct slt_trainer *t = create(device, tokens, SLT_SLTRAIN, o);
        const struct slt_tensor norm = t->model->part[t->model->norm_part].value;
        const float nan_ = NAN, one = 1;
        t->eager = eager;
        for (int i = 0; i < STEPS; i++) {
            slt_tensor_write(t->model, norm, 3, i == 3 ? &nan_ : &one, 1);
            CHECK_OK(slt_trainer_step(t, &record, NULL, &err), err);
            CHECK(record.skipped == (i == 3), "%s: step %d", what, i);
            losses[eager][i] = record.skipped ? 0 : record.loss;
        }
        slt_tensor_read(t->model, head[eager], t->model->part[t->model->head_part].value, 0,
                        VALUES);
        int recordings = 0;
        for (int i = 0; i < SLT_RECORDINGS; i++)
            recordings += t->recorded[i].graph != NULL;
        const int micro = (int)(o->batch / o->micro_batch);
        const int want = (micro < 3 ? micro : 3) + !o->per_layer;
        CHECK(recordings == (eager ? 0 : want), "%s: %d recordings", what, recordings);
        slt_trainer_free(t);
    }
    CHECK(memcmp(losses[0], losses[1], sizeof losses[0]) == 0, "%s: losses", what);
    CHECK(memcmp(head[0], head[1], sizeof head[0]) == 0, "%s: weights", what);
}

// ---- A group whose gradient is not finite ----

static struct slt_tensor poisoned; // the gradient that gets a NaN, none while buffer is NULL

static void (*weight_gradient)(struct slt_ctx *ctx, struct slt_tensor dw, double beta,
                               struct slt_act dy, struct slt_act x, double alpha);

static void poison(struct slt_ctx *ctx, struct slt_tensor dw, double beta, struct slt_act dy,
                   struct slt_act x, double alpha)
{
    weight_gradient(ctx, dw, beta, dy, x, alpha);
    if (poisoned.rows == dw.rows && poisoned.cols == dw.cols && poisoned.buffer != NULL) {
        const float nan_ = NAN;
        slt_cpu_ops(NULL)->write(ctx, dw.buffer, dw.offset + 8, &nan_, sizeof nan_);
        poisoned.buffer = NULL; // of the last layer, whose turn comes first
    }
}

// With updates per layer, a group whose gradient is not finite keeps its weights and moments, and
// all others take their step.
static void check_poisoned_group(struct slt_device *device, struct slt_tokens *tokens)
{
    enum { MOST = 64 };
    struct slt_error err;
    struct slt_ops ops = *device->ops;
    struct slt_device with = *device;
    struct slt_train_options o = options_of(4);
    struct slt_train_record record;
    float before[MOST], after[MOST], moment[MOST];
    weight_gradient = ops.linear_backward_weight;
    ops.linear_backward_weight = poison;
    with.ops = &ops;
    o.per_layer = true;
    struct slt_trainer *t = create(&with, tokens, SLT_FULL, &o);
    CHECK_OK(slt_trainer_step(t, &record, NULL, &err), err);
    const int down = t->model->layer[1].group[SLT_GROUP_DOWN].w_part;
    for (int part = 0; part < t->model->part_count; part++) {
        const struct slt_tensor w = t->model->part[part].value;
        if (part != down && w.rows == 1)
            continue; // gains of norms start alike
        poisoned = t->model->part[down].value;
        slt_tensor_read(t->model, &before[part], w, 87, 1);
    }
    const struct slt_slot *slot = NULL;
    for (size_t i = 0; i < t->optimizer.slots; i++)
        if (t->optimizer.slot[i].part == down)
            slot = &t->optimizer.slot[i];
    slt_tensor_read(t->model, &moment[0], slot->state[0].tensor, 7, 1);
    CHECK_OK(slt_trainer_step(t, &record, NULL, &err), err);
    CHECK(poisoned.buffer == NULL, "nothing was poisoned");
    CHECK(record.skipped && record.skipped_updates == 1 && record.skipped_losses == 0,
          "not counted");
    for (int part = 0; part < t->model->part_count; part++) {
        const struct slt_tensor w = t->model->part[part].value;
        if (part != down && w.rows == 1)
            continue;
        slt_tensor_read(t->model, &after[part], w, 87, 1);
        CHECK((before[part] == after[part]) == (part == down), "part %d: %g, then %g", part,
              (double)before[part], (double)after[part]);
    }
    slt_tensor_read(t->model, &moment[1], slot->state[0].tensor, 7, 1);
    CHECK(moment[0] == moment[1] && moment[0] != 0, "moment %g, then %g", (double)moment[0],
          (double)moment[1]);
    slt_trainer_free(t);
}

// ---- The plan ----

static uint64_t created[SLT_REGIONS]; // bytes of buffers, by region

static int (*create_buffer)(struct slt_ctx *ctx, struct slt_buffer **buffer, const char *region,
                            uint64_t bytes, struct slt_error *err);

static int count_buffer(struct slt_ctx *ctx, struct slt_buffer **buffer, const char *region,
                        uint64_t bytes, struct slt_error *err)
{
    for (int i = 0; i < SLT_REGIONS; i++)
        if (strcmp(region, slt_region_name((enum slt_region)i)) == 0)
            created[i] += bytes;
    return create_buffer(ctx, buffer, region, bytes, err);
}

// What is planned for a run is what the device is asked for, region by region.
static void check_plan_of(struct slt_device *device, struct slt_tokens *tokens,
                          struct slt_config config, struct slt_train_options o, const char *what)
{
    struct slt_error err;
    struct slt_plan plan;
    struct slt_trainer *t;
    struct slt_ops counting = *device->ops;
    struct slt_device counted = *device;
    create_buffer = device->ops->buffer_create;
    counting.buffer_create = count_buffer;
    counted.ops = &counting;
    memset(created, 0, sizeof created);
    CHECK_OK(slt_train_resolve(&o, &err), err);
    CHECK_OK(slt_train_plan(&plan, device, &config, &o, &err), err);
    CHECK_OK(slt_trainer_prepare(&t, &counted, &config, &o, NULL, SLT_F32, &err), err);
    // A configuration without a checkpoint has no CRC of its supports, which are drawn last.
    const int rc = slt_trainer_allocate(t, tokens, NULL, &err);
    CHECK(rc == 0 || (rc == SLT_ERR_MISMATCH && config.method == SLT_SLTRAIN), "%s", err.message);
    for (int i = 0; i < SLT_REGIONS; i++)
        CHECK(plan.bytes[i] == created[i], "%s, %s: %llu planned, %llu asked for", what,
              slt_region_name((enum slt_region)i), (unsigned long long)plan.bytes[i],
              (unsigned long long)created[i]);
    slt_trainer_free(t);
}

static void check_plan(struct slt_device *device, struct slt_tokens *tokens, enum slt_method method,
                       struct slt_train_options o, const char *what)
{
    check_plan_of(device, tokens, config_of(method), o, what);
}

// Layers that differ, with every optimizer, when all is kept and when as little as can be: what is
// planned, and that it learns.
static void check_mixed(struct slt_device *device, struct slt_tokens *tokens)
{
    for (int i = 0; i < 2 * SLT_OPTIMIZER_COUNT; i++) {
        const bool lean = i % 2 == 1;
        struct slt_error err;
        struct slt_train_options o = options_of(lean ? 4 : 2);
        struct slt_train_record record = {0};
        double first = 0;
        o.optimizer.kind = (enum slt_optimizer_id)(i / 2);
        o.lr = o.optimizer.kind == SLT_OPTIMIZER_SGD ? 1 : 2e-2;
        o.per_layer = lean;
        o.recompute = lean ? SLT_RECOMPUTE_BLOCK : SLT_RECOMPUTE_NONE;
        o.precision = lean ? SLT_PRECISION_BF16 : SLT_PRECISION_F32;
        const char *name = slt_optimizer_name(o.optimizer.kind);
        check_plan_of(device, tokens, mixed_config(SLT_SLTRAIN), o, name);
        check_plan_of(device, tokens, mixed_config(SLT_RELORA), o, name);
        struct slt_trainer *t = create_from(device, tokens, mixed_config(SLT_SLTRAIN), &o);
        for (int step = 0; step < 30; step++) {
            CHECK_OK(slt_trainer_step(t, &record, NULL, &err), err);
            first = step == 0 ? record.loss : first;
        }
        CHECK(record.loss < first - 0.2, "%s: from %g to %g", name, first, record.loss);
        slt_trainer_free(t);
    }
}

static void check_plans(struct slt_device *device, struct slt_tokens *tokens)
{
    struct slt_train_options o = options_of(2);
    check_plan(device, tokens, SLT_FULL, o, "full");
    check_plan(device, tokens, SLT_SLTRAIN, o, "sltrain");
    o.recompute = SLT_RECOMPUTE_BLOCK;
    o.precision = SLT_PRECISION_BF16_MASTER;
    check_plan(device, tokens, SLT_SLTRAIN, o, "masters");
    o.precision = SLT_PRECISION_BF16;
    o.optimizer.kind = SLT_OPTIMIZER_GALORE;
    check_plan(device, tokens, SLT_FULL, o, "galore");
    o.micro_batch = 4;
    o.per_layer = true;
    o.optimizer.kind = SLT_OPTIMIZER_GALORE8BIT;
    check_plan(device, tokens, SLT_FULL, o, "galore8bit per layer");
    o.optimizer.kind = SLT_OPTIMIZER_ADAM8BIT;
    check_plan(device, tokens, SLT_SLTRAIN, o, "adam8bit per layer");
    o.optimizer.kind = SLT_OPTIMIZER_SGD;
    check_plan(device, tokens, SLT_SLTRAIN, o, "sgd per layer");
    o.optimizer.kind = SLT_OPTIMIZER_SPECTRAL8BIT;
    check_plan(device, tokens, SLT_SLTRAIN, o, "spectral8bit per layer");
    o.optimizer.kind = SLT_OPTIMIZER_MUON;
    o.precision = SLT_PRECISION_F32;
    check_plan(device, tokens, SLT_FULL, o, "muon per layer");
}

static void check_emulated(struct slt_tokens *tokens)
{
    struct slt_device device = {.ops = emulated_ops()};
    struct slt_error err;
    const struct slt_ops_options none = {0};
    if (device.ops == NULL)
        return;
    CHECK_OK(device.ops->open(&device.ctx, &none, &err), err);
    check_clipping(&device, tokens);
    check_non_finite(&device, tokens);
    struct slt_train_options o = options_of(4);
    check_recorded(&device, tokens, &o, "one micro-batch");
    o.precision = SLT_PRECISION_BF16_SR;
    o.micro_batch = 2;
    check_recorded(&device, tokens, &o, "two micro-batches");
    o.optimizer.kind = SLT_OPTIMIZER_ADAM8BIT;
    o.micro_batch = 1;
    check_recorded(&device, tokens, &o, "four micro-batches");
    o.optimizer.kind = SLT_OPTIMIZER_SGD;
    check_recorded(&device, tokens, &o, "sgd");
    o.optimizer.kind = SLT_OPTIMIZER_SPECTRAL8BIT;
    check_recorded(&device, tokens, &o, "spectral8bit");
    o.per_layer = true;
    o.micro_batch = 4;
    o.clip = 0.5;
    check_recorded(&device, tokens, &o, "per layer");
    device.ops->close(device.ctx);
}

int main(void)
{
    struct slt_error err;
    struct slt_device *device;
    char path[64];
    if (mkdtemp(directory) == NULL)
        return 1;
    write_tokens(in_directory(path, "tokens.tok"));
    check_packed(path);
    check_single_pass(path);
    check_documents(path);
    check_schedules();
    CHECK_OK(slt_device_open(&device, "cpu", 2, &err), err);
    struct slt_tokens *tokens = open_tokens(path);
    check_poisoned_group(device, tokens);
    check_plans(device, tokens);
    check_mixed(device, tokens);
    check_accumulation(device, tokens, config_of(SLT_FULL), "full");
    check_accumulation(device, tokens, config_of(SLT_SLTRAIN), "sltrain");
    check_accumulation(device, tokens, mixed_config(SLT_SLTRAIN), "mixed");
    check_clipping(device, tokens);
    check_non_finite(device, tokens);
    check_emulated(tokens);
    slt_tokens_close(tokens);
    slt_device_close(device);
    unlink(path);
    unlink(in_directory(path, "init.slt"));
    rmdir(directory);
    return TEST_END();
}
