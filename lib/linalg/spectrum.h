// Numbers of a spectrum, and of the magnitudes of a matrix.
#ifndef SLT_LINALG_SPECTRUM_H
#define SLT_LINALG_SPECTRUM_H

#include <stdint.h>

#include "slt/error.h"
#include "slt/inspect.h"

// Fills the numbers of a spectrum from its values, of which there may be fewer than the matrix has:
// square is the sum of the squares of all of the matrix's elements, hence of all of its values.
void slt_spectrum_measure(struct slt_spectrum *spectrum, double square, int64_t rank);

// magnitude (SLT_INSPECT_SHARES + 1) = below which shares 0, 1/SHARES, ..., 1 of |x| (n) lie: the
// element at that share of the sorted ones, rounded down. *below = the share of |x| <= cutoff.
int slt_magnitudes_measure(double *magnitude, double *below, const float *x, int64_t n,
                           double cutoff, struct slt_error *err) SLT_CHECK_RESULT;

#endif
