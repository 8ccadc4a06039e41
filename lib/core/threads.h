// How many threads a caller's number stands for.
#ifndef SLT_CORE_THREADS_H
#define SLT_CORE_THREADS_H

#include <omp.h>

// threads, or for 0 as many as OpenMP would take.
static inline int slt_thread_count(int threads)
{
    return threads > 0 ? threads : omp_get_max_threads();
}

#endif
