// Devices of several ranks, joined for exchanges without a way through the host's memory.
#ifndef SLT_TRAIN_JOIN_H
#define SLT_TRAIN_JOIN_H

#include "device/memory.h"
#include "slt/ranks.h"

// Joins the devices of all ranks, until they are closed; all ranks call it, with the same backend.
// Nothing happens where there is one rank, or devices are in the host's memory. SLT_ERR_DEVICE if two
// ranks have the same device, or the library for exchanges (NCCL) is missing or fails.
int slt_devices_join(const struct slt_device *device, struct slt_ranks *ranks,
                     struct slt_error *err) SLT_CHECK_RESULT;

#endif
