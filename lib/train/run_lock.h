// The lock of a prefix of state checkpoints: a file beside them, PREFIX.slt-lock.
#ifndef SLT_TRAIN_RUN_LOCK_H
#define SLT_TRAIN_RUN_LOCK_H

#include <stdbool.h>
#include <stddef.h>

#include "slt/error.h"

struct slt_run_lock {
    char *path;     // NULL: nothing is locked
    int file;       // a descriptor, or -1
    bool is_locked; // by this process
};

// Locks the prefix. Where the file system cannot lock, warning (size bytes) gets a sentence about it,
// else it is empty. SLT_ERR_IO if another process has the prefix, or the file is no lock. release also
// after an error.
int slt_run_lock_take(struct slt_run_lock *lock, const char *prefix, char *warning, size_t size,
                      struct slt_error *err) SLT_CHECK_RESULT;
void slt_run_lock_release(struct slt_run_lock *lock);

#endif
