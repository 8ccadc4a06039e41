// Errors of libslt: every function that can fail returns 0 or a negative SLT_ERR_* and fills the
// caller's struct slt_error with one complete sentence, lower case and without a full stop, ready
// to follow "slt-x: ".
#ifndef SLT_ERROR_H
#define SLT_ERROR_H

#include <errno.h>
#include <signal.h>

// SLT_CHECK_RESULT follows the declaration of a function whose result must not be dropped: an error
// code, or what the caller has to free.
#if defined(__GNUC__)
#define SLT_API               __attribute__((visibility("default")))
#define SLT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define SLT_CHECK_RESULT      __attribute__((warn_unused_result))
#else
#define SLT_API
#define SLT_PRINTF(fmt, args)
#define SLT_CHECK_RESULT
#endif

enum {
    SLT_OK = 0,
    SLT_ERR_IO = -1,     // the operating system refused or a write came short
    SLT_ERR_FORMAT = -2, // a damaged, truncated or foreign file
    SLT_ERR_MEMORY = -3, // an allocation failed
    SLT_ERR_RANGE = -4,  // an argument outside what is supported
    // Two inputs that do not belong together: a tokenizer, the options of a resumed run.
    SLT_ERR_MISMATCH = -5,
    SLT_ERR_DEVICE = -6,  // a device is missing, too small or reported an error
    SLT_ERR_NUMERIC = -7, // too many non-finite losses or gradients
    SLT_ERR_STOPPED = -8, // the caller's stop flag was set (see stream.h)
    SLT_ERR_RANKS = -9,   // another rank of the run is lost (see ranks.h)
};

struct slt_error {
    int code;           // the SLT_ERR_* also returned
    char message[1024]; // the sentence; truncated if it would be longer
    char hint[512]; // what would help, often a command to type; "" where there is nothing to say
};

// Fills *err (which may be NULL), without a hint, and returns code, so that a failing function can end with
// `return slt_error_set(err, SLT_ERR_RANGE, "rank %d is below 1", rank);`.
SLT_API int slt_error_set(struct slt_error *err, int code, const char *format, ...)
    SLT_PRINTF(3, 4);

// As slt_error_set, with ": " and strerror(errno) appended. The code is SLT_ERR_MEMORY for ENOMEM,
// else SLT_ERR_IO.
SLT_API int slt_error_errno(struct slt_error *err, const char *format, ...) SLT_PRINTF(2, 3);

// Puts "prefix: " in front of a message already set; returns err->code (or code if err is NULL).
SLT_API int slt_error_prefix(struct slt_error *err, int code, const char *format, ...)
    SLT_PRINTF(3, 4);

// Adds a hint to the sentence just set, whose code it returns.
SLT_API int slt_error_hint(struct slt_error *err, int code, const char *format, ...)
    SLT_PRINTF(3, 4);

// Gives *err (which may be NULL) what was kept in from, and returns its code.
SLT_API int slt_error_copy(struct slt_error *err, const struct slt_error *from);

// ---- Stopping ----

// Set by the caller's signal handler; read by long-running functions, which then return
// SLT_ERR_STOPPED. May be NULL.
typedef const volatile sig_atomic_t slt_stop_flag;

// SLT_ERR_STOPPED with its sentence if the flag is set, else 0.
SLT_API int slt_error_stopped(slt_stop_flag *stop, struct slt_error *err) SLT_CHECK_RESULT;

#endif
