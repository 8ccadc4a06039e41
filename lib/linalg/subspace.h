// The leading singular subspace of a matrix on a device: what GaLore projects gradients onto.
#ifndef SLT_LINALG_SUBSPACE_H
#define SLT_LINALG_SUBSPACE_H

#include "kernels/ops.h"
#include "slt/random.h"

// A range finder keeps this many vectors more than it is asked for.
#define SLT_SUBSPACE_MARGIN 8

struct slt_subspace {
    const struct slt_ops *ops;
    struct slt_ctx *ctx;
    struct slt_tensor scratch[2]; // F32, each at least slt_subspace_scratch elements
    struct slt_random_key key; // of the random sketch
};

// Elements that each scratch needs for the leading r singular vectors of a (m, n) matrix.
int64_t slt_subspace_scratch(int64_t m, int64_t n, int64_t r);

// p's rows = the leading singular vectors of g (m, n), F32: the right ones, p (r, n), if right,
// else the left ones, p (r, m). r <= min(m, n). p is F32, or BF16: then it is the rounding of what
// is worked out. By a full SVD on the host:
int slt_subspace_exact(const struct slt_subspace *s, struct slt_tensor p, struct slt_tensor g,
                       bool right, struct slt_error *err) SLT_CHECK_RESULT;
// By a randomized range finder with one power step (Halko, Martinsson, Tropp 2011, algorithm 4.4
// with q = 1): products on the device, orthonormalization of r + SLT_SUBSPACE_MARGIN vectors on the
// host.
int slt_subspace_randomized(const struct slt_subspace *s, struct slt_tensor p, struct slt_tensor g,
                            bool right, struct slt_error *err) SLT_CHECK_RESULT;

#endif
