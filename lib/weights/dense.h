// Linears outside of a model, on the host: read from a checkpoint one after the other, and merged
// to dense weights.
#ifndef SLT_WEIGHTS_DENSE_H
#define SLT_WEIGHTS_DENSE_H

#include "slt/checkpoint.h"

// W = w + scale B A + S of one linear; what its method does not have is NULL. Everything is owned.
struct slt_dense_linear {
    char name[100]; // without a tensor's suffix
    int32_t layer, group, member;
    int64_t out, in, rank, nnz;
    double scale; // alpha / r
    float *w;     // (out, in)
    float *a, *b; // (r, in), (out, r)
    float *values;
    int64_t *position; // (nnz): row * in + column, ascending
};

// Reads the linear whose first parameter is param; *taken parameters belong to it.
int slt_dense_read(struct slt_dense_linear *linear, size_t *taken,
                   const struct slt_param_info *param, struct slt_checkpoint_reader *reader,
                   struct slt_error *err) SLT_CHECK_RESULT;
void slt_dense_free(struct slt_dense_linear *linear);

// w (out, in) = the parts that are asked for, zeros where there are none.
enum slt_dense_parts { SLT_DENSE_W = 1, SLT_DENSE_BA = 2, SLT_DENSE_S = 4, SLT_DENSE_ALL = 7 };
void slt_dense_merge(float *w, const struct slt_dense_linear *linear, int parts);

#endif
