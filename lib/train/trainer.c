// One optimizer step: sample a batch, forward and backward by micro-batches, norm, update.
#include <math.h>
#include <stdlib.h>

#include "model/evaluate.h"
#include "optim/refactor.h"
#include "optim/relora.h"
#include "train/trainer.h"

// With clip_exact the gradients that are small, of factors or projected, wait for their norm.
static bool updates_at_commit(const struct slt_train_options *o)
{
    return o->per_layer && !(o->clip_exact && o->clip > 0);
}

static bool norm_is_whole(const struct slt_train_options *o)
{
    return o->clip > 0 && !o->per_layer;
}

static int64_t ranks_of(const struct slt_train_options *o)
{
    return o->ranks > 0 ? o->ranks : 1;
}

// Whether one micro-batch is all that this rank has of a step.
static bool is_whole(const struct slt_trainer *t)
{
    return t->options.micro_batch == t->share;
}

// Gradients of the linears' matrices in BF16 are for runs that keep all they can so: in which no
// second micro-batch adds to them, and a subspace, if the optimizer has one, is all it asks of them.
static enum slt_dtype dtype_of_matrices(const struct slt_trainer *t, const struct slt_model *model,
                                        bool projects)
{
    return slt_optimizer_is_half(&t->optimizer) && is_whole(t) &&
                   (projects || t->optimizer.kind->subspace == NULL)
               ? SLT_BF16
               : model->dtype;
}

// Ranks that share the optimizer's state have a part of it each.
static int share_state(struct slt_trainer *t, struct slt_error *err)
{
    const struct slt_train_options *o = &t->options;
    if (!o->shard_state || o->ranks <= 1)
        return 0;
    int rc = slt_optimizer_share(&t->optimizer, (int)o->ranks, (int)o->rank, err);
    return rc == 0 ? slt_shares_init(&t->grads.shares, &t->optimizer, &t->grads.reduction, err)
                   : rc;
}

static int layout_extra(struct slt_model *model, void *user, struct slt_error *err)
{
    struct slt_trainer *t = user;
    const struct slt_train_options *o = &t->options;
    const bool projects =
        slt_optimizer_projects(&o->optimizer, &model->config, norm_is_whole(o)) > 0;
    int rc = 0;
    if (t->grads.grad == NULL &&
        ((rc = slt_optimizer_init(&t->optimizer, &o->optimizer, o->lr, o->precision, o->seed, model,
                                  err)) != 0 ||
         (rc = slt_grads_init(&t->grads, model, updates_at_commit(o) && is_whole(t),
                              dtype_of_matrices(t, model, projects),
                              projects ? &t->optimizer : NULL, err)) != 0 ||
         (rc = share_state(t, err)) != 0))
        return rc;
    slt_optimizer_layout(&t->optimizer);
    slt_grads_layout(&t->grads, model, t->groups, ranks_of(o));
    return 0;
}

static struct slt_model_shape shape_of(const struct slt_train_options *o,
                                       const struct slt_config *config)
{
    return (struct slt_model_shape){
        .batch = o->micro_batch,
        .seq = o->seq,
        .training = true,
        .route = o->route,
        .recompute = o->recompute,
        .bf16 = o->precision != SLT_PRECISION_F32,
        .unpacks = slt_linear_kind(config->method)->merges ||
                   slt_optimizer_has(o->optimizer.kind, SLT_TRAIT_SUBSPACE) ||
                   slt_optimizer_has(o->optimizer.kind, SLT_TRAIT_ORTHOGONAL),
        .trains = slt_trained_roles(o->train_only),
        .projected = slt_optimizer_projects(&o->optimizer, config, norm_is_whole(o))};
}

// The number of groups of the whole batch. Ranks that do not divide them cannot keep to them.
static int64_t groups_of(const struct slt_train_options *o, const struct slt_progress *started)
{
    const int64_t ranks = ranks_of(o);
    const int64_t groups = o->reduce_groups > 0 ? o->reduce_groups
                           : started != NULL    ? started->groups
                                                : ranks;
    return groups % ranks == 0 ? groups : ranks;
}

static int check_groups(const struct slt_train_options *o, int64_t groups, struct slt_error *err)
{
    if (o->reduce_groups > 0 && o->reduce_groups != groups)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "--reduce-groups %lld cannot be shared evenly by %lld ranks",
                             (long long)o->reduce_groups, (long long)o->ranks);
    if (o->batch % groups == 0)
        return 0;
    return slt_error_set(err, SLT_ERR_RANGE, "a batch of %lld cannot be shared evenly by %lld %s",
                         (long long)o->batch, (long long)groups,
                         groups == o->ranks ? "ranks" : "groups (--reduce-groups)");
}

static int prepare(struct slt_trainer **trainer, const struct slt_device *device,
                   const struct slt_config *config, const struct slt_train_options *options,
                   int64_t micro_batch, int64_t groups, enum slt_dtype dtype, struct slt_error *err)
{
    struct slt_trainer *t = calloc(1, sizeof *t);
    if (t == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a trainer");
    const int64_t ranks = ranks_of(options);
    t->given = t->options = *options;
    t->options.micro_batch = micro_batch;
    t->share = options->batch / ranks;
    // Elsewhere than in the host's memory gradients accumulate over all that a rank has.
    t->groups = slt_ops_on_host(device->ops) ? groups / ranks : 1;
    t->progress.groups = groups;
    t->progress.micro_batch = micro_batch;
    options = &t->options;
    const struct slt_model_shape shape = shape_of(options, config);
    int rc = slt_model_prepare(&t->model, device, config, dtype, &shape, layout_extra, t, err);
    if (rc != 0) {
        slt_trainer_free(t);
        return rc;
    }
    // What the model is made for from now on; the run is known by the configuration it started
    // from.
    if (t->model->config.max_position_embeddings < options->seq)
        t->model->config.max_position_embeddings = options->seq;
    t->plan = slt_model_plan(t->model);
    t->plan.micro_batch = micro_batch;
    t->plan.ranks = ranks;
    t->plan.groups = groups;
    // Where owners alone get the sums of gradients, they give parameters instead.
    t->plan.sent = slt_sums_traffic(ranks, slt_grads_bytes(&t->grads, t->model));
    if (t->grads.shares.optimizer != NULL)
        t->plan.sent = t->plan.sent / 2 + slt_shares_traffic(&t->grads.shares);
    *trainer = t;
    return 0;
}

// The largest divisor of the batch that is at most m, and at least 1.
static int64_t divisor(int64_t batch, int64_t m)
{
    m = m < batch ? m : batch;
    while (m > 1 && batch % m != 0)
        m--;
    return m > 1 ? m : 1;
}

// A micro-batch that is left open has at most as many tokens as the device is served by, and takes
// no more of its memory than what usually is free; that is the same from run to run, as what others
// leave free is not. None reaches beyond a group.
int slt_trainer_prepare(struct slt_trainer **trainer, const struct slt_device *device,
                        const struct slt_config *config, const struct slt_train_options *options,
                        const struct slt_progress *started, enum slt_dtype dtype,
                        struct slt_error *err)
{
    const int64_t groups = groups_of(options, started);
    struct slt_trainer *t = NULL;
    int rc = slt_train_check_model(options, config, err);
    if (rc != 0 || (rc = check_groups(options, groups, err)) != 0)
        return rc;
    const int64_t most = options->batch / groups;
    const int64_t wanted = options->micro_batch > 0 ? options->micro_batch
                           : started != NULL        ? started->micro_batch
                                                    : 0;
    if (wanted > 0)
        return prepare(trainer, device, config, options, divisor(most, wanted), groups, dtype, err);
    const uint64_t memory = slt_device_memory(device) / 10 * 9;
    int64_t micro = divisor(most, device->ops->micro_tokens / options->seq);
    while ((rc = prepare(&t, device, config, options, micro, groups, dtype, err)) == 0 &&
           micro > 1 && slt_plan_total(&t->plan) > memory) {
        slt_trainer_free(t);
        micro = divisor(most, micro - 1);
    }
    if (rc == 0)
        *trainer = t;
    return rc;
}

int slt_trainer_allocate(struct slt_trainer *t, struct slt_tokens *tokens, struct slt_ranks *ranks,
                         struct slt_error *err)
{
    const struct slt_train_options *o = &t->options;
    int rc = slt_sampler_init(&t->sampler, tokens, o->seq, o->packing, true, o->seed, err);
    if (rc != 0 || (rc = slt_model_allocate(t->model, err)) != 0 ||
        (rc = slt_reduction_join(&t->grads.reduction, ranks, err)) != 0)
        return rc;
    slt_optimizer_bind(&t->optimizer, t->grads.grad);
    t->ranks = t->grads.projected.ranks = ranks;
    const size_t values = (size_t)(t->share * o->seq);
    t->ids = malloc(values * sizeof *t->ids);
    t->targets = malloc(values * sizeof *t->targets);
    t->losses = calloc((size_t)t->groups + (size_t)slt_ranks_size(ranks), sizeof *t->losses);
    t->summands = calloc(t->optimizer.slots, sizeof *t->summands);
    if (t->ids == NULL || t->targets == NULL || t->losses == NULL || t->summands == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a batch of %zu tokens", values);
    return 0;
}

int slt_train_plan(struct slt_plan *plan, struct slt_device *device,
                   const struct slt_config *config, const struct slt_train_options *options,
                   struct slt_error *err)
{
    struct slt_trainer *t;
    int rc = slt_trainer_prepare(&t, device, config, options, NULL, SLT_F32, err);
    if (rc == 0) {
        *plan = t->plan;
        slt_trainer_free(t);
    }
    return rc;
}

void slt_trainer_free(struct slt_trainer *t)
{
    if (t == NULL)
        return;
    for (int i = 0; i < SLT_RECORDINGS; i++)
        if (t->recorded[i].graph != NULL)
            t->model->ops->graph_free(t->model->ctx, t->recorded[i].graph);
    slt_model_free(t->model);
    slt_optimizer_free(&t->optimizer);
    slt_grads_free(&t->grads);
    slt_sampler_free(&t->sampler);
    free(t->ids);
    free(t->targets);
    free(t->losses);
    free(t->summands);
    free(t);
}

// The scalars that a step starts from.
static void set_scalars(struct slt_trainer *t, uint64_t predicted, struct slt_train_record *record)
{
    const struct slt_train_options *o = &t->options;
    const double count = (double)(t->progress.updates + 1);
    double scalar[SLT_SCALARS] = {0};
    record->lr = o->lr * slt_schedule_factor(&o->schedule, o->steps, o->optimizer.relora_every,
                                             t->progress.step + 1);
    scalar[SLT_SCALAR_LR] = record->lr;
    scalar[SLT_SCALAR_C1] = 1 - pow(o->optimizer.beta1, count);
    scalar[SLT_SCALAR_C2] = 1 - pow(o->optimizer.beta2, count);
    scalar[SLT_SCALAR_LOSS_SCALE] = predicted > 0 ? 1 / (double)predicted : 0;
    scalar[SLT_SCALAR_CLIP] = o->clip;
    // What clips an update at a commit is the norm of the last step, since that of this one is
    // known only when it is too late; the first step clips each group by itself.
    scalar[SLT_SCALAR_LAST_NORM] = updates_at_commit(o) ? t->progress.norm : 0;
    scalar[SLT_SCALAR_UPDATE] = (double)t->progress.updates;
    slt_model_set_scalars(t->model, scalar);
}

// ---- Forward and backward ----

// Whether the host has to look at losses and norms on the way: an optimizer that decomposes
// gradients cannot be given some that are not finite. All others leave the looking to the device.
static bool needs_finite_check(const struct slt_trainer *t)
{
    return t->optimizer.kind->subspace != NULL;
}

// The norm of the gradients of parts [first, first + count), parameter by parameter.
static void norm_of(struct slt_trainer *t, int first, int count)
{
    const struct slt_model *m = t->model;
    int64_t n = 0;
    if (t->grads.shares.optimizer != NULL) {
        slt_shares_norm(&t->grads.shares, first, count);
        return;
    }
    for (size_t i = 0; i < t->optimizer.slots; i++)
        if (t->optimizer.slot[i].states > 0 && slt_slot_in(&t->optimizer.slot[i], first, count))
            t->summands[n++] = t->optimizer.slot[i].grad;
    m->ops->grad_norm(m->ctx, m->scalars, t->summands, n);
}

// The update of parts [first, first + count) from their gradients. What is not finite, or belongs
// to a loss that is not, changes nothing.
static void update_parts(void *user, int first, int count)
{
    struct slt_trainer *t = user;
    struct slt_model *m = t->model;
    norm_of(t, first, count);
    if (needs_finite_check(t) && slt_model_get_scalar(m, SLT_SCALAR_SKIP) != 0)
        return;
    if (t->failure.code == 0)
        t->optimizer.kind->step(&t->optimizer, first, count, t->progress.updates, &t->failure);
    slt_shares_give(&t->grads.shares, first, count, t->progress.updates);
}

// The losses of a group are complete; with the last one, those of the step, whose sum every update
// looks at.
static void add_losses(struct slt_trainer *t)
{
    double *all = t->losses + t->groups;
    const int64_t group = t->grads.group;
    if (slt_ranks_size(t->ranks) * t->groups == 1)
        return;
    if (t->grads.reduction.on_device) {
        slt_reduction_add(&t->grads.reduction, slt_model_scalar(t->model, SLT_SCALAR_LOSS), 0,
                          NULL);
        return;
    }
    t->losses[group] = slt_model_get_scalar(t->model, SLT_SCALAR_LOSS);
    if (group < t->groups - 1) {
        slt_model_set_scalar(t->model, SLT_SCALAR_LOSS, 0);
        return;
    }
    const double mine = slt_sum_tree(t->losses, (int)t->groups);
    struct slt_error lost;
    if (slt_ranks_gather(t->ranks, all, &mine, sizeof mine, &lost) != 0)
        t->failure = lost;
    slt_model_set_scalar(t->model, SLT_SCALAR_LOSS, slt_sum_tree(all, slt_ranks_size(t->ranks)));
}

static void micro_step(struct slt_trainer *t)
{
    slt_model_forward(t->model);
    slt_model_loss(t->model, &t->grads.sink);
    if (t->grads.ends_group)
        add_losses(t);
    slt_model_backward(t->model, &t->grads.sink);
    if (t->grads.ends_group)
        slt_reduction_finish(&t->grads.reduction);
}

static void update_all(struct slt_trainer *t)
{
    update_parts(t, 0, t->model->part_count);
}

// Does work, whose operations are the same every time. The first time they run one by one, so that
// what is made at first use is there; the second time they are recorded; from then on replayed. All
// micro-batches of a step come to be recorded in the same step, each after those before it, so that
// the later ones find their gradients begun.
static void run_recorded(struct slt_trainer *t, enum slt_recording which,
                         void (*work)(struct slt_trainer *t))
{
    const struct slt_ops *ops = t->model->ops;
    struct slt_ctx *ctx = t->model->ctx;
    struct slt_recorded *r = &t->recorded[which];
    if (ops->capture_begin == NULL || needs_finite_check(t) || t->eager || !r->ran) {
        work(t);
        r->ran = true;
        return;
    }
    if (r->graph == NULL) {
        ops->capture_begin(ctx);
        work(t);
        r->graph = ops->capture_end(ctx);
    }
    if (r->graph != NULL)
        ops->graph_launch(ctx, r->graph);
}

// The first failure of what ran without a way to return it.
static int failure_of(const struct slt_trainer *t, struct slt_error *err)
{
    const struct slt_error *const all[] = {&t->failure, &t->grads.reduction.failure,
                                           &t->grads.projected.failure};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]->code != 0)
            return slt_error_copy(err, all[i]);
    return 0;
}

// Waits for everything that has begun, and says whether it went well.
static int finish(struct slt_trainer *t, struct slt_error *err)
{
    int rc = t->model->ops->synchronize(t->model->ctx, err);
    return rc != 0 ? rc : failure_of(t, err);
}

// Forward and backward of all micro-batches, with per_layer also the updates.
static int accumulate(struct slt_trainer *t, slt_stop_flag *stop, struct slt_error *err)
{
    const struct slt_train_options *o = &t->options;
    const int64_t group = t->share / t->groups;
    slt_grads_begin(&t->grads, t->model->part_count, t->progress.updates);
    for (int64_t i = 0; i < t->share; i += o->micro_batch) {
        // With per_layer the last micro-batch changes weights: from then on the step has happened.
        int rc = t->ranks == NULL ? slt_error_stopped(stop, err) : 0;
        if (rc != 0)
            return rc;
        const bool first = i == 0, last = i + o->micro_batch == t->share;
        if (i > 0 && i % group == 0)
            slt_grads_begin_group(&t->grads, t->model->part_count, i / group);
        t->grads.ends_group = (i + o->micro_batch) % group == 0;
        t->grads.on_commit = updates_at_commit(o) && last ? update_parts : NULL;
        t->grads.user = t;
        slt_model_set_batch(t->model, t->ids + i * o->seq, t->targets + i * o->seq);
        run_recorded(t,
                     first ? (last ? SLT_RECORD_ONLY : SLT_RECORD_FIRST)
                           : (last ? SLT_RECORD_LAST : SLT_RECORD_MIDDLE),
                     micro_step);
        slt_ranks_tick(t->ranks);
    }
    return failure_of(t, err);
}

// What a step that has been computed did.
static void record_step(struct slt_trainer *t, struct slt_train_record *record, uint64_t predicted,
                        const double scalar[SLT_SCALARS])
{
    struct slt_progress *p = &t->progress;
    const bool commits = updates_at_commit(&t->options);
    const double loss = scalar[SLT_SCALAR_LOSS];
    const bool bad_loss = !isfinite(loss);
    const bool bad_gradient =
        !bad_loss && scalar[commits ? SLT_SCALAR_SKIPPED : SLT_SCALAR_SKIP] != 0;
    record->skipped = bad_loss || bad_gradient;
    record->grad_norm = record->skipped ? NAN : sqrt(scalar[SLT_SCALAR_SQUARES]);
    record->loss = bad_loss || predicted == 0 ? NAN : loss / (double)predicted;
    if (commits && !record->skipped)
        p->norm = record->grad_norm;
    p->step++;
    p->sequences += (uint64_t)t->options.batch;
    p->tokens += predicted;
    p->skipped_losses += bad_loss;
    p->skipped_updates += bad_gradient;
    p->updates += !record->skipped;
    p->skipped_in_row = record->skipped ? p->skipped_in_row + 1 : 0;
    record->step = p->step;
    record->tokens = p->tokens;
    record->skipped_losses = p->skipped_losses;
    record->skipped_updates = p->skipped_updates;
}

// This rank's sequences of the next step. *predicted: of all ranks.
static int read_share(struct slt_trainer *t, uint64_t *predicted, struct slt_error *err)
{
    const uint64_t first = t->progress.sequences + (uint64_t)(slt_ranks_rank(t->ranks) * t->share);
    int64_t got;
    t->sampler.next = first;
    int rc = slt_sampler_next(&t->sampler, t->ids, t->targets, t->share, &got, err);
    if (rc == 0 && got < t->share)
        rc = slt_error_set(err, SLT_ERR_RANGE, "'%s' ended after %llu sequences, in step %lld",
                           slt_tokens_name(t->sampler.tokens),
                           (unsigned long long)(first + (uint64_t)got),
                           (long long)t->progress.step + 1);
    *predicted = rc == 0 ? slt_count_targets(t->targets, t->share * t->options.seq) : 0;
    return slt_ranks_settle_sum(t->ranks, rc, predicted, err);
}

// What happens to factors every so many updates. Their owners split them anew.
static int remake_factors(struct slt_trainer *t, struct slt_error *err)
{
    const int64_t updates = t->progress.updates;
    int rc = 0;
    if (slt_relora_is_due(&t->optimizer, updates))
        rc = slt_ranks_settle(t->ranks, slt_relora_restart(&t->optimizer, updates, err), err);
    if (rc != 0 || !slt_refactor_is_due(&t->optimizer, updates))
        return rc;
    if ((rc = slt_ranks_settle(t->ranks, slt_refactor(&t->optimizer, err), err)) != 0)
        return rc;
    slt_shares_give(&t->grads.shares, 0, t->model->part_count, updates);
    return slt_ranks_settle(t->ranks, finish(t, err), err);
}

int slt_trainer_step(struct slt_trainer *t, struct slt_train_record *record, slt_stop_flag *stop,
                     struct slt_error *err)
{
    const struct slt_train_options *o = &t->options;
    const double start = slt_clock_now();
    double scalar[SLT_SCALARS] = {0};
    uint64_t predicted;
    int rc = read_share(t, &predicted, err);
    if (rc != 0)
        return rc;
    *record = (struct slt_train_record){.data_seconds = slt_clock_now() - start};
    set_scalars(t, predicted, record);
    t->failure.code = 0;
    t->is_stepping = true;
    if ((rc = accumulate(t, stop, err)) != 0) {
        t->is_stepping = rc != SLT_ERR_STOPPED;
        return slt_ranks_settle(t->ranks, rc, err);
    }
    if (!updates_at_commit(o))
        run_recorded(t, SLT_RECORD_UPDATE, update_all);
    slt_model_get_scalars(t->model, scalar);
    // What one rank alone could not do, none has done.
    if ((rc = slt_ranks_settle(t->ranks, finish(t, err), err)) != 0)
        return rc;
    record_step(t, record, predicted, scalar);
    if (!record->skipped && (rc = remake_factors(t, err)) != 0)
        return rc;
    t->is_stepping = false;
    record->seconds = slt_clock_now() - start;
    slt_ranks_expect(t->ranks, record->seconds);
    record->tokens_per_second = (double)predicted / record->seconds;
    return 0;
}

int slt_trainer_validate(struct slt_trainer *t, struct slt_train_validation *validation,
                         struct slt_tokens *tokens, uint64_t limit, slt_stop_flag *stop,
                         struct slt_error *err)
{
    const double start = slt_clock_now();
    const struct slt_train_options *o = &t->options;
    const struct slt_eval_options options = {.batch = o->micro_batch,
                                             .seq = o->seq,
                                             .packing = o->packing,
                                             .limit = limit,
                                             .stop = stop,
                                             .ranks = t->ranks};
    struct slt_eval_result result;
    int rc = slt_evaluate_model(&result, t->model, tokens, &options, err);
    slt_model_resize(t->model, o->micro_batch, o->seq);
    if (rc == 0)
        *validation =
            (struct slt_train_validation){t->progress.step, result.loss, result.perplexity,
                                          result.tokens, slt_clock_now() - start};
    return rc;
}
