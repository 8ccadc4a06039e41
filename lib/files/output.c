// Outputs. A regular file is written as a temporary beside its target, synced and renamed, so that
// a target that exists is whole; everything else (standard output, FIFOs, devices) is written
// directly.
#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/made_streams.h"
#include "files/wait.h"
#include "slt/stream.h"

#define BUFFER_BYTES ((size_t)64 << 10)
// One write call moves at most this much, so that the flag is seen now and then.
#define WRITE_MAX ((size_t)16 << 20)
// A pipe that can take a page is written in pieces that a slow reader soon takes.
#define PIPE_WRITE_MAX ((size_t)64 << 10)
#define MAX_LINKS      40

struct slt_output {
    char *name;
    slt_stop_flag *stop;
    int fd;
    bool owns_fd;
    bool waits; // neither a regular file nor a block device
    bool finished;
    slt_output_take *take; // instead of fd
    void *user;
    char *target;    // path without symbolic links, NULL when written directly
    char *temporary; // to be removed, NULL when written directly or already renamed
    unsigned char *buffer;
    size_t used;
    uint64_t bytes;
};

static int no_memory(struct slt_error *err, const char *path)
{
    return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate an output for '%s'", path);
}

// The length of the directory part of path, with its slash.
static size_t directory_bytes(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

// Follows symbolic links at the end of *path (allocated, replaced), also to a file that does not
// exist yet.
static int resolve_links(char **path, struct slt_error *err)
{
    for (int links = 0; links < MAX_LINKS; links++) {
        char link[PATH_MAX];
        const ssize_t n = readlink(*path, link, sizeof link - 1);
        if (n < 0 && (errno == EINVAL || errno == ENOENT))
            return 0;
        if (n < 0)
            return slt_error_errno(err, "cannot create '%s'", *path);
        link[n] = '\0';
        const size_t directory = link[0] == '/' ? 0 : directory_bytes(*path);
        char *next = malloc(directory + (size_t)n + 1);
        if (next == NULL)
            return no_memory(err, *path);
        memcpy(next, *path, directory);
        memcpy(next + directory, link, (size_t)n + 1);
        free(*path);
        *path = next;
    }
    errno = ELOOP;
    return slt_error_errno(err, "cannot create '%s'", *path);
}

// Creates the temporary beside the target, with the mode the target has or would get.
static int open_temporary(struct slt_output *o, const struct stat *existing, struct slt_error *err)
{
    const size_t directory = directory_bytes(o->target);
    const char *base = o->target + directory;
    const size_t size = strlen(o->target) + 64;
    char *path = malloc(size);
    if (path == NULL)
        return no_memory(err, o->name);
    // Another process may have the same number on a shared file system, or have had it and been
    // killed.
    for (unsigned n = 0; n < 10000; n++) {
        snprintf(path, size, "%.*s.%.200s.%ld-%u.tmp", (int)directory, o->target, base,
                 (long)getpid(), n);
        o->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (o->fd >= 0 || errno != EEXIST)
            break;
    }
    if (o->fd < 0) {
        free(path);
        return slt_error_errno(err, "cannot create '%s'", o->name);
    }
    o->temporary = path;
    // Where this is not allowed the file gets the mode of a new one, which is no reason to fail.
    if (existing != NULL)
        (void)!fchmod(o->fd, existing->st_mode & 07777);
    return 0;
}

static int open_path(struct slt_output *o, const char *path, struct slt_error *err)
{
    struct stat st;
    const bool exists = stat(path, &st) == 0;
    if (*path == '\0' || (exists && S_ISDIR(st.st_mode))) {
        errno = *path == '\0' ? ENOENT : EISDIR;
        return slt_error_errno(err, "cannot create '%s'", path);
    }
    if (exists && !S_ISREG(st.st_mode))
        return slt_open_waiting(&o->fd, path, O_WRONLY, o->stop, err);
    // Renaming would replace a file that its owner has made read-only.
    if (exists && access(path, W_OK) != 0)
        return slt_error_errno(err, "cannot write '%s'", path);
    o->target = strdup(path);
    if (o->target == NULL)
        return no_memory(err, path);
    int rc = resolve_links(&o->target, err);
    return rc != 0 ? rc : open_temporary(o, exists ? &st : NULL, err);
}

int slt_output_open(struct slt_output **out, const char *path, slt_stop_flag *stop,
                    struct slt_error *err)
{
    const bool standard = strcmp(path, "-") == 0;
    int rc = 0;
    struct slt_output *o = calloc(1, sizeof *o);
    if (o == NULL)
        return no_memory(err, path);
    o->fd = standard ? STDOUT_FILENO : -1;
    o->owns_fd = !standard;
    o->stop = stop;
    o->name = strdup(standard ? "<stdout>" : path);
    o->buffer = malloc(BUFFER_BYTES);
    if (o->name == NULL || o->buffer == NULL) {
        rc = no_memory(err, path);
        goto out;
    }
    if (!standard && (rc = open_path(o, path, err)) != 0)
        goto out;
    struct stat st;
    if (fstat(o->fd, &st) != 0) {
        rc = slt_error_errno(err, "cannot write '%s'", o->name);
        goto out;
    }
    o->waits = !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode);
    *out = o;
    o = NULL;
out:
    slt_output_abandon(o);
    return rc;
}

int slt_output_handed(struct slt_output **out, const char *name, slt_output_take *take, void *user,
                      struct slt_error *err)
{
    struct slt_output *o = calloc(1, sizeof *o);
    if (o == NULL || (o->name = strdup(name)) == NULL ||
        (o->buffer = malloc(BUFFER_BYTES)) == NULL) {
        slt_output_abandon(o);
        return no_memory(err, name);
    }
    o->fd = -1;
    o->take = take;
    o->user = user;
    *out = o;
    return 0;
}

const char *slt_output_name(const struct slt_output *out)
{
    return out->name;
}

bool slt_output_is_terminal(const struct slt_output *out)
{
    return isatty(out->fd);
}

uint64_t slt_output_bytes(const struct slt_output *out)
{
    return out->bytes;
}

static int write_all(struct slt_output *o, const unsigned char *data, size_t bytes,
                     struct slt_error *err)
{
    const size_t most = o->waits ? PIPE_WRITE_MAX : WRITE_MAX;
    if (o->take != NULL)
        return o->take(o->user, data, bytes, err);
    while (bytes > 0) {
        int rc = slt_error_stopped(o->stop, err);
        if (rc == 0 && o->waits)
            rc = slt_wait_writable(o->fd, o->name, o->stop, err);
        if (rc != 0)
            return rc;
        const ssize_t n = write(o->fd, data, bytes < most ? bytes : most);
        if (n > 0) {
            data += n;
            bytes -= (size_t)n;
        } else if (n < 0 && errno != EINTR && errno != EAGAIN) {
            // SIGPIPE sets the flag, and the write reports EPIPE.
            rc = slt_error_stopped(o->stop, err);
            return rc != 0 ? rc : slt_error_errno(err, "cannot write '%s'", o->name);
        }
    }
    return 0;
}

int slt_output_flush(struct slt_output *out, struct slt_error *err)
{
    int rc = write_all(out, out->buffer, out->used, err);
    if (rc == 0)
        out->used = 0;
    return rc;
}

int slt_output_write(struct slt_output *out, const void *data, size_t bytes, struct slt_error *err)
{
    assert(!out->finished);
    if (bytes > BUFFER_BYTES - out->used) {
        int rc = slt_output_flush(out, err);
        if (rc == 0 && bytes >= BUFFER_BYTES) {
            rc = write_all(out, data, bytes, err);
            if (rc == 0)
                out->bytes += bytes;
            return rc;
        }
        if (rc != 0)
            return rc;
    }
    if (bytes > 0)
        memcpy(out->buffer + out->used, data, bytes);
    out->used += bytes;
    out->bytes += bytes;
    return 0;
}

int slt_output_printf(struct slt_output *out, struct slt_error *err, const char *format, ...)
{
    char small[1024], *text = small;
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n < 0)
        return slt_error_errno(err, "cannot write '%s'", out->name);
    if ((size_t)n >= sizeof small) {
        text = malloc((size_t)n + 1);
        if (text == NULL)
            return slt_error_errno(err, "cannot write '%s'", out->name);
        va_start(args, format);
        vsnprintf(text, (size_t)n + 1, format, args);
        va_end(args);
    }
    int rc = slt_output_write(out, text, (size_t)n, err);
    if (text != small)
        free(text);
    return rc;
}

// Pipes and devices cannot be synced, and some network file systems cannot sync directories.
static int sync_descriptor(int fd)
{
    int rc;
    do
        rc = fsync(fd);
    while (rc != 0 && errno == EINTR);
    return rc != 0 && (errno == EINVAL || errno == ENOTSUP || errno == EROFS) ? 0 : rc;
}

int slt_output_finish(struct slt_output *out, struct slt_error *err)
{
    if (out->finished)
        return 0;
    int rc = slt_output_flush(out, err);
    if (rc != 0)
        return rc;
    if (out->take != NULL) {
        out->finished = true;
        return 0;
    }
    if (out->temporary != NULL && sync_descriptor(out->fd) != 0)
        return slt_error_errno(err, "cannot write '%s'", out->name);
    // Some file systems report a failed write only when a descriptor is closed; standard output
    // itself stays open for its owner.
    const int copy = dup(out->fd);
    if (copy < 0 || close(copy) != 0)
        return slt_error_errno(err, "cannot write '%s'", out->name);
    out->finished = true;
    return 0;
}

static int sync_directory_of(const char *path)
{
    char *directory = strdup(path);
    if (directory == NULL)
        return -1;
    directory[directory_bytes(path)] = '\0';
    const int fd = open(*directory != '\0' ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(directory);
    // A directory that may be written but not read cannot be synced.
    if (fd < 0)
        return errno == EACCES ? 0 : -1;
    const int rc = sync_descriptor(fd);
    close(fd);
    return rc;
}

int slt_output_publish(struct slt_output *out, struct slt_error *err)
{
    int rc = slt_output_finish(out, err);
    if (rc == 0 && out->temporary != NULL) {
        if (rename(out->temporary, out->target) != 0) {
            rc = slt_error_errno(err, "cannot create '%s'", out->name);
        } else {
            free(out->temporary);
            out->temporary = NULL;
            if (sync_directory_of(out->target) != 0)
                rc = slt_error_errno(err, "cannot sync the directory of '%s'", out->name);
        }
    }
    slt_output_abandon(out);
    return rc;
}

void slt_output_abandon(struct slt_output *out)
{
    if (out == NULL)
        return;
    if (out->temporary != NULL)
        unlink(out->temporary);
    if (out->owns_fd && out->fd >= 0)
        close(out->fd);
    free(out->temporary);
    free(out->target);
    free(out->buffer);
    free(out->name);
    free(out);
}
