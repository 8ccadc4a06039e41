// The stage of the gradient sink that adds up what belongs to other sequences of the batch: groups
// of this rank, and ranks.
//
// A step's batch is cut into groups of consecutive sequences, each rank having as many. The gradient
// of a group accumulates micro-batch by micro-batch; groups are added in a fixed tree (ranks/sum.h),
// so that their number, and not that of the ranks, decides how sums are rounded: always for a power
// of two of groups on each rank, and for any number on one.
#ifndef SLT_TRAIN_REDUCE_H
#define SLT_TRAIN_REDUCE_H

#include "device/memory.h"
#include "ranks/sum.h"

struct slt_reduction {
    const struct slt_memory *memory;
    struct slt_ranks *ranks; // NULL: one
    bool on_device;          // several exchange by the device's operations
    struct slt_sums *sums;   // or by these; NULL with one
    int64_t groups;          // of this rank; on a device 1
    // Of the gradients region: the bytes of the gradients, after which those of partial sums follow,
    // one copy for each level of the tree.
    uint64_t stride;
    uint64_t incoming; // of the exchange region: where what comes in lies
    float *data; // what has been complete since the last sum began, without gaps
    int64_t elements;
    struct slt_error failure; // code 0 if none
};

// Lays out the partial sums behind the gradients, which are all there, and what comes in.
void slt_reduction_layout(struct slt_reduction *reduction, int64_t groups, int64_t ranks,
                          struct slt_memory *memory);
// From here on there are these ranks; train/join.h joins their devices.
int slt_reduction_join(struct slt_reduction *reduction, struct slt_ranks *ranks,
                       struct slt_error *err) SLT_CHECK_RESULT;
void slt_reduction_free(struct slt_reduction *reduction);

// A gradient is complete but for other groups: g is that of group number group of this rank. After
// the last group the sum over ranks begins: all of it for all of them, or with cut (ranks + 1) for
// each its part.
void slt_reduction_add(struct slt_reduction *reduction, struct slt_tensor g, int64_t group,
                       const int64_t *cut);
// Begins to give every rank the parts of a tensor that the others have.
void slt_reduction_give(struct slt_reduction *reduction, struct slt_tensor t, const int64_t *cut);
// Waits for all that has begun.
void slt_reduction_finish(struct slt_reduction *reduction);

#endif
