// A whole run: resume or start, steps with validation and checkpoints, the final checkpoint.
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/evaluate.h"
#include "train/trainer.h"

struct run {
    const struct slt_train_run *how;
    struct slt_trainer *trainer;
    struct slt_luggage luggage;
    double start;           // of this process's training
    double last_checkpoint; // when the last state checkpoint was written
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// ---- Start ----

// Adds this run's line to the provenance that the input carried.
static int add_provenance(struct run *r, struct slt_error *err)
{
    char *options, *text;
    if (r->how->tool == NULL)
        return 0;
    int rc = slt_trainer_options_json(r->trainer, &options, err);
    if (rc != 0)
        return rc;
    rc = slt_provenance_add(&text, r->luggage.provenance, r->how->tool, options, err);
    free(options);
    if (rc == 0) {
        free(r->luggage.provenance);
        r->luggage.provenance = text;
    }
    return rc;
}

static void report_routes(const struct run *r)
{
    for (int k = 0; r->how->on_route != NULL && k < SLT_GROUP_KINDS; k++) {
        const struct slt_group *g = &r->trainer->model->layer[0].group[k];
        if (g->rank > 0)
            r->how->on_route(r->how->user, slt_group_name((enum slt_group_kind)k),
                             slt_group_route_name(g));
    }
}

// Creates the trainer from a checkpoint: of a state (resumed) or of a model.
static int start_from(struct run *r, struct slt_device *device,
                      struct slt_checkpoint_reader *reader, bool resumed, struct slt_tokens *tokens,
                      const struct slt_train_options *options, struct slt_error *err)
{
    const struct slt_config *config = slt_checkpoint_config(reader);
    struct slt_plan plan;
    int more, rc;
    if ((rc = slt_tokens_match(tokens, reader, err)) != 0 ||
        (rc = slt_train_plan(&plan, device, config, options, err)) != 0 ||
        (rc = slt_trainer_create(&r->trainer, device, config, tokens, options, SLT_F32, err)) !=
            0 ||
        (rc = slt_model_load(r->trainer->model, reader, &more, err)) != 0)
        return rc;
    r->trainer->eager = r->how->eager;
    if (resumed && !more)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' has no optimizer state to resume from",
                             slt_checkpoint_name(reader));
    if ((resumed && (rc = slt_trainer_load_state(r->trainer, reader, err)) != 0) ||
        (rc = slt_checkpoint_verify(reader, err)) != 0 ||
        (rc = slt_luggage_take(&r->luggage, reader, err)) != 0 ||
        (!resumed && (rc = add_provenance(r, err)) != 0))
        return rc;
    if (!resumed)
        slt_optimizer_start(&r->trainer->optimizer);
    if (r->how->on_start != NULL)
        r->how->on_start(r->how->user, config, &plan, r->trainer->progress.step);
    report_routes(r);
    return 0;
}

// A state goes on from the model that the command names: their configurations are the same.
static int same_model(const struct slt_checkpoint_reader *state,
                      const struct slt_checkpoint_reader *model, struct slt_error *err)
{
    if (strcmp(slt_checkpoint_config_json(state), slt_checkpoint_config_json(model)) == 0)
        return 0;
    return slt_error_set(err, SLT_ERR_MISMATCH,
                         "'%s' is the state of another model than '%s': their config.json differ",
                         slt_checkpoint_name(state), slt_checkpoint_name(model));
}

static int start(struct run *r, struct slt_device *device, struct slt_checkpoint_reader *reader,
                 struct slt_tokens *tokens, const struct slt_train_options *options,
                 struct slt_error *err)
{
    char path[PATH_MAX] = "";
    struct slt_checkpoint_reader *state = NULL;
    int rc;
    if (r->how->resume) {
        if (r->how->checkpoint == NULL)
            return slt_error_set(err, SLT_ERR_RANGE, "resuming needs a checkpoint prefix");
        if (!slt_tokens_is_mapped(tokens))
            return slt_error_set(err, SLT_ERR_RANGE,
                                 "cannot resume on '%s': a stream has no position to return to",
                                 slt_tokens_name(tokens));
        if ((rc = slt_state_newest(path, sizeof path, r->how, err)) != 0)
            return rc;
    }
    if (path[0] != '\0') {
        struct slt_input *in;
        if ((rc = slt_input_open(&in, path, r->how->stop, err)) != 0 ||
            (rc = slt_checkpoint_open(&state, in, err)) != 0)
            return rc;
        rc = reader != NULL ? same_model(state, reader, err) : 0;
        if (rc == 0)
            rc = start_from(r, device, state, true, tokens, options, err);
        slt_checkpoint_close(state);
        return rc;
    }
    if (reader == NULL)
        return slt_error_set(err, SLT_ERR_RANGE, "there is no checkpoint to start from");
    return start_from(r, device, reader, false, tokens, options, err);
}

// ---- On the way ----

static int write_state(struct run *r, struct slt_error *err)
{
    char path[PATH_MAX];
    const int64_t step = r->trainer->progress.step;
    struct slt_output *out;
    // No stop flag: this is what a stopped run still has to do.
    int rc = slt_state_path(path, sizeof path, r->how->checkpoint, step, err);
    if (rc != 0 || (rc = slt_output_open(&out, path, NULL, err)) != 0)
        return rc;
    if ((rc = slt_trainer_save(r->trainer, out, &r->luggage, true, err)) != 0) {
        slt_output_abandon(out);
        return rc;
    }
    if ((rc = slt_output_publish(out, err)) != 0 ||
        (rc = slt_state_prune(r->how->checkpoint, r->how->keep > 0 ? r->how->keep : 1, err)) != 0)
        return rc;
    r->last_checkpoint = now();
    if (r->how->on_checkpoint != NULL)
        r->how->on_checkpoint(r->how->user, path, step);
    return 0;
}

static bool checkpoint_is_due(const struct run *r)
{
    const struct slt_train_run *how = r->how;
    const int64_t step = r->trainer->progress.step;
    if (how->checkpoint == NULL || step == r->trainer->options.steps)
        return false;
    return (how->checkpoint_every > 0 && step % how->checkpoint_every == 0) ||
           (how->checkpoint_every_seconds > 0 &&
            now() - r->last_checkpoint >= how->checkpoint_every_seconds);
}

static int validate_if_due(struct run *r, struct slt_error *err)
{
    const struct slt_train_run *how = r->how;
    const int64_t step = r->trainer->progress.step;
    const bool last = step == r->trainer->options.steps;
    if (how->valid == NULL || (!last && (how->valid_every == 0 || step % how->valid_every != 0)))
        return 0;
    struct slt_train_validation validation;
    int rc =
        slt_trainer_validate(r->trainer, &validation, how->valid, how->valid_limit, how->stop, err);
    if (rc == 0 && how->on_validation != NULL)
        rc = how->on_validation(how->user, &validation, err);
    return rc;
}

static int check_skips(const struct run *r, struct slt_error *err)
{
    const struct slt_progress *p = &r->trainer->progress;
    if (r->how->nonfinite_limit == 0 || p->skipped_in_row < r->how->nonfinite_limit)
        return 0;
    return slt_error_set(err, SLT_ERR_NUMERIC,
                         "loss or gradients were not finite in %lld steps in a row, up to step "
                         "%lld (skipped so far: %llu losses, %llu updates)",
                         (long long)p->skipped_in_row, (long long)p->step,
                         (unsigned long long)p->skipped_losses,
                         (unsigned long long)p->skipped_updates);
}

// Steps until the last one. SLT_ERR_STOPPED where the state is one that can be saved.
static int advance(struct run *r, struct slt_error *err)
{
    const struct slt_train_run *how = r->how;
    struct slt_train_record record;
    int rc;
    while (r->trainer->progress.step < r->trainer->options.steps) {
        if (how->max_seconds > 0 && now() - r->start >= how->max_seconds)
            return slt_error_set(err, SLT_ERR_STOPPED, "the time is up at step %lld",
                                 (long long)r->trainer->progress.step);
        if ((rc = slt_trainer_step(r->trainer, &record, how->stop, err)) != 0)
            return rc;
        record.elapsed = now() - r->start;
        if (how->on_step != NULL && (rc = how->on_step(how->user, &record, err)) != 0)
            return rc;
        if ((rc = check_skips(r, err)) != 0 || (rc = validate_if_due(r, err)) != 0)
            return rc;
        if (checkpoint_is_due(r) && (rc = write_state(r, err)) != 0)
            return rc;
    }
    return 0;
}

int slt_train(struct slt_output *out, struct slt_device *device,
              struct slt_checkpoint_reader *reader, struct slt_tokens *tokens,
              const struct slt_train_options *options, const struct slt_train_run *how,
              struct slt_error *err)
{
    struct run r = {.how = how};
    int rc = start(&r, device, reader, tokens, options, err);
    if (rc != 0)
        goto out;
    r.start = r.last_checkpoint = now();
    rc = advance(&r, err);
    if (rc == SLT_ERR_STOPPED && how->checkpoint != NULL) {
        struct slt_error late;
        if (write_state(&r, &late) != 0)
            rc = slt_error_set(err, late.code, "%s", late.message);
    }
    if (rc == 0)
        rc = slt_trainer_save(r.trainer, out, &r.luggage, how->keep_state, err);
out:
    slt_luggage_free(&r.luggage);
    slt_trainer_free(r.trainer);
    return rc;
}
