// Where gradients go. Backward code knows no training mode: it borrows the place where a part's
// gradient is to be accumulated and tells when a group of parts is complete.
#ifndef SLT_MODEL_SINK_H
#define SLT_MODEL_SINK_H

#include "kernels/ops.h"

// The subspace that the gradient G (m, n) of one member of a full-rank group is wanted in: G P^T
// (m, r) where P is on the right, (r, n), else P G (r, n) with P (r, m).
struct slt_projection {
    struct slt_tensor p;
    bool right;
    struct slt_tensor low; // where it accumulates
};

// The gradient is written as beta * grad + new; a frozen part has no grad (no buffer), and its
// gradient is not worked out. With projections, one for each member of the group,
// it is formed in their subspaces only, and written there by the same rule.
struct slt_loan {
    struct slt_tensor grad;
    double beta;
    const struct slt_projection *projection;
};

struct slt_sink {
    // The place for the gradient of a part (index into the model's parts), in the part's shape. A
    // part that contributes twice in a backward pass (tied embeddings) is lent twice.
    struct slt_loan (*lend)(struct slt_sink *sink, int part);
    // Parts [first, first + count) are complete: their gradients, and every use of their values in
    // this backward pass, are behind us.
    void (*commit)(struct slt_sink *sink, int first, int count);
};

#endif
