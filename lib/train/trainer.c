// One optimizer step: deal a batch, forward and backward by micro-batches, norm, update.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "optim/relora.h"
#include "train/evaluate.h"
#include "train/trainer.h"

// With clip_exact the gradients that are small, of factors or projected, wait for their norm.
static bool updates_at_commit(const struct slt_train_options *o)
{
    return o->per_layer && !(o->clip_exact && o->clip > 0);
}

static int layout_extra(struct slt_model *model, void *user, struct slt_error *err)
{
    struct slt_trainer *t = user;
    const struct slt_train_options *o = &t->options;
    const bool projects = slt_optimizer_projects(o, &model->config) > 0;
    int rc = 0;
    if (t->grads.grad == NULL &&
        ((rc = slt_optimizer_init(&t->optimizer, o, model, err)) != 0 ||
         (rc = slt_grads_init(&t->grads, model, updates_at_commit(o) && o->micro_batch == o->batch,
                              projects ? &t->optimizer : NULL, err)) != 0))
        return rc;
    slt_optimizer_layout(&t->optimizer);
    slt_grads_layout(&t->grads, model);
    return 0;
}

static struct slt_model_shape shape_of(const struct slt_train_options *o,
                                       const struct slt_config *config)
{
    return (struct slt_model_shape){.batch = o->micro_batch,
                                    .seq = o->seq,
                                    .training = true,
                                    .route = slt_route_parse(o->route),
                                    .recompute = slt_recompute_parse(o->recompute),
                                    .bf16 = strcmp(o->precision, "f32") != 0,
                                    .unpacks = config->method == SLT_RELORA ||
                                               strncmp(o->optimizer, "galore", 6) == 0,
                                    .trains = slt_trained_roles(o->train_only),
                                    .projected = slt_optimizer_projects(o, config)};
}

int slt_train_plan(struct slt_plan *plan, struct slt_device *device,
                   const struct slt_config *config, const struct slt_train_options *options,
                   struct slt_error *err)
{
    struct slt_trainer t = {.options = *options};
    // Its weights would come out as they are after rounding, under a configuration that says codes.
    if (config->quantization.type != SLT_QUANT_NONE)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "a quantized model (%s) cannot be trained: dequantize it first",
                             slt_quant_name(config->quantization.type));
    int rc = slt_train_resolve(&t.options, err);
    if (rc != 0)
        return rc;
    const struct slt_model_shape shape = shape_of(&t.options, config);
    rc = slt_model_plan(plan, device, config, SLT_F32, &shape, layout_extra, &t, err);
    slt_grads_free(&t.grads);
    slt_optimizer_free(&t.optimizer);
    return rc;
}

int slt_trainer_create(struct slt_trainer **trainer, const struct slt_device *device,
                       const struct slt_config *config, struct slt_tokens *tokens,
                       const struct slt_train_options *options, enum slt_dtype dtype,
                       struct slt_error *err)
{
    struct slt_trainer *t = calloc(1, sizeof *t);
    if (t == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a trainer");
    t->options = *options;
    int rc = slt_train_resolve(&t->options, err);
    if (rc != 0)
        goto out;
    const struct slt_train_options *o = &t->options;
    const struct slt_model_shape shape = shape_of(o, config);
    if ((rc = slt_dealer_init(&t->dealer, tokens, o->seq, o->packing, true, o->seed, err)) != 0 ||
        (rc = slt_model_create(&t->model, device, config, dtype, &shape, layout_extra, t, err)) !=
            0)
        goto out;
    slt_optimizer_bind(&t->optimizer, t->grads.grad);
    const size_t values = (size_t)(o->batch * o->seq);
    t->ids = malloc(values * sizeof *t->ids);
    t->targets = malloc(values * sizeof *t->targets);
    if (t->ids == NULL || t->targets == NULL)
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a batch of %zu tokens", values);
out:
    if (rc != 0)
        slt_trainer_free(t);
    else
        *trainer = t;
    return rc;
}

void slt_trainer_free(struct slt_trainer *t)
{
    if (t == NULL)
        return;
    slt_model_free(t->model);
    slt_optimizer_free(&t->optimizer);
    slt_grads_free(&t->grads);
    slt_dealer_free(&t->dealer);
    free(t->ids);
    free(t->targets);
    free(t);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void set_rates(struct slt_trainer *t, struct slt_train_record *record)
{
    struct slt_model *m = t->model;
    const struct slt_train_options *o = &t->options;
    const double count = (double)(t->progress.updates + 1);
    record->lr = o->lr * slt_schedule_factor(o, t->progress.step + 1);
    slt_model_set_scalar(m, SLT_SCALAR_LR, record->lr);
    slt_model_set_scalar(m, SLT_SCALAR_C1, 1 - pow(o->beta1, count));
    slt_model_set_scalar(m, SLT_SCALAR_C2, 1 - pow(o->beta2, count));
    slt_model_set_scalar(m, SLT_SCALAR_CLIP, o->clip);
}

// The update of parts [first, first + count) as soon as they are complete. What clips is the norm
// of the last step, since that of this one is known only when it is too late; the first step clips
// each group by itself. A group that is not finite stays as it is.
static void update_group(void *user, int first, int count)
{
    struct slt_trainer *t = user;
    struct slt_model *m = t->model;
    const double clip = t->options.clip, last = t->progress.norm;
    slt_model_set_scalar(m, SLT_SCALAR_CLIP, last > 0 ? 0 : clip);
    m->ops->grad_norm(m->ctx, m->scalars, t->grads.grad + first, count);
    const double norm = slt_model_get_scalar(m, SLT_SCALAR_NORM);
    if (slt_model_get_scalar(m, SLT_SCALAR_SKIP) != 0) {
        t->skipped_group = true;
        return;
    }
    t->squares += norm * norm;
    if (clip > 0 && last > clip)
        slt_model_set_scalar(m, SLT_SCALAR_GRAD_SCALE, clip / (last + 1e-6));
    if (t->failure.code == 0)
        t->optimizer.kind->step(&t->optimizer, first, count, t->progress.updates, &t->failure);
}

// Forward and backward of all micro-batches, with per_layer also the updates. *loss is the sum over
// predicted tokens; backward stops at the first one that is not finite. 1 if the step is to be
// skipped, else 0 or an error.
static int accumulate(struct slt_trainer *t, double *loss, slt_stop_flag *stop,
                      struct slt_error *err)
{
    const struct slt_train_options *o = &t->options;
    slt_grads_begin(&t->grads, t->model->part_count, t->progress.updates);
    for (int64_t i = 0; i < o->batch; i += o->micro_batch) {
        // With per_layer the last micro-batch changes weights: from then on the step has happened.
        if (stop != NULL && *stop != 0)
            return slt_error_set(err, SLT_ERR_STOPPED, "stopped by a signal");
        const bool last = i + o->micro_batch == o->batch;
        t->grads.on_commit = updates_at_commit(o) && last ? update_group : NULL;
        t->grads.user = t;
        slt_model_set_batch(t->model, t->ids + i * o->seq, t->targets + i * o->seq);
        slt_model_forward(t->model);
        slt_model_loss(t->model, &t->grads.sink);
        *loss = slt_model_get_scalar(t->model, SLT_SCALAR_LOSS);
        if (!isfinite(*loss))
            return 1;
        slt_model_backward(t->model, &t->grads.sink);
    }
    const struct slt_error *failure = &t->grads.projected.failure;
    return failure->code == 0 ? 0 : slt_error_set(err, failure->code, "%s", failure->message);
}

// The norm of all gradients, then the update; *skipped if it was skipped.
static int update(struct slt_trainer *t, struct slt_train_record *record, bool *skipped,
                  struct slt_error *err)
{
    struct slt_model *m = t->model;
    if (updates_at_commit(&t->options)) { // has happened already
        record->grad_norm = t->skipped_group ? NAN : sqrt(t->squares);
        t->progress.norm = t->skipped_group ? t->progress.norm : record->grad_norm;
        *skipped = t->skipped_group;
        return t->failure.code == 0 ? 0
                                    : slt_error_set(err, t->failure.code, "%s", t->failure.message);
    }
    m->ops->grad_norm(m->ctx, m->scalars, t->grads.grad, m->part_count);
    record->grad_norm = slt_model_get_scalar(m, SLT_SCALAR_NORM);
    *skipped = slt_model_get_scalar(m, SLT_SCALAR_SKIP) != 0;
    return *skipped
               ? 0
               : t->optimizer.kind->step(&t->optimizer, 0, m->part_count, t->progress.updates, err);
}

int slt_trainer_step(struct slt_trainer *t, struct slt_train_record *record, slt_stop_flag *stop,
                     struct slt_error *err)
{
    const struct slt_train_options *o = &t->options;
    struct slt_progress *p = &t->progress;
    const double start = now();
    int64_t got;
    double loss = 0;
    t->dealer.next = p->sequences;
    int rc = slt_dealer_next(&t->dealer, t->ids, t->targets, o->batch, &got, err);
    if (rc != 0)
        return rc;
    if (got < o->batch)
        return slt_error_set(err, SLT_ERR_RANGE, "'%s' ended after %llu sequences, in step %lld",
                             slt_tokens_name(t->dealer.tokens),
                             (unsigned long long)(p->sequences + (uint64_t)got),
                             (long long)p->step + 1);
    const uint64_t predicted = slt_count_targets(t->targets, o->batch * o->seq);
    *record = (struct slt_train_record){.data_seconds = now() - start};
    slt_model_set_scalar(t->model, SLT_SCALAR_LOSS, 0);
    slt_model_set_scalar(t->model, SLT_SCALAR_LOSS_SCALE,
                         predicted > 0 ? 1 / (double)predicted : 0);
    set_rates(t, record);
    t->squares = 0;
    t->skipped_group = false;
    t->failure.code = 0;
    rc = accumulate(t, &loss, stop, err);
    if (rc < 0)
        return rc;
    const bool bad_loss = rc == 1;
    record->grad_norm = NAN;
    bool bad_gradient = false;
    if (!bad_loss && (rc = update(t, record, &bad_gradient, err)) != 0)
        return rc;
    if ((rc = t->model->ops->synchronize(t->model->ctx, err)) != 0)
        return rc;
    p->step++;
    p->sequences += (uint64_t)o->batch;
    p->tokens += predicted;
    p->skipped_losses += bad_loss;
    p->skipped_updates += bad_gradient;
    p->updates += !bad_loss && !bad_gradient;
    if (!bad_loss && !bad_gradient && slt_relora_is_due(&t->optimizer, p->updates) &&
        (rc = slt_relora_restart(&t->optimizer, p->updates, err)) != 0)
        return rc;
    p->skipped_in_row = bad_loss || bad_gradient ? p->skipped_in_row + 1 : 0;
    record->step = p->step;
    record->tokens = p->tokens;
    record->loss = bad_loss || predicted == 0 ? NAN : loss / (double)predicted;
    record->skipped = bad_loss || bad_gradient;
    record->skipped_losses = p->skipped_losses;
    record->skipped_updates = p->skipped_updates;
    record->seconds = now() - start;
    record->tokens_per_second = (double)predicted / record->seconds;
    return 0;
}

int slt_trainer_validate(struct slt_trainer *t, struct slt_train_validation *validation,
                         const char *path, uint64_t limit, slt_stop_flag *stop,
                         struct slt_error *err)
{
    const double start = now();
    const struct slt_train_options *o = &t->options;
    const struct slt_eval_options options = {.batch = o->micro_batch,
                                             .seq = o->seq,
                                             .packing = o->packing,
                                             .limit = limit,
                                             .stop = stop};
    struct slt_eval_result result;
    struct slt_input *in;
    struct slt_tokens *tokens = NULL;
    int rc;
    if ((rc = slt_input_open(&in, path, stop, err)) != 0 ||
        (rc = slt_tokens_open(&tokens, in, err)) != 0)
        return rc;
    rc = slt_evaluate_model(&result, t->model, tokens, &options, err);
    slt_tokens_close(tokens);
    slt_model_resize(t->model, o->micro_batch, o->seq);
    if (rc == 0)
        *validation = (struct slt_train_validation){
            t->progress.step, result.loss, result.perplexity, result.tokens, now() - start};
    return rc;
}
