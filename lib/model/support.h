// What drawing supports shares with laying out a model.
#ifndef SLT_MODEL_SUPPORT_H
#define SLT_MODEL_SUPPORT_H

#include "slt/support.h"

// Adds a linear's CRC to a model's, as slt_support_crc does.
uint32_t slt_support_crc_add(uint32_t crc, uint32_t linear_crc);

#endif
