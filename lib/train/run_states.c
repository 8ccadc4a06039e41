// State checkpoints on disk: whose they are, writing and pruning; the validation that is due.
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/json.h"
#include "model/evaluate.h"
#include "train/run_states.h"

enum found_kind {
    OWN,     // a state of this run
    DAMAGED, // begins like a state or a model and cannot be read to where its run is named
    OTHER,   // a state of another run
    FOREIGN, // no state
};

struct slt_found_state {
    int64_t step;
    enum found_kind kind;
};

// ---- The lock ----

// Whether path is still the file that is open: another process removes its lock before it lets go.
static bool is_same_file(int file, const char *path)
{
    struct stat open, there;
    return fstat(file, &open) == 0 && stat(path, &there) == 0 && open.st_ino == there.st_ino &&
           open.st_dev == there.st_dev;
}

static int lock_prefix(struct slt_run_states *s, struct slt_error *err)
{
    const size_t size = strlen(s->how->checkpoint) + sizeof ".lock";
    char owner[32] = "";
    s->lock_path = malloc(size);
    if (s->lock_path == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the name of a lock");
    snprintf(s->lock_path, size, "%s.lock", s->how->checkpoint);
    do {
        if (s->lock >= 0)
            close(s->lock);
        s->lock = open(s->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (s->lock < 0)
            return slt_error_errno(err,
                                   "states '%s-<step>.slt' cannot be written: cannot open '%s'",
                                   s->how->checkpoint, s->lock_path);
        if (flock(s->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
            const ssize_t n = pread(s->lock, owner, sizeof owner - 1, 0);
            owner[n > 0 ? n : 0] = '\0';
            owner[strcspn(owner, "\n")] = '\0';
            return slt_error_set(err, SLT_ERR_MISMATCH,
                                 "another run (process %s) writes the states '%s-<step>.slt'; give "
                                 "this one another --checkpoint prefix",
                                 owner[0] != '\0' ? owner : "unknown", s->how->checkpoint);
        }
    } while (!is_same_file(s->lock, s->lock_path));
    // Only for people: who has it is what the kernel says.
    if (ftruncate(s->lock, 0) == 0)
        dprintf(s->lock, "%ld\n", (long)getpid());
    return 0;
}

// ---- Validation ----

static int open_valid(struct slt_run_states *s, struct slt_error *err)
{
    struct slt_input *in;
    int rc = slt_input_open(&in, s->how->valid, s->how->stop, err);
    return rc == 0 ? slt_tokens_open(&s->valid, in, err) : rc;
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
    if (rc == 0) {
        s->valid_is_used = !slt_tokens_is_mapped(s->valid);
        rc = slt_trainer_validate(t, &validation, s->valid, s->how->valid_limit, stop, err);
    }
    if (rc != 0)
        return rc;
    t->progress.validation_is_due = false;
    return s->how->on_validation != NULL ? s->how->on_validation(s->how->user, &validation, err)
                                         : 0;
}

int slt_run_states_open(struct slt_run_states *s, const struct slt_train_run *how,
                        const struct slt_checkpoint_reader *reader, struct slt_error *err)
{
    int rc = 0;
    *s = (struct slt_run_states){.how = how, .lock = -1};
    if ((how->checkpoint != NULL && (rc = lock_prefix(s, err)) != 0) ||
        (how->valid != NULL &&
         ((rc = open_valid(s, err)) != 0 || (rc = slt_tokens_match(s->valid, reader, err)) != 0)))
        slt_run_states_close(s);
    return rc;
}

void slt_run_states_close(struct slt_run_states *s)
{
    slt_tokens_close(s->valid);
    s->valid = NULL;
    free(s->found);
    s->found = NULL;
    if (s->lock >= 0 && is_same_file(s->lock, s->lock_path) &&
        flock(s->lock, LOCK_EX | LOCK_NB) == 0)
        unlink(s->lock_path);
    if (s->lock >= 0)
        close(s->lock);
    s->lock = -1;
    free(s->lock_path);
    s->lock_path = NULL;
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

// The step in a file name "<base>-<digits>.slt", or -1.
static int64_t step_of(const char *name, const char *base)
{
    const size_t n = strlen(base);
    if (strncmp(name, base, n) != 0 || name[n] != '-' || !isdigit((unsigned char)name[n + 1]))
        return -1;
    char *end;
    errno = 0;
    const long long step = strtoll(name + n + 1, &end, 10);
    return errno == 0 && strcmp(end, ".slt") == 0 ? step : -1;
}

static int newest_first(const void *a, const void *b)
{
    const int64_t x = ((const struct slt_found_state *)a)->step;
    const int64_t y = ((const struct slt_found_state *)b)->step;
    return (x < y) - (x > y);
}

static int add_found(struct slt_run_states *s, int64_t step, enum found_kind kind,
                     struct slt_error *err)
{
    struct slt_found_state *more = realloc(s->found, (s->count + 1) * sizeof *more);
    if (more == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the list of states");
    s->found = more;
    s->found[s->count++] = (struct slt_found_state){step, kind};
    qsort(s->found, s->count, sizeof *s->found, newest_first);
    return 0;
}

static int list_states(struct slt_run_states *s, struct slt_error *err)
{
    char directory[PATH_MAX];
    const char *prefix = s->how->checkpoint, *slash = strrchr(prefix, '/');
    const char *base = slash != NULL ? slash + 1 : prefix;
    snprintf(directory, sizeof directory, "%.*s", slash != NULL ? (int)(slash - prefix + 1) : 1,
             slash != NULL ? prefix : ".");
    DIR *dir = opendir(directory);
    if (dir == NULL)
        return slt_error_errno(err, "cannot list '%s'", directory);
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(dir)) != NULL;)
        if (step_of(entry->d_name, base) >= 0)
            rc = add_found(s, step_of(entry->d_name, base), FOREIGN, err);
    closedir(dir);
    return rc;
}

// ---- Whose they are ----

// Errors that say something of this process and not of the file that is read.
static bool is_ours(int rc)
{
    return rc == SLT_ERR_STOPPED || rc == SLT_ERR_MEMORY;
}

// Reads the checkpoint at path up to its trainer.json, or to its end, into *kind; why gets how a
// state of another run differs, or what is wrong with a damaged one.
static int classify(enum found_kind *kind, const char *path, const struct slt_run_states *s,
                    const struct slt_trainer *t, struct slt_error *why, struct slt_error *err)
{
    struct slt_input *in;
    struct slt_checkpoint_reader *reader = NULL;
    enum slt_section section = SLT_SECTION_MODEL;
    const struct slt_tensor_info *info;
    int more = 1;
    *kind = FOREIGN;
    int rc = slt_input_open(&in, path, s->how->stop, why);
    if (rc == 0)
        rc = slt_checkpoint_open(&reader, in, why);
    if (rc == 0) {
        while (more == 1 && section == SLT_SECTION_MODEL)
            more = slt_checkpoint_next(reader, &section, &info, why);
        if (more < 0)
            *kind = DAMAGED;
        else if (slt_checkpoint_trainer(reader) != NULL)
            *kind = slt_trainer_is_of_run(t, reader, why) == 0 ? OWN : OTHER;
        rc = more < 0 ? more : 0;
    }
    slt_checkpoint_close(reader);
    return is_ours(rc) ? slt_error_set(err, rc, "%s", why->message) : 0;
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
            (rc = classify(&f->kind, path, s, t, &why, err)) != 0)
            return rc;
        own += f->kind == OWN;
        others += f->kind == OTHER;
        if (f->kind == OTHER && others == 1)
            other = why;
        if (f->kind == DAMAGED && s->how->resume && s->how->on_damaged != NULL)
            s->how->on_damaged(s->how->user, why.message);
    }
    if (rc != 0 || own > 0 || others == 0)
        return rc;
    snprintf(path, sizeof path, others > 1 ? " (and %lld more)" : "", (long long)others - 1);
    return slt_error_set(err, SLT_ERR_MISMATCH,
                         "states of another run lie under the prefix '%s': %s%s; give another "
                         "--checkpoint prefix, or the options of that run",
                         s->how->checkpoint, other.message, path);
}

// Whether the checkpoint at path can be read and verified to its end.
static int is_whole(const char *path, const struct slt_train_run *how, bool *whole,
                    struct slt_error *err)
{
    struct slt_input *in;
    struct slt_checkpoint_reader *reader;
    struct slt_error why;
    *whole = false;
    int rc = slt_input_open(&in, path, how->stop, &why);
    if (rc == 0)
        rc = slt_checkpoint_open(&reader, in, &why);
    if (rc == 0) {
        rc = slt_checkpoint_verify(reader, &why);
        slt_checkpoint_close(reader);
    }
    if (is_ours(rc))
        return slt_error_set(err, rc, "%s", why.message);
    *whole = rc == 0;
    if (rc != 0 && how->on_damaged != NULL)
        how->on_damaged(how->user, why.message);
    return 0;
}

int slt_run_states_newest(struct slt_run_states *s, char *path, size_t size, struct slt_error *err)
{
    bool whole = false;
    int rc = 0;
    path[0] = '\0';
    for (size_t i = 0; rc == 0 && !whole && i < s->count; i++)
        if (s->found[i].kind == OWN && (rc = state_path(path, size, s, s->found[i].step, err)) == 0)
            rc = is_whole(path, s->how, &whole, err);
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

int slt_run_states_is_finished(const struct slt_run_states *s, const struct slt_trainer *t,
                               bool *finished, struct slt_error *err)
{
    struct slt_input *in;
    struct slt_checkpoint_reader *reader = NULL;
    struct slt_error why;
    struct stat st;
    *finished = false;
    if (s->how->result == NULL || stat(s->how->result, &st) != 0 || !S_ISREG(st.st_mode))
        return 0;
    int rc = slt_input_open(&in, s->how->result, s->how->stop, &why);
    if (rc == 0)
        rc = slt_checkpoint_open(&reader, in, &why);
    if (rc == 0)
        rc = slt_checkpoint_verify(reader, &why);
    *finished = rc == 0 && ends_with_run(slt_checkpoint_provenance(reader), t);
    slt_checkpoint_close(reader);
    return is_ours(rc) ? slt_error_set(err, rc, "%s", why.message) : 0;
}

// ---- Writing ----

bool slt_run_states_has_room(const struct slt_run_states *s, int64_t step)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->found[i].step == step && s->found[i].kind != OWN && s->found[i].kind != DAMAGED)
            return false;
    return true;
}

// Removes all but the newest states of this run up to step. Later ones are of an earlier attempt at
// the same run: it can go on from them.
static int prune(struct slt_run_states *s, int64_t step, struct slt_error *err)
{
    char path[PATH_MAX];
    int64_t newer = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct slt_found_state *f = &s->found[i];
        if (f->kind != OWN || f->step > step || newer++ < (s->how->keep > 0 ? s->how->keep : 1))
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
    for (size_t i = 0; i < s->count; i++)
        if (s->found[i].step == step) {
            s->found[i].kind = OWN;
            return 0;
        }
    return add_found(s, step, OWN, err);
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
    if ((rc = slt_output_publish(out, err)) != 0 || (rc = remember(s, step, err)) != 0 ||
        (rc = prune(s, step, err)) != 0)
        return rc;
    s->last_written = slt_clock_now();
    s->is_due = false;
    if (s->how->on_checkpoint != NULL)
        s->how->on_checkpoint(s->how->user, path, step);
    return 0;
}

int slt_run_states_write_if_due(struct slt_run_states *s, struct slt_trainer *t,
                                const struct slt_attachments *attachments, struct slt_error *err)
{
    const struct slt_train_run *how = s->how;
    const int64_t step = t->progress.step;
    if (how->checkpoint == NULL || step == t->options.steps)
        return 0;
    s->is_due |= (how->checkpoint_every > 0 && step % how->checkpoint_every == 0) ||
                 (how->checkpoint_every_seconds > 0 &&
                  slt_clock_now() - s->last_written >= how->checkpoint_every_seconds);
    return s->is_due && slt_run_states_has_room(s, step)
               ? slt_run_states_write(s, t, attachments, err)
               : 0;
}
