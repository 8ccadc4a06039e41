// The monotonic clock of the system.
#include <time.h>

#include "slt/clock.h"

double slt_clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
