// State checkpoints on disk: whose they are, writing and pruning; the validation that is due.
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/json.h"
#include "model/evaluate.h"
#include "train/run_states.h"

enum found_kind {
    OWN,     // a state of this run, of the step in its name
    LINKED,  // a symbolic link to one: it is read, and neither written nor removed
    OTHER,   // a state of another run
    FOREIGN, // no state, or one that cannot be read to where its run is named
};

struct slt_found_state {
    int64_t step;
    enum found_kind kind;
};

static void warn(const struct slt_run_states *s, const char *sentence)
{
    if (s->how->on_warning != NULL)
        s->how->on_warning(s->how->user, sentence);
}

static void pass_over(const struct slt_run_states *s, const struct slt_error *why)
{
    char sentence[sizeof why->message + 40];
    snprintf(sentence, sizeof sentence, "a state is passed over: %s", why->message);
    warn(s, sentence);
}

int slt_run_open_checkpoint(struct slt_checkpoint_reader **reader, const struct slt_train_run *how,
                            const char *path, struct slt_error *err)
{
    struct slt_input *in;
    int rc = slt_input_open(&in, path, how->stop, err);
    return rc == 0 ? slt_checkpoint_open(reader, in, err) : rc;
}

int slt_run_peek(struct slt_progress *progress, const struct slt_train_run *how,
                 const struct slt_trainer *trainer, const char *path, struct slt_error *err)
{
    struct slt_checkpoint_reader *reader = NULL;
    enum slt_section section = SLT_SECTION_MODEL;
    const struct slt_tensor_info *info;
    int more = 1;
    int rc = slt_run_open_checkpoint(&reader, how, path, err);
    while (rc == 0 && more == 1 && section == SLT_SECTION_MODEL)
        if ((more = slt_checkpoint_next(reader, &section, &info, err)) < 0)
            rc = more;
    if (rc == 0)
        rc = slt_trainer_peek(trainer, reader, progress, err);
    slt_checkpoint_close(reader);
    return rc;
}

// ---- Names ----

// PREFIX-<step>.slt into path.
static int state_path(char *path, size_t size, const struct slt_run_states *s, int64_t step,
                      struct slt_error *err)
{
    const int n = snprintf(path, size, "%s-%lld.slt", s->how->checkpoint, (long long)step);
    if (n < 0 || (size_t)n >= size)
        return slt_error_set(err, SLT_ERR_RANGE, "the checkpoint prefix '%s' is too long",
                             s->how->checkpoint);
    return 0;
}

// The step in a file name "<base>-<step>.slt" as state_path writes it, or -1.
static int64_t step_of(const char *name, const char *base)
{
    const size_t n = strlen(base);
    char step[32];
    if (strncmp(name, base, n) != 0 || name[n] != '-' || !isdigit((unsigned char)name[n + 1]))
        return -1;
    errno = 0;
    const long long number = strtoll(name + n + 1, NULL, 10);
    snprintf(step, sizeof step, "%lld.slt", number);
    return errno == 0 && strcmp(name + n + 1, step) == 0 ? number : -1;
}

// Whether a file is what a process that is gone left of a state:
// ".<base>-<step>.slt.<process>-<n>.tmp" (output.c).
static bool is_leftover(const char *name, const char *base)
{
    const size_t n = strlen(base);
    if (name[0] != '.' || strncmp(name + 1, base, n) != 0 || name[n + 1] != '-')
        return false;
    const char *c = name + n + 2;
    const size_t step = strspn(c, "0123456789");
    if (step == 0 || strncmp(c + step, ".slt.", 5) != 0)
        return false;
    c += step + 5;
    const long process = strtol(c, NULL, 10);
    c += strspn(c, "0123456789");
    c += *c == '-';
    c += strspn(c, "0123456789");
    return strcmp(c, ".tmp") == 0 && process > 0 && kill((pid_t)process, 0) != 0 && errno == ESRCH;
}

// The folder of a path, and its name there.
static const char *split_path(char *folder, size_t size, const char *path)
{
    const char *slash = strrchr(path, '/');
    snprintf(folder, size, "%.*s", slash != NULL ? (int)(slash - path + 1) : 1,
             slash != NULL ? path : ".");
    return slash != NULL ? slash + 1 : path;
}

// Whether the result would have the name of a state.
static bool is_state_name(const char *result, const char *prefix)
{
    char there[PATH_MAX], here[PATH_MAX];
    struct stat a, b;
    const char *name = split_path(there, sizeof there, result);
    const char *base = split_path(here, sizeof here, prefix);
    return step_of(name, base) >= 0 && stat(there, &a) == 0 && stat(here, &b) == 0 &&
           a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

// ---- Validation ----

static int open_valid(struct slt_run_states *s, struct slt_error *err)
{
    struct slt_input *in;
    int rc = slt_input_open(&in, s->how->valid, s->how->stop, err);
    return rc == 0 ? slt_tokens_open(&s->valid, in, err) : rc;
}

// What is no file can be read once.
static int check_valid(const struct slt_run_states *s, struct slt_error *err)
{
    struct stat st;
    if (s->how->valid_every == 0 || slt_tokens_is_mapped(s->valid) ||
        (stat(s->how->valid, &st) == 0 && S_ISREG(st.st_mode)))
        return 0;
    return slt_error_set(err, SLT_ERR_RANGE,
                         "'%s' is a stream, which can be validated on once, and --valid-every asks "
                         "for more",
                         slt_tokens_name(s->valid));
}

bool slt_run_states_validates_at(const struct slt_run_states *s, int64_t step, int64_t steps)
{
    const int64_t every = s->how->valid_every;
    return s->how->valid != NULL && (step == steps || (every > 0 && step % every == 0));
}

int slt_run_states_validate(struct slt_run_states *s, struct slt_trainer *t, slt_stop_flag *stop,
                            struct slt_error *err)
{
    struct slt_train_validation validation;
    int rc = 0;
    if (!t->progress.validation_is_due || s->how->valid == NULL)
        return 0;
    // A stream is read once; one that has a name can be opened again.
    if (s->valid_is_used) {
        slt_tokens_close(s->valid);
        s->valid = NULL;
        rc = open_valid(s, err);
    }
    if ((rc = slt_ranks_settle(s->how->ranks, rc, err)) == 0) {
        s->valid_is_used = !slt_tokens_is_mapped(s->valid);
        rc = slt_trainer_validate(t, &validation, s->valid, s->how->valid_limit, stop, err);
    }
    if (rc != 0)
        return rc;
    t->progress.validation_is_due = false;
    return s->how->on_validation != NULL ? s->how->on_validation(s->how->user, &validation, err)
                                         : 0;
}

static int take_lock(struct slt_run_states *s, struct slt_error *err)
{
    char sentence[PATH_MAX + 100];
    int rc = slt_run_lock_take(&s->lock, s->how->checkpoint, sentence, sizeof sentence, err);
    if (sentence[0] != '\0')
        warn(s, sentence);
    return rc;
}

int slt_run_states_open(struct slt_run_states *s, const struct slt_train_run *how,
                        const struct slt_checkpoint_reader *reader, struct slt_error *err)
{
    int rc = 0;
    *s = (struct slt_run_states){.how = how, .lock.file = -1};
    if (how->checkpoint != NULL && how->result != NULL &&
        is_state_name(how->result, how->checkpoint))
        return slt_error_set(err, SLT_ERR_RANGE,
                             "the result '%s' has the name of a state under the prefix '%s'",
                             how->result, how->checkpoint);
    if ((how->checkpoint != NULL && (rc = take_lock(s, err)) != 0) ||
        (how->valid != NULL &&
         ((rc = open_valid(s, err)) != 0 || (rc = slt_tokens_match(s->valid, reader, err)) != 0 ||
          (rc = check_valid(s, err)) != 0)))
        slt_run_states_close(s);
    return rc;
}

void slt_run_states_close(struct slt_run_states *s)
{
    slt_tokens_close(s->valid);
    s->valid = NULL;
    free(s->found);
    s->found = NULL;
    slt_run_lock_release(&s->lock);
}

// ---- What is there ----

// The state of this step, or NULL.
static struct slt_found_state *find_step(const struct slt_run_states *s, int64_t step)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->found[i].step == step)
            return &s->found[i];
    return NULL;
}

// In its place of the list, which has no state of this step.
static int add_found(struct slt_run_states *s, int64_t step, enum found_kind kind,
                     struct slt_error *err)
{
    struct slt_found_state *more = realloc(s->found, (s->count + 1) * sizeof *more);
    if (more == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the list of states");
    s->found = more;
    size_t at = s->count++;
    for (; at > 0 && more[at - 1].step < step; at--)
        more[at] = more[at - 1];
    more[at] = (struct slt_found_state){step, kind};
    return 0;
}

static int list_states(struct slt_run_states *s, struct slt_error *err)
{
    char directory[PATH_MAX];
    const char *base = split_path(directory, sizeof directory, s->how->checkpoint);
    DIR *dir = opendir(directory);
    if (dir == NULL)
        return slt_error_errno(err, "cannot list '%s'", directory);
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(dir)) != NULL;) {
        if (step_of(entry->d_name, base) >= 0)
            rc = add_found(s, step_of(entry->d_name, base), FOREIGN, err);
        else if (is_leftover(entry->d_name, base))
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
    return rc;
}

// ---- Whose they are ----

// Errors that say nothing of what is in the file that is read.
static bool is_ours(int rc)
{
    return rc == SLT_ERR_STOPPED || rc == SLT_ERR_MEMORY || rc == SLT_ERR_IO;
}

// Reads the checkpoint at path up to its trainer.json, or to its end, into *kind; why gets how a
// state of another run differs, or what else keeps it from being one of this run.
static int classify(enum found_kind *kind, const char *path, int64_t step,
                    const struct slt_run_states *s, const struct slt_trainer *t,
                    struct slt_error *why, struct slt_error *err)
{
    struct slt_progress progress;
    struct stat st;
    *kind = FOREIGN;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
        slt_error_set(why, SLT_ERR_FORMAT, "'%s' is no file", path);
        return 0;
    }
    int rc = slt_run_peek(&progress, s->how, t, path, why);
    if (rc == 0 && progress.step != step)
        rc = slt_error_set(why, SLT_ERR_FORMAT, "'%s' is the state of step %lld", path,
                           (long long)progress.step);
    if (rc == 0)
        *kind = lstat(path, &st) == 0 && S_ISLNK(st.st_mode) ? LINKED : OWN;
    else if (rc == SLT_ERR_MISMATCH)
        *kind = OTHER;
    return is_ours(rc) ? slt_error_copy(err, why) : 0;
}

static bool is_of_run(const struct slt_found_state *f)
{
    return f->kind == OWN || f->kind == LINKED;
}

// What is there can keep the run from starting.
static int check_found(struct slt_run_states *s, const struct slt_trainer *t, int64_t own,
                       int64_t others, const char *other, struct slt_error *err)
{
    if (own == 0 && others > 0)
        return slt_error_set(
            err, SLT_ERR_MISMATCH,
            "the prefix '%s' has %lld state%s of another run and none of this one: "
            "%s; give another --checkpoint prefix, the options of that run, or "
            "remove its states",
            s->how->checkpoint, (long long)others, others > 1 ? "s" : "", other);
    const struct slt_found_state *last = find_step(s, t->options.steps);
    if (last != NULL && !is_of_run(last))
        return slt_error_set(err, SLT_ERR_MISMATCH,
                             "'%s-%lld.slt' is no state of this run and has the name of its last "
                             "one; give another --checkpoint prefix",
                             s->how->checkpoint, (long long)t->options.steps);
    if (own > 0 && !s->how->resume)
        warn(s, "there are states of this run, which starts anew: with --resume it would go on");
    return 0;
}

int slt_run_states_find(struct slt_run_states *s, const struct slt_trainer *t,
                        struct slt_error *err)
{
    char path[PATH_MAX];
    struct slt_error why = {0}, other = {0};
    int64_t others = 0, own = 0;
    if (s->how->checkpoint == NULL)
        return 0;
    int rc = list_states(s, err);
    for (size_t i = 0; rc == 0 && i < s->count; i++) {
        struct slt_found_state *f = &s->found[i];
        if ((rc = state_path(path, sizeof path, s, f->step, err)) != 0 ||
            (rc = classify(&f->kind, path, f->step, s, t, &why, err)) != 0)
            return rc;
        own += is_of_run(f);
        others += f->kind == OTHER;
        if (f->kind == OTHER && others == 1)
            other = why;
        if (!is_of_run(f) && s->how->resume)
            pass_over(s, &why);
    }
    return rc == 0 ? check_found(s, t, own, others, other.message, err) : rc;
}

// Whether the checkpoint at path can be read and verified to its end.
static int is_whole(const char *path, const struct slt_run_states *s, bool *whole,
                    struct slt_error *err)
{
    struct slt_checkpoint_reader *reader;
    struct slt_error why;
    *whole = false;
    int rc = slt_run_open_checkpoint(&reader, s->how, path, &why);
    if (rc == 0) {
        rc = slt_checkpoint_verify(reader, &why);
        slt_checkpoint_close(reader);
    }
    if (is_ours(rc))
        return slt_error_copy(err, &why);
    *whole = rc == 0;
    if (rc != 0)
        pass_over(s, &why);
    return 0;
}

int slt_run_states_newest(struct slt_run_states *s, char *path, size_t size, struct slt_error *err)
{
    bool whole = false;
    int rc = 0;
    path[0] = '\0';
    for (size_t i = 0; rc == 0 && !whole && i < s->count; i++)
        if (is_of_run(&s->found[i]) && (rc = state_path(path, size, s, s->found[i].step, err)) == 0)
            rc = is_whole(path, s, &whole, err);
    if (!whole)
        path[0] = '\0';
    return rc;
}

// ---- The result ----

// Whether the last line of a checkpoint's provenance is this run's.
static bool ends_with_run(const char *provenance, const struct slt_trainer *t)
{
    bool same = false;
    const size_t n = provenance != NULL ? strlen(provenance) : 0;
    size_t from = n;
    while (from > 0 && (from == n || provenance[from - 1] != '\n'))
        from--;
    json_t *line = NULL;
    if (n > 0 && slt_json_parse(&line, "provenance", provenance + from, n - from, NULL) == 0) {
        const char *run = json_string_value(json_object_get(line, "run"));
        same = run != NULL && strcmp(run, t->identity) == 0;
    }
    json_decref(line);
    return same;
}

// A state carries the same line: it is a result after the last step only.
static bool is_result(const struct slt_checkpoint_reader *reader, const struct slt_trainer *t)
{
    struct slt_progress progress;
    struct slt_error ignored;
    if (!ends_with_run(slt_checkpoint_provenance(reader), t))
        return false;
    return slt_checkpoint_trainer(reader) == NULL ||
           (slt_trainer_peek(t, reader, &progress, &ignored) == 0 &&
            progress.step == t->options.steps && !progress.validation_is_due);
}

int slt_run_states_is_finished(const struct slt_run_states *s, const struct slt_trainer *t,
                               bool *finished, struct slt_error *err)
{
    struct slt_checkpoint_reader *reader = NULL;
    struct slt_error why;
    struct stat st;
    *finished = false;
    if (s->how->result == NULL || stat(s->how->result, &st) != 0 || !S_ISREG(st.st_mode))
        return 0;
    int rc = slt_run_open_checkpoint(&reader, s->how, s->how->result, &why);
    if (rc == 0)
        rc = slt_checkpoint_verify(reader, &why);
    *finished = rc == 0 && is_result(reader, t);
    slt_checkpoint_close(reader);
    return is_ours(rc) ? slt_error_copy(err, &why) : 0;
}

// ---- Writing ----

bool slt_run_states_has_room(const struct slt_run_states *s, int64_t step)
{
    const struct slt_found_state *f = find_step(s, step);
    return f == NULL || f->kind == OWN;
}

// The step after which the learning rate begins to fall, where a longer run can go on from; 0 if
// there is none.
static int64_t branch_step(const struct slt_trainer *t)
{
    return slt_schedule_common(&t->options.schedule, t->options.steps);
}

// Removes all but the newest states of this run up to step, and the one that longer runs go on
// from. Later ones are of an earlier attempt at the same run: it can go on from them.
static int prune(struct slt_run_states *s, int64_t step, int64_t branch, struct slt_error *err)
{
    char path[PATH_MAX];
    int64_t newer = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct slt_found_state *f = &s->found[i];
        if (f->kind != OWN || f->step > step || f->step == branch ||
            newer++ < (s->how->keep > 0 ? s->how->keep : 1))
            continue;
        int rc = state_path(path, sizeof path, s, f->step, err);
        if (rc != 0)
            return rc;
        if (unlink(path) != 0 && errno != ENOENT)
            return slt_error_errno(err, "cannot remove '%s'", path);
        memmove(f, f + 1, (s->count - i - 1) * sizeof *f);
        s->count--;
        i--;
    }
    return 0;
}

// The state just written is one of the run's.
static int remember(struct slt_run_states *s, int64_t step, struct slt_error *err)
{
    struct slt_found_state *f = find_step(s, step);
    if (f == NULL)
        return add_found(s, step, OWN, err);
    f->kind = OWN;
    return 0;
}

int slt_run_states_write(struct slt_run_states *s, struct slt_trainer *t,
                         const struct slt_attachments *attachments, struct slt_error *err)
{
    char path[PATH_MAX];
    const int64_t step = t->progress.step;
    struct slt_output *out;
    int rc = state_path(path, sizeof path, s, step, err);
    if (rc != 0)
        return rc;
    if (!slt_run_states_has_room(s, step))
        return slt_error_set(err, SLT_ERR_MISMATCH,
                             "the state of step %lld is not written: '%s' is no state of this run",
                             (long long)step, path);
    // No stop flag: this is what a stopped run still has to do.
    if ((rc = slt_output_open(&out, path, NULL, err)) != 0)
        return rc;
    if ((rc = slt_trainer_save(t, out, attachments, true, err)) != 0) {
        slt_output_abandon(out);
        return rc;
    }
    if ((rc = slt_output_publish(out, err)) != 0 || (rc = remember(s, step, err)) != 0)
        return rc;
    struct slt_error left;
    if (prune(s, step, branch_step(t), &left) != 0)
        warn(s, left.message);
    s->last_written = slt_clock_now();
    s->is_due = false;
    if (s->how->on_checkpoint != NULL)
        s->how->on_checkpoint(s->how->user, path, step);
    return 0;
}

bool slt_run_states_is_due(struct slt_run_states *s, const struct slt_trainer *t)
{
    const struct slt_train_run *how = s->how;
    const int64_t step = t->progress.step;
    if (how->checkpoint == NULL || step == t->options.steps)
        return false;
    s->is_due |= step == branch_step(t) ||
                 (how->checkpoint_every > 0 && step % how->checkpoint_every == 0) ||
                 (how->checkpoint_every_seconds > 0 &&
                  slt_clock_now() - s->last_written >= how->checkpoint_every_seconds);
    return s->is_due && slt_run_states_has_room(s, step);
}

int slt_run_states_write_due(struct slt_run_states *s, struct slt_trainer *t,
                             const struct slt_attachments *attachments, struct slt_error *err)
{
    const int64_t step = t->progress.step;
    char sentence[sizeof err->message + 80];
    const int rc = slt_run_states_write(s, t, attachments, err);
    if (rc == 0 || rc == SLT_ERR_RANKS)
        return rc;
    snprintf(sentence, sizeof sentence, "the state of step %lld is not written: %s; going on",
             (long long)step, err->message);
    warn(s, sentence);
    s->is_due = false; // until the next time
    s->last_written = slt_clock_now();
    return 0;
}
