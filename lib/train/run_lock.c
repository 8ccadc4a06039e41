// One run for a prefix: a lock that the kernel drops with its process.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "train/run_lock.h"

#define SUFFIX ".slt-lock"

// Whether path is still the file that is open: another process removes its lock before it lets go.
static bool is_same_file(int file, const char *path)
{
    struct stat open, there;
    return fstat(file, &open) == 0 && lstat(path, &there) == 0 && open.st_ino == there.st_ino &&
           open.st_dev == there.st_dev;
}

// The process in a lock that is open, as it wrote its number; 0 while it is empty, -1 if the file
// is no lock.
static long owner_of(int file)
{
    char text[32], *end;
    const ssize_t n = pread(file, text, sizeof text - 1, 0);
    if (n == 0)
        return 0;
    text[n > 0 ? n : 0] = '\0';
    const long owner = strtol(text, &end, 10);
    return owner > 0 && strcmp(end, "\n") == 0 ? owner : -1;
}

static int open_lock(struct slt_run_lock *l, const char *prefix, struct slt_error *err)
{
    struct stat st;
    l->file = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (l->file < 0)
        return slt_error_errno(err, "states '%s-<step>.slt' cannot be written: cannot open '%s'",
                               prefix, l->path);
    if (fstat(l->file, &st) != 0 || !S_ISREG(st.st_mode) || owner_of(l->file) < 0)
        return slt_error_set(err, SLT_ERR_IO,
                             "'%s' is no lock of a run, and stands where this run's belongs; give "
                             "another --checkpoint prefix",
                             l->path);
    return 0;
}

int slt_run_lock_take(struct slt_run_lock *l, const char *prefix, char *warning, size_t size,
                      struct slt_error *err)
{
    const size_t length = strlen(prefix) + sizeof SUFFIX;
    *l = (struct slt_run_lock){.file = -1, .path = malloc(length)};
    warning[0] = '\0';
    if (l->path == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the name of a lock");
    snprintf(l->path, length, "%s" SUFFIX, prefix);
    do {
        if (l->file >= 0)
            close(l->file);
        int rc = open_lock(l, prefix, err);
        if (rc != 0)
            return rc;
        l->is_locked = flock(l->file, LOCK_EX | LOCK_NB) == 0;
        if (l->is_locked)
            continue;
        if (errno == EWOULDBLOCK)
            return slt_error_set(err, SLT_ERR_IO,
                                 "another run (process %ld) has the prefix '%s': this one would "
                                 "write the same states",
                                 owner_of(l->file), prefix);
        snprintf(warning, size, "cannot lock '%s': %s; going on without", l->path, strerror(errno));
    } while (!is_same_file(l->file, l->path));
    // Only for people: who has it is what the kernel says.
    if (ftruncate(l->file, 0) == 0)
        dprintf(l->file, "%ld\n", (long)getpid());
    return 0;
}

void slt_run_lock_release(struct slt_run_lock *l)
{
    if (l->is_locked && is_same_file(l->file, l->path))
        unlink(l->path);
    if (l->file >= 0)
        close(l->file);
    free(l->path);
    *l = (struct slt_run_lock){.file = -1};
}
