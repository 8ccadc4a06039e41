// What the benchmarks share: medians, oneDNN's own GEMM rate as the yardstick of a run, and made-up
// data and weights, whose values do not matter for speed as long as they are ordinary numbers.
#ifndef SLT_BENCH_H
#define SLT_BENCH_H

#include "kernels/ops.h"
#include "model/model.h"
#include "slt/tokens.h"

// The CPU's operations of an instruction set, or with NULL of the best one, and oneDNN held to the
// same. Ends the program if this machine lacks it. To be called before anything is multiplied.
const struct slt_ops *bench_ops(const char *isa);
// The value below which a share q of the n values lies; sorts them.
double bench_quantile(double *values, int n, double q);
// GFLOP/s of one 2048-cubed sgemm of oneDNN, the best of three calls.
double bench_sgemm_rate(void);
// Sets the number of threads of everything that follows.
void bench_threads(int threads);

// Says what went wrong and ends the program.
_Noreturn void bench_die(const struct slt_error *err);
// At least so many random tokens, as from a file; the caller closes them.
struct slt_tokens *bench_tokens(int64_t vocab, int64_t count);
// Gives every part of a model small values.
void bench_fill_weights(struct slt_model *model);

#endif
