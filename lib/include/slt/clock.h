// The clock of progress lines, time limits and measurements.
#ifndef SLT_CLOCK_H
#define SLT_CLOCK_H

#include "slt/error.h"

// Seconds since a moment that is the same for the whole process, never going back: differences of
// two readings are what passed between them.
SLT_API double slt_clock_now(void);

#endif
