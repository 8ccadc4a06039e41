// Shapes of the linear groups of a layer.
#ifndef SLT_MODEL_PARAMS_H
#define SLT_MODEL_PARAMS_H

#include "slt/config.h"

#define SLT_GROUP_MEMBERS 3 // the most linears that share an input: q, k, v

// A group's linears share in and have out[0..members-1] outputs.
struct slt_group_shape {
    int members;
    int64_t in;
    int64_t out[SLT_GROUP_MEMBERS];
};

struct slt_group_shape slt_group_shape(const struct slt_config *config, int32_t group);

// Adds a linear's CRC to a model's, as slt_support_crc does.
uint32_t slt_support_crc_add(uint32_t crc, uint32_t linear_crc);

#endif
