// A whole run: resume or start, steps with validation and states, the final checkpoint.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/evaluate.h"
#include "ranks/ranks.h"
#include "train/join.h"
#include "train/run_states.h"

// Where a run begins: rank 0 finds it out.
struct beginning {
    bool saves;                   // states
    bool finished;                // by an earlier process: there is nothing to do
    bool extends;                 // the state is of a shorter run
    char state[PATH_MAX];         // that it goes on from; "": none
    struct slt_progress progress; // of it
};

struct run {
    const struct slt_train_run *how;
    struct slt_output *out; // of the result, until it is published
    struct slt_trainer *trainer;
    struct slt_run_states states;
    struct slt_attachments attachments;
    double start; // of this process's training
    struct beginning beginning;
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
        (rc = slt_trainer_prepare(&r->trainer, device, config, options, NULL, SLT_F32, err)) != 0 ||
        (r->how->on_plan != NULL &&
         (rc = r->how->on_plan(r->how->user, config, &r->trainer->plan, err)) != 0) ||
        (rc = slt_trainer_allocate(r->trainer, tokens, r->how->ranks, err)) != 0 ||
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
    if (slt_ranks_size(how->ranks) > 1 && !slt_tokens_is_mapped(tokens))
        return slt_error_set(err, SLT_ERR_RANGE,
                             "several ranks cannot share '%s': it is a stream, of which none can "
                             "take its part",
                             slt_tokens_name(tokens));
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

// What all ranks must have alike: the run, and what computes, but for its threads.
struct alike {
    char run[SLT_SHA256_HEX];
    char device[128];
    char way[128]; // options that change no numbers, but what is done together
};

static int check_alike(const struct run *r, const struct slt_device *device, struct slt_error *err)
{
    struct alike mine = {0}, first;
    memcpy(mine.run, r->trainer->identity, sizeof mine.run);
    snprintf(mine.device, sizeof mine.device, "%s", slt_device_describe(device));
    char *threads = strrchr(mine.device, ',');
    if (threads != NULL)
        memset(threads, 0, sizeof mine.device - (size_t)(threads - mine.device));
    snprintf(mine.way, sizeof mine.way, "%d %d %lld %llu %lld %d", r->trainer->options.shard_state,
             r->how->valid != NULL, (long long)r->how->valid_every,
             (unsigned long long)r->how->valid_limit, (long long)r->how->nonfinite_limit,
             r->how->keep_state);
    first = mine;
    int rc = slt_ranks_broadcast(r->how->ranks, &first, sizeof first, 0, err);
    if (rc == 0 && strcmp(first.device, mine.device) != 0)
        rc = slt_error_set(err, SLT_ERR_DEVICE,
                           "it computes with %s and rank 0 with %s, whose numbers would come to "
                           "differ (--device can make them alike)",
                           mine.device, first.device);
    if (rc == 0 &&
        (memcmp(first.run, mine.run, sizeof first.run) != 0 || strcmp(first.way, mine.way) != 0))
        rc = slt_error_set(err, SLT_ERR_MISMATCH,
                           "its model, data or options are not those of rank 0");
    return slt_ranks_settle(r->how->ranks, rc, err);
}

// What lies under the prefix decides where the run begins.
static int find_beginning(struct run *r, struct slt_error *err)
{
    struct beginning *b = &r->beginning;
    int rc =
        r->how->resume ? slt_run_states_is_finished(&r->states, r->trainer, &b->finished, err) : 0;
    if (rc != 0 || b->finished || (rc = slt_run_states_find(&r->states, r->trainer, err)) != 0 ||
        (r->how->resume &&
         (rc = slt_run_states_newest(&r->states, b->state, sizeof b->state, err)) != 0))
        return rc;
    b->extends = r->trainer->extends = b->state[0] == '\0' && r->how->extend != NULL;
    if (b->extends &&
        (size_t)snprintf(b->state, sizeof b->state, "%s", r->how->extend) >= sizeof b->state)
        return slt_error_set(err, SLT_ERR_RANGE, "the name '%s' is too long", r->how->extend);
    return b->state[0] != '\0' ? slt_run_peek(&b->progress, r->how, r->trainer, b->state, err) : 0;
}

// Another trainer of the same run, which rounds its sums as the run did that it goes on from.
static int keep_to(struct run *r, struct slt_device *device, struct slt_tokens *tokens,
                   const struct slt_train_options *options, struct slt_error *err)
{
    struct slt_trainer *old = r->trainer;
    const struct slt_progress *was = &r->beginning.progress;
    const struct slt_config config = old->model->config;
    if (old->progress.groups == was->groups && old->progress.micro_batch == was->micro_batch)
        return 0;
    char start[SLT_SHA256_HEX], identity[SLT_SHA256_HEX];
    memcpy(start, old->start, sizeof start);
    memcpy(identity, old->identity, sizeof identity);
    slt_trainer_free(old);
    r->trainer = NULL;
    int rc = slt_trainer_prepare(&r->trainer, device, &config, options, was, SLT_F32, err);
    if (rc != 0 ||
        (r->how->on_plan != NULL &&
         (rc = r->how->on_plan(r->how->user, &config, &r->trainer->plan, err)) != 0) ||
        (rc = slt_trainer_allocate(r->trainer, tokens, r->how->ranks, err)) != 0)
        return rc;
    memcpy(r->trainer->start, start, sizeof start);
    memcpy(r->trainer->identity, identity, sizeof identity);
    r->trainer->eager = r->how->eager;
    return 0;
}

// Says so where ranks cannot add gradients as the run did so far, or as fewer would.
static void say_groups(const struct run *r)
{
    char sentence[200];
    const int64_t size = slt_ranks_size(r->how->ranks), was = r->trainer->progress.groups;
    const int64_t each = r->trainer->groups;
    if (r->how->on_warning == NULL || slt_ranks_rank(r->how->ranks) != 0 ||
        (was == each * size && (size == 1 || (each & (each - 1)) == 0)))
        return;
    snprintf(sentence, sizeof sentence,
             "%lld groups of sequences cannot be added on %lld rank%s in the order of one rank: "
             "numbers will differ in rounding",
             (long long)was, (long long)size, size == 1 ? "" : "s");
    r->how->on_warning(r->how->user, sentence);
}

static int begin(struct run *r, struct slt_device *device, struct slt_tokens *tokens,
                 const struct slt_train_options *options, struct slt_error *err)
{
    struct slt_ranks *ranks = r->how->ranks;
    struct beginning *b = &r->beginning;
    int rc = check_alike(r, device, err);
    if (rc != 0 || (rc = slt_devices_join(device, ranks, err)) != 0)
        return rc;
    rc = slt_ranks_settle(ranks, slt_ranks_rank(ranks) == 0 ? find_beginning(r, err) : 0, err);
    if (rc != 0 || (rc = slt_ranks_broadcast(ranks, b, sizeof *b, 0, err)) != 0 || b->finished)
        return rc;
    if (b->state[0] == '\0') {
        slt_optimizer_start(&r->trainer->optimizer);
    } else {
        rc = slt_ranks_settle(ranks, keep_to(r, device, tokens, options, err), err);
        if (rc != 0)
            return rc;
        r->trainer->extends = b->extends;
        if ((rc = slt_ranks_settle(ranks, load_state(r, b->state, err), err)) != 0)
            return rc;
    }
    say_groups(r);
    return 0;
}

static int start(struct run *r, struct slt_device *device, struct slt_checkpoint_reader *reader,
                 struct slt_tokens *tokens, const struct slt_train_options *options,
                 struct slt_error *err)
{
    int rc = check_resume(r->how, tokens, err);
    if (rc == 0 && (rc = slt_run_states_open(&r->states, r->how, reader, err)) == 0)
        rc = load_input(r, device, reader, tokens, options, err);
    if ((rc = slt_ranks_settle(r->how->ranks, rc, err)) != 0 ||
        (rc = begin(r, device, tokens, options, err)) != 0 || r->beginning.finished)
        return rc;
    if (r->how->on_start != NULL)
        r->how->on_start(r->how->user, r->trainer->progress.step,
                         r->trainer->progress.validation_is_due);
    report_routes(r);
    return 0;
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
    slt_ranks_doing(r->how->ranks, "step", t->progress.step + 1);
    int rc = slt_trainer_step(t, &record, stop, err);
    if (rc != 0)
        return rc;
    t->progress.validation_is_due =
        slt_run_states_validates_at(&r->states, t->progress.step, t->options.steps);
    if (r->how->on_step != NULL && (rc = r->how->on_step(r->how->user, &record, err)) != 0)
        return rc;
    return check_skips(r, err);
}

// The validation that is due after what went as rc says.
static int validate(struct run *r, int rc, struct slt_error *err)
{
    if (rc == SLT_ERR_RANKS || !r->trainer->progress.validation_is_due)
        return rc;
    slt_ranks_doing(r->how->ranks, "the validation after step", r->trainer->progress.step);
    if ((rc = slt_ranks_settle(r->how->ranks, rc, err)) != 0)
        return rc;
    return slt_run_states_validate(&r->states, r->trainer, r->how->stop, err);
}

// What a rank wants at a step's end: bits of a number for each, far enough apart to be added.
enum want { STOP, TIME_IS_UP, WRITE };

#define WANT(want)       ((uint64_t)1 << 20 * (want))
#define WANTS(sum, want) (((sum) >> 20 * (want) & ((1 << 20) - 1)) != 0)

static bool is_stopped(const struct slt_train_run *how)
{
    return slt_error_stopped(how->stop, NULL) != 0 ||
           (how->stop_file != NULL && access(how->stop_file, F_OK) == 0);
}

// What all ranks do next, after this one's rc: one that fails ends all, one that is stopped stops
// all. The clock and the states are those of rank 0.
static int agree(struct run *r, int rc, bool stepped, uint64_t *wants, struct slt_error *err)
{
    const struct slt_train_run *how = r->how;
    const bool is_first = slt_ranks_rank(how->ranks) == 0;
    *wants = is_stopped(how) ? WANT(STOP) : 0;
    slt_ranks_doing(r->how->ranks, "the end of step", r->trainer->progress.step);
    // A run that is started again and again gets on by a step each time.
    if (is_first && stepped && how->max_seconds > 0 &&
        slt_clock_now() - r->start >= how->max_seconds)
        *wants |= WANT(TIME_IS_UP);
    if (rc == 0 && stepped && is_first && slt_run_states_is_due(&r->states, r->trainer))
        *wants |= WANT(WRITE);
    return slt_ranks_settle_sum(how->ranks, rc, wants, err);
}

// What rank 0 does alone, while the others send it their parts of the optimizer's state if it gets so
// far; all learn how it went.
static int together(struct run *r, int (*save)(struct run *r, struct slt_error *err),
                    struct slt_error *err)
{
    struct slt_error late;
    int rc = 0;
    slt_ranks_doing(r->how->ranks, "the writing after step", r->trainer->progress.step);
    if (slt_ranks_rank(r->how->ranks) != 0) {
        rc = slt_trainer_send_state(r->trainer, err);
    } else {
        rc = save(r, err);
        const int let_go = slt_trainer_let_go(r->trainer, &late);
        if (rc == 0 && let_go != 0)
            rc = slt_error_copy(err, &late);
    }
    return slt_ranks_settle(r->how->ranks, rc, err);
}

static int write_due(struct run *r, struct slt_error *err)
{
    return slt_run_states_write_due(&r->states, r->trainer, &r->attachments, err);
}

static int write_state(struct run *r, struct slt_error *err)
{
    return slt_run_states_write(&r->states, r->trainer, &r->attachments, err);
}

static int advance(struct run *r, struct slt_error *err)
{
    struct slt_trainer *t = r->trainer;
    bool stepped = false;
    // One that an earlier process was stopped in.
    int rc = validate(r, 0, err);
    for (;; stepped = true) {
        uint64_t wants;
        rc = agree(r, rc, stepped, &wants, err);
        if (rc == 0 && WANTS(wants, WRITE))
            rc = together(r, write_due, err);
        if (rc != 0 || t->progress.step == t->options.steps)
            return rc;
        if (WANTS(wants, STOP))
            return slt_error_set(err, SLT_ERR_STOPPED, "stopped at step %lld",
                                 (long long)t->progress.step);
        if (WANTS(wants, TIME_IS_UP))
            return slt_error_set(err, SLT_ERR_STOPPED, "the time is up at step %lld",
                                 (long long)t->progress.step);
        rc = validate(r, step(r, r->how->stop, err), err);
    }
}

// Whether the name of the state of this step is free.
static bool has_room(const struct run *r, struct slt_error *err)
{
    char room = slt_run_states_has_room(&r->states, r->trainer->progress.step);
    return slt_ranks_broadcast(r->how->ranks, &room, 1, 0, err) == 0 && room != 0;
}

// The state of a run that ends before its result is there: at the next step whose name is free, as
// the last one's is. A run whose numbers are not finite keeps its older states, and so does one that
// has lost a rank.
static void save_unfinished(struct run *r, int *rc, struct slt_error *err)
{
    struct slt_error late = {0};
    int saved = 0;
    if (!r->beginning.saves || r->trainer->is_stepping || *rc == SLT_ERR_NUMERIC ||
        *rc == SLT_ERR_RANKS)
        return;
    while (saved == 0 && !has_room(r, &late))
        if ((saved = late.code) == 0)
            saved = slt_ranks_settle(r->how->ranks, step(r, NULL, &late), &late);
    if (saved == 0)
        saved = together(r, write_state, &late);
    if (saved != 0 && *rc == SLT_ERR_STOPPED)
        *rc = slt_error_copy(err, &late);
    else if (saved != 0 && r->how->on_warning != NULL)
        r->how->on_warning(r->how->user, late.message);
}

static int report_traffic(struct run *r, int64_t steps, struct slt_error *err)
{
    const struct slt_sums *sums = r->trainer->grads.reduction.sums;
    uint64_t sent = sums != NULL ? slt_sums_sent(sums) : 0;
    int rc = slt_ranks_settle_sum(r->how->ranks, 0, &sent, err);
    if (rc == 0 && sums != NULL && r->how->on_traffic != NULL)
        r->how->on_traffic(r->how->user, sent, steps);
    return rc;
}

static int publish(struct run *r, struct slt_error *err)
{
    struct slt_output *out = r->out;
    int rc = slt_trainer_save(r->trainer, out, &r->attachments, r->how->keep_state, err);
    if (rc != 0)
        return rc;
    r->out = NULL;
    return slt_output_publish(out, err);
}

// How a rank other than 0 goes about it: it neither writes nor speaks, but for warnings.
static struct slt_train_run silent(const struct slt_train_run *how)
{
    return (struct slt_train_run){.tool = how->tool,
                                  .valid = how->valid,
                                  .valid_every = how->valid_every,
                                  .valid_limit = how->valid_limit,
                                  .keep_state = how->keep_state,
                                  .eager = how->eager,
                                  .nonfinite_limit = how->nonfinite_limit,
                                  .stop = how->stop,
                                  .ranks = how->ranks,
                                  .user = how->user,
                                  .on_plan = how->on_plan,
                                  .on_warning = how->on_warning};
}

int slt_train(struct slt_output *out, struct slt_device *device,
              struct slt_checkpoint_reader *reader, struct slt_tokens *tokens,
              const struct slt_train_options *options, const struct slt_train_run *how,
              struct slt_error *err)
{
    const struct slt_train_run quiet = silent(how);
    struct run r = {.how = slt_ranks_rank(how->ranks) == 0 ? how : &quiet,
                    .out = out,
                    .states.lock.file = -1,
                    .beginning.saves = how->checkpoint != NULL};
    int rc = start(&r, device, reader, tokens, options, err);
    if (rc != 0 || r.beginning.finished)
        goto out;
    r.start = r.states.last_written = slt_clock_now();
    const int64_t first = r.trainer->progress.step;
    if ((rc = advance(&r, err)) == 0 &&
        (rc = report_traffic(&r, r.trainer->progress.step - first, err)) == 0)
        rc = together(&r, publish, err);
    if (rc != 0)
        save_unfinished(&r, &rc, err);
out:
    slt_output_abandon(r.out);
    if (rc == 0 && r.beginning.finished && r.how->on_finished != NULL)
        r.how->on_finished(how->user);
    slt_run_states_close(&r.states);
    slt_attachments_free(&r.attachments);
    slt_trainer_free(r.trainer);
    return rc;
}
