// Error sentences. A message is one line: control characters, which file names and damaged files
// may bring along, become question marks before they can reach a terminal.
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "slt/error.h"

static void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

int slt_error_set(struct slt_error *err, int code, const char *format, ...)
{
    assert(code < 0);
    if (err == NULL)
        return code;
    // The arguments may point into the message that is replaced.
    char message[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    make_printable(message);
    err->code = code;
    memcpy(err->message, message, strlen(message) + 1);
    err->hint[0] = '\0';
    return code;
}

int slt_error_errno(struct slt_error *err, const char *format, ...)
{
    const int number = errno;
    const int code = number == ENOMEM ? SLT_ERR_MEMORY : SLT_ERR_IO;
    if (err == NULL)
        return code;
    char what[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    // strerror may share its buffer between threads, and strerror_r exists in two kinds; %m of
    // glibc and musl is neither.
    char reason[256];
    errno = number;
    snprintf(reason, sizeof reason, "%m");
    return slt_error_set(err, code, "%s: %s", what, reason);
}

int slt_error_prefix(struct slt_error *err, int code, const char *format, ...)
{
    if (err == NULL)
        return code;
    char prefix[sizeof err->message], hint[sizeof err->hint];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    memcpy(hint, err->hint, sizeof hint);
    slt_error_set(err, code, "%s: %s", prefix, err->message);
    memcpy(err->hint, hint, sizeof hint);
    return code;
}

int slt_error_hint(struct slt_error *err, int code, const char *format, ...)
{
    if (err == NULL)
        return code;
    va_list args;
    va_start(args, format);
    vsnprintf(err->hint, sizeof err->hint, format, args);
    va_end(args);
    make_printable(err->hint);
    return code;
}

int slt_error_copy(struct slt_error *err, const struct slt_error *from)
{
    if (err != NULL && err != from)
        *err = *from;
    return from->code;
}

int slt_error_stopped(slt_stop_flag *stop, struct slt_error *err)
{
    if (stop == NULL || *stop == 0)
        return 0;
    return slt_error_set(err, SLT_ERR_STOPPED, "stopped by a signal");
}
