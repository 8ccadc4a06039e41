// What the benchmarks share: time, medians, and oneDNN's own GEMM rate as the yardstick of a run.
#ifndef SLT_BENCH_H
#define SLT_BENCH_H

#include "kernels/ops.h"

// The CPU's operations of an instruction set, or with NULL of the best one, and oneDNN held to the
// same. Ends the program if this machine lacks it. To be called before anything is multiplied.
const struct slt_ops *bench_ops(const char *isa);
// The value below which a share q of the n values lies; sorts them.
double bench_quantile(double *values, int n, double q);
// GFLOP/s of one 2048-cubed sgemm of oneDNN, the best of three calls.
double bench_sgemm_rate(void);
// Sets the number of threads of everything that follows.
void bench_threads(int threads);

#endif
