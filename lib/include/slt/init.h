// New checkpoints: every tensor from the seed, streamed out one after the other.
//
// Embedding, head and full-rank linears: normal(0, initializer_range). Norms: 1. A and the values
// of S: uniform(+-1/sqrt(in)). B: zeros for sltrain and relora, uniform(+-1/sqrt(r)) for lowrank
// (zeros with lora_b_zero). Element i of a tensor is a function of (seed, tensor name, i) alone.
// A and B may start in other ways, which are functions of (seed, linear) up to LAPACK's rounding.
#ifndef SLT_INIT_H
#define SLT_INIT_H

#include "slt/checkpoint.h"
#include "slt/config.h"
#include "slt/stream.h"
#include "slt/tokenizer.h"

// A model to start from instead: a trained checkpoint of the same sizes, of any method. Embedding,
// norms and head are taken from it. Its linears, merged to dense weights W, become those of a full
// model and the frozen ones of a relora model, whose A and B are new (ReLoRA's warm start). For
// lowrank and sltrain, scale B A is the best approximation of W of that rank, and S has positions
// drawn from the seed or, with an explicit support, those of the largest magnitudes of what is
// left.
struct slt_init_from {
    struct slt_checkpoint_reader *reader; // owned by the caller
    enum slt_init_sparse {
        SLT_INIT_RESIDUAL, // values of S: what is left there,
        SLT_INIT_ZERO,
        SLT_INIT_RANDOM // or drawn as in a new model
    } sparse;
};

// How A and B of a new model start.
enum slt_init_factors {
    SLT_FACTORS_KAIMING, // as above
    // s B A is the best approximation of the linear's rank of the matrix W0 that a full-rank model
    // would have, A = sqrt(Sigma/s) V^T, B = U sqrt(Sigma/s); the W of a relora model is what is
    // left of W0.
    SLT_FACTORS_SVD,
    // Orthonormal rows of A and columns of B times c, with c such that s B A has the norm that it
    // is expected to have by SVD (weights/starts.h has the formula).
    SLT_FACTORS_ORTHOGONAL
};
#define SLT_INIT_FACTORS "kaiming|svd|orthogonal"

struct slt_init_start {
    enum slt_init_factors factors; // not looked at where there is a model to start from
    double sparse_scale;           // of the drawn values of S
};

// Writes a checkpoint of config, whose support_crc is computed here, to out, which the caller still
// owns and publishes. tokenizer may be NULL. provenance: JSON lines or NULL. from may be NULL; its
// provenance goes before the given one. start may be NULL: kaiming, and a scale of 1. threads: 0
// for all; the result does not depend on it.
SLT_API int slt_init_write(struct slt_output *out, const struct slt_config *config,
                           const struct slt_tokenizer *tokenizer, const struct slt_init_from *from,
                           const struct slt_init_start *start, const char *provenance, int threads,
                           slt_stop_flag *stop, struct slt_error *err) SLT_CHECK_RESULT;

#endif
