// Named regions of device memory. One layout function runs twice over the same code: first to count
// (buffers are NULL, only offsets grow), then, after slt_memory_commit, to hand out views. So the
// plan and the allocation cannot disagree.
#ifndef SLT_DEVICE_MEMORY_H
#define SLT_DEVICE_MEMORY_H

#include "kernels/ops.h"
#include "slt/plan.h"

struct slt_device {
    const struct slt_ops *ops;
    struct slt_ctx *ctx;
    int threads; // of the host, 0: all
    uint64_t planned; // bytes of a device that there are only plans for; else 0
    char text[600];
    char place[64]; // which of all devices it is; empty: memory of the host, or only to plan for
};

struct slt_memory {
    const struct slt_ops *ops;
    struct slt_ctx *ctx;
    struct slt_buffer *buffer[SLT_REGIONS];
    uint64_t used[SLT_REGIONS];     // bytes handed out so far, rounded up to SLT_MEMORY_ALIGN
    uint64_t capacity[SLT_REGIONS]; // of the buffers, after commit
};

#define SLT_MEMORY_ALIGN 64

// Bytes as they are handed out.
static inline uint64_t slt_memory_rounded(uint64_t bytes)
{
    return (bytes + SLT_MEMORY_ALIGN - 1) / SLT_MEMORY_ALIGN * SLT_MEMORY_ALIGN;
}

void slt_memory_init(struct slt_memory *memory, const struct slt_device *device);
// Creates the buffers that the calls so far have counted and starts over at offset 0.
int slt_memory_commit(struct slt_memory *memory, struct slt_error *err) SLT_CHECK_RESULT;
void slt_memory_free(struct slt_memory *memory);

// The next bytes of a region; the views of the following functions.
uint64_t slt_memory_take(struct slt_memory *memory, enum slt_region region, uint64_t bytes);
struct slt_tensor slt_memory_tensor(struct slt_memory *memory, enum slt_region region,
                                    enum slt_dtype dtype, int64_t rows, int64_t cols);
struct slt_act slt_memory_act(struct slt_memory *memory, enum slt_region region,
                              enum slt_dtype dtype, int64_t tokens, int64_t features);

#endif
