// Reference: dense and sparse linear maps, products of matrices.
#include "kernels/cpu/ref.h"

// Element i of the weights of a forward pass.
static double weight_at(struct slt_tensor w, int64_t i)
{
    return w.dtype == SLT_I8 ? (double)cpu_coded_value(w, i) : (double)ref_tensor(w)[i];
}

void REF(ref_linear_forward)(struct slt_ctx *ctx, struct slt_act y, double beta, struct slt_act x,
                             struct slt_tensor w, double alpha)
{
    assert(y.features == w.rows && x.features == w.cols);
    for (int64_t t = 0; t < x.tokens; t++)
        for (int64_t o = 0; o < w.rows; o++) {
            double sum = 0;
            for (int64_t i = 0; i < w.cols; i++)
                sum += (double)*ref_at(x, t, i) * weight_at(w, o * w.ld + i);
            ref_blend(ref_at(y, t, o), beta, alpha * sum);
        }
}

void REF(ref_linear_backward_input)(struct slt_ctx *ctx, struct slt_act dx, double beta,
                                    struct slt_act dy, struct slt_tensor w, double alpha)
{
    assert(dy.features == w.rows && dx.features == w.cols);
    for (int64_t t = 0; t < dy.tokens; t++)
        for (int64_t i = 0; i < w.cols; i++) {
            double sum = 0;
            for (int64_t o = 0; o < w.rows; o++)
                sum += (double)*ref_at(dy, t, o) * (double)ref_tensor(w)[o * w.ld + i];
            ref_blend(ref_at(dx, t, i), beta, alpha * sum);
        }
}

void REF(ref_linear_backward_weight)(struct slt_ctx *ctx, struct slt_tensor dw, double beta,
                                     struct slt_act dy, struct slt_act x, double alpha)
{
    assert(dy.features == dw.rows && x.features == dw.cols);
    for (int64_t o = 0; o < dw.rows; o++)
        for (int64_t i = 0; i < dw.cols; i++) {
            double sum = 0;
            for (int64_t t = 0; t < x.tokens; t++)
                sum += (double)*ref_at(dy, t, o) * (double)*ref_at(x, t, i);
            ref_blend(&ref_tensor(dw)[o * dw.ld + i], beta, alpha * sum);
        }
}

void REF(ref_matmul)(struct slt_ctx *ctx, struct slt_tensor c, double beta, struct slt_tensor a,
                     bool transpose_a, struct slt_tensor b, bool transpose_b, double alpha)
{
    const int64_t depth = transpose_a ? a.rows : a.cols;
    for (int64_t i = 0; i < c.rows; i++)
        for (int64_t j = 0; j < c.cols; j++) {
            double sum = 0;
            for (int64_t k = 0; k < depth; k++)
                sum += (double)ref_tensor(a)[transpose_a ? k * a.ld + i : i * a.ld + k] *
                       (double)ref_tensor(b)[transpose_b ? j * b.ld + k : k * b.ld + j];
            ref_blend(&ref_tensor(c)[i * c.ld + j], beta, alpha * sum);
        }
}

// ---- Sparse ----

static int64_t column_of(struct slt_csr s, int64_t n)
{
    if (s.column.dtype == SLT_U16)
        return ((const uint16_t *)cpu_pointer(s.column))[n];
    return cpu_tensor_i32(s.column)[n];
}

static const int64_t *starts_of(struct slt_csr s)
{
    assert(s.row_start.dtype == SLT_I64);
    return cpu_pointer(s.row_start);
}

void REF(ref_sparse_forward)(struct slt_ctx *ctx, struct slt_act y, struct slt_act x,
                             struct slt_csr s, struct slt_tensor values)
{
    const int64_t *start = starts_of(s);
    for (int64_t t = 0; t < x.tokens; t++)
        for (int64_t o = 0; o < s.rows; o++) {
            double sum = 0;
            for (int64_t n = start[o]; n < start[o + 1]; n++)
                sum += (double)ref_tensor(values)[n] * (double)*ref_at(x, t, column_of(s, n));
            ref_blend(ref_at(y, t, o), 1, sum);
        }
}

// dx (T, in) += dy S; sum (in) is scratch.
static void sparse_backward_input(struct slt_act dx, struct slt_act dy, struct slt_csr s,
                                  struct slt_tensor values, double *sum)
{
    const int64_t *start = starts_of(s);
    for (int64_t t = 0; t < dy.tokens; t++) {
        for (int64_t i = 0; i < s.cols; i++)
            sum[i] = 0;
        for (int64_t o = 0; o < s.rows; o++)
            for (int64_t n = start[o]; n < start[o + 1]; n++)
                sum[column_of(s, n)] += (double)*ref_at(dy, t, o) * (double)ref_tensor(values)[n];
        for (int64_t i = 0; i < s.cols; i++)
            ref_blend(ref_at(dx, t, i), 1, sum[i]);
    }
}

void REF(ref_sparse_backward)(struct slt_ctx *ctx, struct slt_act dx, struct slt_tensor dvalues,
                              double beta, struct slt_act dy, struct slt_act x, struct slt_csr s,
                              struct slt_tensor values)
{
    const int64_t *start = starts_of(s);
    if (dx.buffer != NULL)
        sparse_backward_input(dx, dy, s, values, ref_work(ctx, s.cols));
    for (int64_t o = 0; dvalues.buffer != NULL && o < s.rows; o++)
        for (int64_t n = start[o]; n < start[o + 1]; n++) {
            double sum = 0;
            for (int64_t t = 0; t < x.tokens; t++)
                sum += (double)*ref_at(dy, t, o) * (double)*ref_at(x, t, column_of(s, n));
            ref_blend(&ref_tensor(dvalues)[n], beta, sum);
        }
}

void REF(ref_sparse_scatter)(struct slt_ctx *ctx, struct slt_tensor w, struct slt_csr s,
                             struct slt_tensor values)
{
    const int64_t *start = starts_of(s);
    for (int64_t o = 0; o < s.rows; o++) {
        for (int64_t i = 0; i < s.cols; i++)
            ref_tensor(w)[o * w.ld + i] = 0;
        for (int64_t n = start[o]; n < start[o + 1]; n++)
            ref_tensor(w)[o * w.ld + column_of(s, n)] = ref_tensor(values)[n];
    }
}

void REF(ref_sparse_gather)(struct slt_ctx *ctx, struct slt_tensor dvalues, double beta,
                            struct slt_tensor g, struct slt_csr s)
{
    const int64_t *start = starts_of(s);
    for (int64_t o = 0; o < s.rows; o++)
        for (int64_t n = start[o]; n < start[o + 1]; n++)
            ref_blend(&ref_tensor(dvalues)[n], beta,
                      (double)ref_tensor(g)[o * g.ld + column_of(s, n)]);
}
