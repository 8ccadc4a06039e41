// Where memory goes: the regions that models and trainers allocate from, known before anything is
// allocated.
#ifndef SLT_PLAN_H
#define SLT_PLAN_H

#include <stdint.h>

#include "slt/error.h"

enum slt_region {
    SLT_REGION_WEIGHTS,
    SLT_REGION_GRADIENTS,
    SLT_REGION_MOMENTS,
    SLT_REGION_INDEX,       // positions of sparse parts
    SLT_REGION_ACTIVATIONS, // kept between forward and backward, and the batch itself
    SLT_REGION_WORKSPACE,   // scratch that every operation may use anew
    SLT_REGION_EXCHANGE,    // what comes in from other ranks
    SLT_REGIONS
};

struct slt_plan {
    uint64_t bytes[SLT_REGIONS];
    uint64_t parameters;
    int64_t micro_batch; // of a run: sequences at once, for which the bytes are
    int64_t ranks,
        groups;    // that share the batch; of sequences, whose gradients are added in a tree
    uint64_t sent; // bytes that all ranks together send each other for an update
};

// "weights", "gradients", ...
SLT_API const char *slt_region_name(enum slt_region region);
SLT_API uint64_t slt_plan_total(const struct slt_plan *plan);

#endif
