// What limits the shapes of operations on every device: the formulas, and the types of indices in
// tensors (ops.h).
#ifndef SLT_KERNELS_LIMITS_H
#define SLT_KERNELS_LIMITS_H

#include "kernels/ops.h"

// Whether a shape breaks none of them. Fields that are 0 are not known yet.
static inline bool slt_op_shape_is_possible(enum slt_op op, const struct slt_op_shape *shape)
{
    const struct slt_attention *a = &shape->attention;
    switch (op) {
    case SLT_OP_EMBEDDING: // tokens and targets are I32
    case SLT_OP_HEAD_LOSS:
        return shape->out <= INT32_MAX;
    case SLT_OP_ATTENTION: // features are rotated in pairs; each kv head has as many readers
        return a->head_dim % 2 == 0 && (a->kv_heads == 0 || a->heads % a->kv_heads == 0);
    case SLT_OP_SPARSE: // columns are I32
    case SLT_OP_BANDS:
        return shape->in <= INT32_MAX;
    default:
        return true;
    }
}

// Which operations take weights in I8 on the devices that do (ops.h).
static inline bool slt_op_takes_codes(enum slt_op op)
{
    return op == SLT_OP_EMBEDDING || op == SLT_OP_LINEAR;
}

#endif
