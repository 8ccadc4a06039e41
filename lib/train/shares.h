// What ranks that share the optimizer's state (--shard-state) do around its step: each has the sums of
// the gradients that it owns (ranks/sum.h), and gives the others the parameters that it has stepped.
// The norm is that of all gradients: owners add squares block by block, all add the blocks' sums in
// one order.
#ifndef SLT_TRAIN_SHARES_H
#define SLT_TRAIN_SHARES_H

#include "optim/optimizer.h"
#include "train/reduce.h"

struct slt_shares {
    struct slt_optimizer *optimizer; // NULL: nothing is shared
    struct slt_reduction *reduction;
    struct slt_tensor squares; // F64 (1, blocks of all parameters)
    int64_t *cut;              // (ranks + 1)
};

int slt_shares_init(struct slt_shares *shares, struct slt_optimizer *optimizer,
                    struct slt_reduction *reduction, struct slt_error *err) SLT_CHECK_RESULT;
void slt_shares_free(struct slt_shares *shares);
// Lays out the squares, after the optimizer.
void slt_shares_layout(struct slt_shares *shares);
// Bytes that all ranks together send in a step, besides those of the gradients' sums.
uint64_t slt_shares_traffic(const struct slt_shares *shares);

// Begins the sum of the gradients of a part that is complete: those of group number group.
void slt_shares_reduce(struct slt_shares *shares, int part, int64_t group);
// What ops.h says grad_norm sets, of parts [first, first + count).
void slt_shares_norm(struct slt_shares *shares, int first, int count);
// Parts [first, first + count) have been stepped in update number update: their parameters, and
// projectors that were due, become those of their owners. Nothing happens where nothing is shared.
void slt_shares_give(struct slt_shares *shares, int first, int count, int64_t update);

#endif
