// The smaller of two counts.
#ifndef SLT_CORE_LEAST_H
#define SLT_CORE_LEAST_H

#include <stdint.h>

static inline int64_t slt_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
