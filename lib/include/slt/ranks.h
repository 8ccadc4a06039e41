// The processes that share a run: started by mpirun or srun, joined by MPI, each a rank from 0 on.
//
// Where there is only one, ranks is NULL, which every function takes: nothing is opened and nothing
// is exchanged. All others are called by all ranks, in the same order.
#ifndef SLT_RANKS_H
#define SLT_RANKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slt/error.h"

struct slt_ranks;

struct slt_ranks_options {
    int64_t count;   // how many there must be; 0: as many as the launcher started
    const char *mpi; // "openmpi" or "mpich"; NULL: the one of the launcher, else what can be loaded
    double timeout;  // seconds without a sign of life after which a rank counts as lost; 0: 600, or
                     // ten times the slowest step so far where that is more
    slt_stop_flag *stop;
    // A sentence about a rank that is waited for although a signal asked to stop; may be NULL.
    void (*notice)(void *user, const char *sentence);
    void *user;
};

// Joins the others. *ranks is NULL where the launcher started one process, or none did and count is
// at most 1. SLT_ERR_DEVICE where MPI is missing or cannot be used, SLT_ERR_RANGE where it sees
// another number of processes than count or the launcher says.
SLT_API int slt_ranks_open(struct slt_ranks **ranks, const struct slt_ranks_options *options,
                           struct slt_error *err) SLT_CHECK_RESULT;
// Waits for the others and leaves.
SLT_API void slt_ranks_close(struct slt_ranks *ranks);
// Ends the processes of all ranks after SLT_ERR_RANKS, or an error that only this one knows of. Does
// not return where there are others.
SLT_API void slt_ranks_abort(struct slt_ranks *ranks);

SLT_API int slt_ranks_rank(const struct slt_ranks *ranks);
SLT_API int slt_ranks_size(const struct slt_ranks *ranks);
// This rank among those on the same host.
SLT_API int slt_ranks_local_rank(const struct slt_ranks *ranks);
SLT_API const char *slt_ranks_host(const struct slt_ranks *ranks, int rank);
// One line for people: the implementation of MPI. Returns text.
SLT_API const char *slt_ranks_describe(const struct slt_ranks *ranks, char *text, size_t size);

#define SLT_RANKS_TEXT 256

// *all (size), which the caller frees: the texts of all ranks, of at most 255 characters.
SLT_API int slt_ranks_texts(struct slt_ranks *ranks, char (**all)[SLT_RANKS_TEXT], const char *mine,
                            struct slt_error *err) SLT_CHECK_RESULT;
// Threads for a process that shares its host with other ranks: threads, or for 0 its part of the
// cores, unless the launcher or OMP_NUM_THREADS says what it may have (0: leave it to that).
SLT_API int slt_ranks_threads(const struct slt_ranks *ranks, int threads);

// The rank of this process as its launcher's environment has it, 0 where there is none: for what
// happens before slt_ranks_open.
SLT_API int slt_ranks_announced(void);

// Whether all ranks are well: each says how it fares (0 or an error, in err). 0 if all do, else
// everywhere the error of the lowest rank that does not, in a sentence that names it unless it is
// rank 0. SLT_ERR_RANKS if one does not answer.
SLT_API int slt_ranks_settle(struct slt_ranks *ranks, int rc, struct slt_error *err)
    SLT_CHECK_RESULT;

#endif
