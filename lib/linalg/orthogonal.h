// The orthogonal factor of a matrix, by Newton-Schulz iterations on the device.
#ifndef SLT_LINALG_ORTHOGONAL_H
#define SLT_LINALG_ORTHOGONAL_H

#include "kernels/ops.h"

struct slt_orthogonal {
    const struct slt_ops *ops;
    struct slt_ctx *ctx;
    struct slt_tensor turn;    // elements of the largest x
    struct slt_tensor gram[2]; // each min(m, n)^2 elements of the largest x
};

// About U V^T of x (m, n) = U Sigma V^T: five steps x = a x + b (x x^T) x + c (x x^T)^2 x of x / |x|
// (from the left or the right, whichever is smaller) with (a, b, c) = (3.4445, -4.7750, 2.0315),
// after which the singular values lie between 0.68 and 1.13 (Jordan et al. 2024, "Muon"). Values far
// below |x| stay smaller. x is used up; the result lies in turn, in the shape of x. F32.
struct slt_tensor slt_orthogonalize(const struct slt_orthogonal *o, struct slt_tensor x);

#endif
