// Looking inside the linears of a model: spectra, what a low-rank part leaves, where S lies.
#ifndef SLT_INSPECT_H
#define SLT_INSPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "slt/checkpoint.h"
#include "slt/error.h"

struct slt_spectrum {
    int64_t count;    // of the values here: min(out, in), or fewer by the range finder
    double *value;    // singular values, descending
    double error;     // the range finder's: each value is at most that much below its own; else 0
    double frobenius; // of the matrix: square root of the sum of all squares
    double energy_at_rank; // share of the squares of all values that the first rank have
    double effective_rank; // exp of the entropy of the values over their sum (Roy, Vetterli 2007);
                           // NAN where some are missing
    double stable_rank;    // sum of squares over the largest square
    // The least number of values with 90 and 99 per cent of the energy, 0: unknown.
    int64_t rank_90, rank_99;
};

#define SLT_INSPECT_SHARES 1000

// The residual R = W - (best approximation of W of the rank asked for).
struct slt_residual {
    double share;                             // |R|_F^2 / |W|_F^2
    double below;                             // share of the elements with |R_ij| <= cutoff
    double magnitude[SLT_INSPECT_SHARES + 1]; // below which i / SHARES of the |R_ij| lie
};

// One linear. What its method does not have is absent: a spectrum of count 0, a NULL.
struct slt_inspection {
    const char *name;
    int64_t out, in, nnz;
    int64_t rank;                 // that was asked for, at most min(out, in)
    struct slt_spectrum w, ba, s; // of W = scale B A + S (or W alone), of scale B A, and of S
    // (w.count) u_i^T (scale B A) v_i and u_i^T S v_i with W's vectors: what each part gives to the
    // singular value i, their sum (SLTrain, section 5).
    double *w_ba, *w_s;
    // Shares of |S|_F^2 in the leading rank-dimensional singular subspaces of W: in the left one
    // |U^T S|^2, in the right one |S V^T|^2, in both |U^T S V|^2.
    double s_left, s_right, s_both;
    struct slt_residual residual;
    const float *weight, *rest; // (out, in): W and R
};

struct slt_inspect_options {
    const char *linears; // shell pattern of their names, NULL: all
    int64_t rank;        // 0: the linear's own, or the model's, or a quarter of the hidden size
    double cutoff;       // of |R_ij|
    bool randomized;     // leading values only, by a range finder, for large matrices
    uint64_t seed;       // of the range finder
    slt_stop_flag *stop;
};

// Calls on_linear for every linear that the pattern matches, in the order of the file; what it is
// given is valid during the call. Returns its first error, SLT_ERR_NUMERIC if a weight is not
// finite, SLT_ERR_RANGE if the pattern matches none.
SLT_API int slt_inspect(struct slt_checkpoint_reader *reader,
                        const struct slt_inspect_options *options,
                        int (*on_linear)(void *user, const struct slt_inspection *inspection,
                                         struct slt_error *err),
                        void *user, struct slt_error *err) SLT_CHECK_RESULT;

#endif
