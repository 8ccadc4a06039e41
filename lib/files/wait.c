// Waiting for a FIFO, pipe or terminal without missing a signal.
#include <fcntl.h>
#include <poll.h>

#include "files/wait.h"

#define WAKE_UP_MS 200

static int wait_for(short events, int fd, const char *name, slt_stop_flag *stop,
                    struct slt_error *err)
{
    for (;;) {
        int rc = slt_error_stopped(stop, err);
        if (rc != 0)
            return rc;
        struct pollfd p = {.fd = fd, .events = events};
        const int ready = poll(&p, 1, WAKE_UP_MS);
        // Errors and hang-ups are left to the read or write that follows.
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR && errno != EAGAIN)
            return slt_error_errno(err, "cannot wait for '%s'", name);
    }
}

int slt_wait_readable(int fd, const char *name, slt_stop_flag *stop, struct slt_error *err)
{
    return wait_for(POLLIN, fd, name, stop, err);
}

int slt_wait_writable(int fd, const char *name, slt_stop_flag *stop, struct slt_error *err)
{
    return wait_for(POLLOUT, fd, name, stop, err);
}

int slt_open_waiting(int *fd, const char *path, int flags, slt_stop_flag *stop,
                     struct slt_error *err)
{
    do {
        int rc = slt_error_stopped(stop, err);
        if (rc != 0)
            return rc;
        *fd = open(path, flags | O_CLOEXEC | O_NOCTTY);
    } while (*fd < 0 && errno == EINTR);
    return *fd >= 0 ? 0 : slt_error_errno(err, "cannot open '%s'", path);
}
