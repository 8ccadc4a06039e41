// Inputs: a descriptor or a maker of bytes with a buffer, or caller's memory. The buffer serves
// peeking and small reads; large reads go straight to the caller's memory.
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/made_streams.h"
#include "files/wait.h"

#define BUFFER_BYTES ((size_t)256 << 10)
// One read call moves at most this much, so that the flag is seen now and then.
#define READ_MAX ((size_t)16 << 20)

struct slt_input {
    char *name;
    slt_stop_flag *stop;
    int fd;              // -1 for memory and made bytes
    bool owns_fd, waits; // waits: neither a regular file nor memory
    bool consumed;       // something was read, not only peeked
    unsigned char *buffer;
    size_t start, end;           // unread bytes of the buffer
    slt_input_make *make;        // of bytes, with fd -1
    void (*close)(void *user);
    void *user;
    const unsigned char *memory; // caller's, with fd -1
    size_t memory_bytes, memory_read;
    void *map;
    size_t map_bytes;
};

static int make_input(struct slt_input **in, const char *name, struct slt_error *err)
{
    struct slt_input *i = calloc(1, sizeof *i);
    if (i == NULL || (i->name = strdup(name)) == NULL) {
        free(i);
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate an input for '%s'", name);
    }
    i->fd = -1;
    *in = i;
    return 0;
}

// Opens fd and finds out what it is. Opening a FIFO waits for its writer.
static int open_descriptor(struct slt_input *i, const char *path, struct slt_error *err)
{
    if (strcmp(path, "-") == 0) {
        i->fd = STDIN_FILENO;
    } else {
        int rc = slt_open_waiting(&i->fd, path, O_RDONLY, i->stop, err);
        if (rc != 0)
            return rc;
        i->owns_fd = true;
    }
    struct stat st;
    if (fstat(i->fd, &st) != 0)
        return slt_error_errno(err, "cannot read '%s'", i->name);
    if (S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return slt_error_errno(err, "cannot read '%s'", i->name);
    }
    i->waits = !S_ISREG(st.st_mode);
    return 0;
}

int slt_input_open(struct slt_input **in, const char *path, slt_stop_flag *stop,
                   struct slt_error *err)
{
    struct slt_input *i = NULL;
    int rc = make_input(&i, strcmp(path, "-") == 0 ? "<stdin>" : path, err);
    if (rc != 0)
        return rc;
    i->stop = stop;
    if ((rc = open_descriptor(i, path, err)) != 0)
        goto out;
    i->buffer = malloc(BUFFER_BYTES);
    if (i->buffer == NULL) {
        rc = slt_error_errno(err, "cannot allocate a buffer for '%s'", i->name);
        goto out;
    }
    *in = i;
    i = NULL;
out:
    slt_input_close(i);
    return rc;
}

int slt_input_memory(struct slt_input **in, const char *name, const void *data, size_t bytes,
                     struct slt_error *err)
{
    struct slt_input *i = NULL;
    int rc = make_input(&i, name, err);
    if (rc != 0)
        return rc;
    i->memory = data;
    i->memory_bytes = bytes;
    *in = i;
    return 0;
}

int slt_input_made(struct slt_input **in, const char *name, slt_input_make *make,
                   void (*close)(void *user), void *user, slt_stop_flag *stop,
                   struct slt_error *err)
{
    struct slt_input *i = NULL;
    int rc = make_input(&i, name, err);
    if (rc == 0 && (i->buffer = malloc(BUFFER_BYTES)) == NULL)
        rc = slt_error_errno(err, "cannot allocate a buffer for '%s'", name);
    if (rc != 0) {
        slt_input_close(i);
        if (close != NULL)
            close(user);
        return rc;
    }
    i->stop = stop;
    i->make = make;
    i->close = close;
    i->user = user;
    *in = i;
    return 0;
}

const char *slt_input_name(const struct slt_input *in)
{
    return in->name;
}

slt_stop_flag *slt_input_stop_flag(const struct slt_input *in)
{
    return in->stop;
}

bool slt_input_is_terminal(const struct slt_input *in)
{
    return in->fd >= 0 && isatty(in->fd);
}

// Nothing but the caller's memory, which needs no buffer.
static bool is_memory(const struct slt_input *in)
{
    return in->fd < 0 && in->make == NULL;
}

// The next bytes of memory, as many as there are; returns their number.
static size_t peek_memory(const struct slt_input *in, void *data, size_t bytes)
{
    const size_t left = in->memory_bytes - in->memory_read, n = bytes < left ? bytes : left;
    if (n > 0)
        memcpy(data, in->memory + in->memory_read, n);
    return n;
}

// One read call, or its like; *got is 0 only at the end.
static int read_some(struct slt_input *in, void *data, size_t bytes, size_t *got,
                     struct slt_error *err)
{
    if (is_memory(in)) {
        *got = peek_memory(in, data, bytes);
        in->memory_read += *got;
        return 0;
    }
    if (in->make != NULL) {
        const int rc = slt_error_stopped(in->stop, err);
        return rc != 0 ? rc : in->make(in->user, data, bytes, got, err);
    }
    for (;;) {
        int rc = slt_error_stopped(in->stop, err);
        if (rc == 0 && in->waits)
            rc = slt_wait_readable(in->fd, in->name, in->stop, err);
        if (rc != 0)
            return rc;
        const ssize_t n = read(in->fd, data, bytes < READ_MAX ? bytes : READ_MAX);
        if (n >= 0) {
            *got = (size_t)n;
            return 0;
        }
        if (errno != EINTR && errno != EAGAIN)
            return slt_error_errno(err, "cannot read '%s'", in->name);
    }
}

int slt_input_read(struct slt_input *in, void *data, size_t bytes, size_t *got,
                   struct slt_error *err)
{
    in->consumed = true;
    if (in->start == in->end) {
        if (is_memory(in) || bytes >= BUFFER_BYTES)
            return read_some(in, data, bytes, got, err);
        size_t filled = 0;
        int rc = read_some(in, in->buffer, BUFFER_BYTES, &filled, err);
        if (rc != 0)
            return rc;
        in->start = 0;
        in->end = filled;
    }
    const size_t left = in->end - in->start;
    const size_t n = bytes < left ? bytes : left;
    if (n > 0)
        memcpy(data, in->buffer + in->start, n);
    in->start += n;
    *got = n;
    return 0;
}

int slt_input_peek(struct slt_input *in, void *data, size_t bytes, size_t *got,
                   struct slt_error *err)
{
    assert(bytes <= SLT_PEEK_MAX);
    if (is_memory(in)) {
        *got = peek_memory(in, data, bytes);
        return 0;
    }
    if (in->end - in->start < bytes && in->start > 0) {
        memmove(in->buffer, in->buffer + in->start, in->end - in->start);
        in->end -= in->start;
        in->start = 0;
    }
    while (in->end - in->start < bytes) {
        size_t n = 0;
        int rc = read_some(in, in->buffer + in->end, BUFFER_BYTES - in->end, &n, err);
        if (rc != 0)
            return rc;
        if (n == 0)
            break;
        in->end += n;
    }
    const size_t left = in->end - in->start;
    *got = bytes < left ? bytes : left;
    memcpy(data, in->buffer + in->start, *got);
    return 0;
}

int slt_input_map(struct slt_input *in, const void **data, uint64_t *bytes, struct slt_error *err)
{
    struct stat st;
    assert(!in->consumed && in->map == NULL);
    if (is_memory(in)) {
        *data = in->memory;
        *bytes = in->memory_bytes;
        return 0;
    }
    // Standard input is a stream even where it is a regular file, so that `x - <f` does the same as
    // `cat f | x -`.
    const bool is_stream = in->waits || !in->owns_fd; // as are made bytes
    const off_t position = is_stream ? -1 : lseek(in->fd, 0, SEEK_CUR);
    if (position < 0 || (uint64_t)position != in->end)
        return slt_error_set(err, SLT_ERR_RANGE, "'%s' is no regular file", in->name);
    if (fstat(in->fd, &st) != 0)
        return slt_error_errno(err, "cannot read '%s'", in->name);
    if ((uintmax_t)st.st_size > SIZE_MAX)
        return slt_error_set(err, SLT_ERR_RANGE, "'%s' is too large to map", in->name);
    if (st.st_size > 0) {
        void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, in->fd, 0);
        if (map == MAP_FAILED)
            return slt_error_errno(err, "cannot map '%s'", in->name);
        in->map = map;
        in->map_bytes = (size_t)st.st_size;
    }
    // The map needs neither, and a program may hold a thousand mapped files.
    close(in->fd);
    in->owns_fd = false;
    in->fd = -1;
    free(in->buffer);
    in->buffer = NULL;
    *data = in->map;
    *bytes = in->map_bytes;
    return 0;
}

void slt_input_close(struct slt_input *in)
{
    if (in == NULL)
        return;
    if (in->map != NULL)
        munmap(in->map, in->map_bytes);
    if (in->owns_fd)
        close(in->fd);
    if (in->close != NULL)
        in->close(in->user);
    free(in->buffer);
    free(in->name);
    free(in);
}

// Reads to the end into memory that grows with what has really come.
static int read_all(struct slt_input *in, unsigned char **data, size_t *bytes, size_t limit,
                    struct slt_error *err)
{
    unsigned char *text = NULL;
    size_t used = 0, capacity = 0;
    int rc = 0;
    for (;;) {
        if (used + 1 >= capacity) {
            capacity = capacity == 0 ? 8192 : capacity * 2;
            unsigned char *larger = realloc(text, capacity);
            if (larger == NULL) {
                rc = slt_error_errno(err, "cannot allocate memory for '%s'", in->name);
                goto out;
            }
            text = larger;
        }
        size_t got = 0;
        if ((rc = slt_input_read(in, text + used, capacity - used - 1, &got, err)) != 0)
            goto out;
        used += got;
        if (used > limit) {
            rc =
                slt_error_set(err, SLT_ERR_RANGE, "'%s' is larger than %zu bytes", in->name, limit);
            goto out;
        }
        if (got == 0)
            break;
    }
    text[used] = '\0';
    *data = text;
    *bytes = used;
    text = NULL;
out:
    free(text);
    return rc;
}

int slt_file_read(void **data, size_t *bytes, const char *path, size_t limit, slt_stop_flag *stop,
                  struct slt_error *err)
{
    struct slt_input *in = NULL;
    unsigned char *text = NULL;
    int rc = slt_input_open(&in, path, stop, err);
    if (rc == 0 && (rc = read_all(in, &text, bytes, limit, err)) == 0)
        *data = text;
    slt_input_close(in);
    return rc;
}

int slt_file_exists(bool *exists, const char *path, struct slt_error *err)
{
    struct stat st;
    const bool there = stat(path, &st) == 0;
    if (!there && errno != ENOENT && errno != ENOTDIR)
        return slt_error_errno(err, "cannot look at '%s'", path);
    *exists = there;
    return 0;
}
