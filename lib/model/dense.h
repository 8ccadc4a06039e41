// Linears outside of a model, on the host: read from a checkpoint one after the other, and merged
// to dense weights.
#ifndef SLT_MODEL_DENSE_H
#define SLT_MODEL_DENSE_H

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

// Moves to the next tensor, which must be this parameter's.
int slt_param_expect(struct slt_checkpoint_reader *reader, const struct slt_param_info *param,
                     struct slt_error *err);
// Reads the linear whose first parameter is param; *taken parameters belong to it.
int slt_dense_read(struct slt_dense_linear *linear, size_t *taken,
                   const struct slt_param_info *param, struct slt_checkpoint_reader *reader,
                   struct slt_error *err);
void slt_dense_free(struct slt_dense_linear *linear);

// w (out, in) = the parts that are asked for, zeros where there are none.
enum slt_dense_parts { SLT_DENSE_W = 1, SLT_DENSE_BA = 2, SLT_DENSE_S = 4, SLT_DENSE_ALL = 7 };
void slt_dense_merge(float *w, const struct slt_dense_linear *linear, int parts);

// Positions of an explicit support in a file: read from the tensor that the reader stands at, the
// caller frees *position (cols), NULL after an error; and written.
int slt_positions_load(int64_t **position, const struct slt_param_info *param,
                       struct slt_checkpoint_reader *reader, struct slt_error *err);
int slt_positions_store(struct slt_checkpoint_writer *writer, const int64_t *position,
                        const struct slt_param_info *param, struct slt_error *err);

#endif
