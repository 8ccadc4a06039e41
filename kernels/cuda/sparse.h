// What the two implementations of the sparse products share: any positions (sparse.cu) and bands of
// rows on tensor cores (blocks.cu).
#ifndef SLT_KERNELS_CUDA_SPARSE_H
#define SLT_KERNELS_CUDA_SPARSE_H

#include "kernels/cuda/cuda.h"

// A matrix on the device.
struct cuda_sparse {
    const int64_t *start; // (rows + 1)
    const uint16_t *narrow;
    const int32_t *wide; // one of the two
    int64_t rows, cols;
};

static inline struct cuda_sparse cuda_sparse_of(struct slt_csr s)
{
    const bool is_narrow = s.column.dtype == SLT_U16;
    struct cuda_sparse d = {cuda_pointer<int64_t>(s.row_start),
                            is_narrow ? cuda_pointer<uint16_t>(s.column) : NULL,
                            is_narrow ? NULL : cuda_pointer<int32_t>(s.column), s.rows, s.cols};
    return d;
}

static __device__ __forceinline__ int64_t cuda_column(const struct cuda_sparse &s, int64_t n)
{
    return s.narrow != NULL ? (int64_t)s.narrow[n] : (int64_t)s.wide[n];
}

// Whether tensor cores can do it.
bool cuda_has_bands(struct slt_csr s, struct slt_act x);
uint64_t cuda_blocks_work_bytes(const struct slt_op_shape *shape);
void cuda_blocks_forward(struct slt_ctx *ctx, struct slt_act y, struct slt_act x, struct slt_csr s,
                         struct slt_tensor values);
void cuda_blocks_backward(struct slt_ctx *ctx, struct slt_act dx, struct slt_tensor dvalues,
                          double beta, struct slt_act dy, struct slt_act x, struct slt_csr s,
                          struct slt_tensor values);

#endif
