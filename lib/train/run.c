// A whole run: resume or start, steps with validation and states, the final checkpoint.
#include <limits.h>
#include <stdlib.h>

#include "model/evaluate.h"
#include "train/run_states.h"

struct run {
    const struct slt_train_run *how;
    struct slt_trainer *trainer;
    struct slt_run_states states;
    struct slt_attachments attachments;
    double start;  // of this process's training
    bool finished; // by an earlier process
};

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
    rc = slt_provenance_add(&text, r->attachments.provenance, r->how->tool, options, err);
    free(options);
    if (rc == 0) {
        free(r->attachments.provenance);
        r->attachments.provenance = text;
    }
    return rc;
}

static void report_routes(const struct run *r)
{
    char route[SLT_ROUTE_TEXT];
    for (int k = 0; r->how->on_route != NULL && k < SLT_GROUP_KINDS; k++) {
        const enum slt_group_kind group = (enum slt_group_kind)k;
        if (slt_model_has_factors(r->trainer->model, group))
            r->how->on_route(r->how->user, slt_group_name(group),
                             slt_model_route(route, r->trainer->model, group));
    }
}

// Makes the trainer and gives it the weights of the input, which with the options and the data is
// what the run is known by.
static int load_input(struct run *r, struct slt_device *device,
                      struct slt_checkpoint_reader *reader, struct slt_tokens *tokens,
                      const struct slt_train_options *options, struct slt_error *err)
{
    const struct slt_config *config = slt_checkpoint_config(reader);
    int more, rc;
    if ((rc = slt_tokens_match(tokens, reader, err)) != 0 ||
        (rc = slt_trainer_prepare(&r->trainer, device, config, options, SLT_F32, err)) != 0 ||
        (r->how->on_plan != NULL &&
         (rc = r->how->on_plan(r->how->user, config, &r->trainer->plan, err)) != 0) ||
        (rc = slt_trainer_allocate(r->trainer, tokens, err)) != 0 ||
        (rc = slt_model_load(r->trainer->model, reader, &more, err)) != 0 ||
        (rc = slt_checkpoint_verify(reader, err)) != 0 ||
        (rc = slt_trainer_identify(r->trainer, reader, err)) != 0 ||
        (rc = slt_attachments_take(&r->attachments, reader, err)) != 0)
        return rc;
    r->trainer->eager = r->how->eager;
    return add_provenance(r, err);
}

// Goes on from a state of this run, or of the one that it extends.
static int load_state(struct run *r, const char *path, struct slt_error *err)
{
    struct slt_checkpoint_reader *state;
    int more, rc = slt_run_open_checkpoint(&state, r->how, path, err);
    if (rc != 0)
        return rc;
    if ((rc = slt_model_load(r->trainer->model, state, &more, err)) == 0)
        rc = more ? slt_trainer_load_state(r->trainer, state, err)
                  : slt_error_set(err, SLT_ERR_FORMAT, "'%s' has no optimizer state to resume from",
                                  path);
    if (rc == 0)
        rc = slt_checkpoint_verify(state, err);
    // A state of this run carries its provenance; one of another run does not.
    if (!r->trainer->extends) {
        slt_attachments_free(&r->attachments);
        if (rc == 0)
            rc = slt_attachments_take(&r->attachments, state, err);
    }
    slt_checkpoint_close(state);
    return rc;
}

static int check_resume(const struct slt_train_run *how, const struct slt_tokens *tokens,
                        struct slt_error *err)
{
    if (!how->resume && how->extend == NULL)
        return 0;
    if (how->resume && how->checkpoint == NULL)
        return slt_error_set(err, SLT_ERR_RANGE, "resuming needs a checkpoint prefix");
    if (!slt_tokens_is_mapped(tokens))
        return slt_error_set(err, SLT_ERR_RANGE,
                             "cannot resume on '%s': a stream has no position to return to",
                             slt_tokens_name(tokens));
    return 0;
}

static int start(struct run *r, struct slt_device *device, struct slt_checkpoint_reader *reader,
                 struct slt_tokens *tokens, const struct slt_train_options *options,
                 struct slt_error *err)
{
    char path[PATH_MAX] = "";
    int rc = check_resume(r->how, tokens, err);
    if (rc != 0 || (rc = slt_run_states_open(&r->states, r->how, reader, err)) != 0 ||
        (rc = load_input(r, device, reader, tokens, options, err)) != 0)
        return rc;
    if (r->how->resume) {
        rc = slt_run_states_is_finished(&r->states, r->trainer, &r->finished, err);
        if (rc != 0 || r->finished)
            return rc;
    }
    if ((rc = slt_run_states_find(&r->states, r->trainer, err)) != 0 ||
        (r->how->resume && (rc = slt_run_states_newest(&r->states, path, sizeof path, err)) != 0))
        return rc;
    r->trainer->extends = path[0] == '\0' && r->how->extend != NULL;
    if (r->trainer->extends)
        rc = load_state(r, r->how->extend, err);
    else if (path[0] != '\0')
        rc = load_state(r, path, err);
    else
        slt_optimizer_start(&r->trainer->optimizer);
    if (rc == 0 && r->how->on_start != NULL)
        r->how->on_start(r->how->user, r->trainer->progress.step,
                         r->trainer->progress.validation_is_due);
    if (rc == 0)
        report_routes(r);
    return rc;
}

// ---- On the way ----

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

// One step, after which a validation may be due.
static int step(struct run *r, slt_stop_flag *stop, struct slt_error *err)
{
    struct slt_trainer *t = r->trainer;
    struct slt_train_record record;
    int rc = slt_trainer_step(t, &record, stop, err);
    if (rc != 0)
        return rc;
    t->progress.validation_is_due =
        slt_run_states_validates_at(&r->states, t->progress.step, t->options.steps);
    if (r->how->on_step != NULL && (rc = r->how->on_step(r->how->user, &record, err)) != 0)
        return rc;
    return check_skips(r, err);
}

static int advance(struct run *r, struct slt_error *err)
{
    const struct slt_train_run *how = r->how;
    struct slt_trainer *t = r->trainer;
    // One that an earlier process was stopped in.
    int rc = slt_run_states_validate(&r->states, t, how->stop, err);
    while (rc == 0 && t->progress.step < t->options.steps) {
        if (how->max_seconds > 0 && slt_clock_now() - r->start >= how->max_seconds)
            return slt_error_set(err, SLT_ERR_STOPPED, "the time is up at step %lld",
                                 (long long)t->progress.step);
        if ((rc = step(r, how->stop, err)) == 0 &&
            (rc = slt_run_states_validate(&r->states, t, how->stop, err)) == 0)
            slt_run_states_write_if_due(&r->states, t, &r->attachments);
    }
    return rc;
}

// The state of a run that ends before its result is there: at the next step whose name is free, as
// the last one's is. A run whose numbers are not finite keeps its older states.
static void save_unfinished(struct run *r, int *rc, struct slt_error *err)
{
    struct slt_error late = {0};
    int saved = 0;
    if (r->how->checkpoint == NULL || r->trainer->is_stepping || *rc == SLT_ERR_NUMERIC)
        return;
    while (saved == 0 && !slt_run_states_has_room(&r->states, r->trainer->progress.step))
        saved = step(r, NULL, &late);
    if (saved == 0)
        saved = slt_run_states_write(&r->states, r->trainer, &r->attachments, &late);
    if (saved != 0 && *rc == SLT_ERR_STOPPED)
        *rc = slt_error_copy(err, &late);
    else if (saved != 0 && r->how->on_warning != NULL)
        r->how->on_warning(r->how->user, late.message);
}

int slt_train(struct slt_output *out, struct slt_device *device,
              struct slt_checkpoint_reader *reader, struct slt_tokens *tokens,
              const struct slt_train_options *options, const struct slt_train_run *how,
              struct slt_error *err)
{
    struct run r = {.how = how, .states.lock = -1};
    int rc = start(&r, device, reader, tokens, options, err);
    if (rc != 0 || r.finished)
        goto out;
    r.start = r.states.last_written = slt_clock_now();
    if ((rc = advance(&r, err)) == 0 &&
        (rc = slt_trainer_save(r.trainer, out, &r.attachments, how->keep_state, err)) == 0) {
        rc = slt_output_publish(out, err);
        out = NULL;
    }
    if (rc != 0)
        save_unfinished(&r, &rc, err);
out:
    slt_output_abandon(out);
    if (rc == 0 && r.finished && how->on_finished != NULL)
        how->on_finished(how->user);
    slt_run_states_close(&r.states);
    slt_attachments_free(&r.attachments);
    slt_trainer_free(r.trainer);
    return rc;
}
