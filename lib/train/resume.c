// State checkpoints on disk: PREFIX-<step>.slt.
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/trainer.h"

int slt_state_path(char *path, size_t size, const char *prefix, int64_t step, struct slt_error *err)
{
    const int n = snprintf(path, size, "%s-%lld.slt", prefix, (long long)step);
    if (n < 0 || (size_t)n >= size)
        return slt_error_set(err, SLT_ERR_RANGE, "the checkpoint prefix '%s' is too long", prefix);
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

static int descending(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

// The steps of all PREFIX-<step>.slt, newest first; the caller frees *steps.
static int list_steps(int64_t **steps, size_t *count, const char *prefix, struct slt_error *err)
{
    char directory[4096];
    const char *slash = strrchr(prefix, '/'), *base = slash != NULL ? slash + 1 : prefix;
    snprintf(directory, sizeof directory, "%.*s", slash != NULL ? (int)(slash - prefix + 1) : 1,
             slash != NULL ? prefix : ".");
    *steps = NULL;
    *count = 0;
    DIR *dir = opendir(directory);
    if (dir == NULL)
        return errno == ENOENT ? 0 : slt_error_errno(err, "cannot list '%s'", directory);
    size_t capacity = 0;
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(dir)) != NULL;) {
        const int64_t step = step_of(entry->d_name, base);
        if (step < 0)
            continue;
        if (*count == capacity) {
            capacity = capacity * 2 + 16;
            int64_t *more = realloc(*steps, capacity * sizeof *more);
            if (more == NULL) {
                rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot list '%s'", directory);
                break;
            }
            *steps = more;
        }
        (*steps)[(*count)++] = step;
    }
    closedir(dir);
    if (rc != 0) {
        free(*steps);
        *steps = NULL;
        return rc;
    }
    if (*count > 0)
        qsort(*steps, *count, sizeof **steps, descending);
    return 0;
}

// Whether the checkpoint at path can be read and verified to its end.
static int is_whole(const char *path, const struct slt_train_run *run, bool *whole,
                    struct slt_error *err)
{
    struct slt_input *in;
    struct slt_checkpoint_reader *reader;
    struct slt_error why;
    slt_stop_flag *stop = run->stop;
    *whole = false;
    int rc = slt_input_open(&in, path, stop, &why);
    if (rc == 0)
        rc = slt_checkpoint_open(&reader, in, &why);
    if (rc == 0) {
        rc = slt_checkpoint_verify(reader, &why);
        slt_checkpoint_close(reader);
    }
    if (rc == SLT_ERR_STOPPED || rc == SLT_ERR_MEMORY)
        return slt_error_set(err, rc, "%s", why.message);
    *whole = rc == 0;
    if (rc != 0 && run->on_damaged != NULL)
        run->on_damaged(run->user, why.message);
    return 0;
}

int slt_state_newest(char *path, size_t size, const struct slt_train_run *run,
                     struct slt_error *err)
{
    const char *prefix = run->checkpoint;
    int64_t *steps;
    size_t count;
    int rc = list_steps(&steps, &count, prefix, err);
    if (rc != 0)
        return rc;
    bool whole = false;
    for (size_t i = 0; rc == 0 && !whole && i < count; i++) {
        if ((rc = slt_state_path(path, size, prefix, steps[i], err)) == 0)
            rc = is_whole(path, run, &whole, err);
    }
    free(steps);
    if (!whole)
        path[0] = '\0';
    return rc;
}

int slt_state_prune(const char *prefix, int64_t keep, struct slt_error *err)
{
    char path[4096];
    int64_t *steps;
    size_t count;
    int rc = list_steps(&steps, &count, prefix, err);
    for (size_t i = (size_t)keep; rc == 0 && i < count; i++) {
        rc = slt_state_path(path, sizeof path, prefix, steps[i], err);
        if (rc == 0 && unlink(path) != 0 && errno != ENOENT)
            rc = slt_error_errno(err, "cannot remove '%s'", path);
    }
    free(steps);
    return rc;
}
