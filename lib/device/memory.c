// Named regions of device memory, planned and handed out by the same calls.
#include <assert.h>
#include <string.h>

#include "device/memory.h"

static const char *const region_names[SLT_REGIONS] = {
    "weights", "gradients", "moments", "index", "activations", "workspace", "exchange",
};

const char *slt_region_name(enum slt_region region)
{
    return region_names[region];
}

uint64_t slt_plan_total(const struct slt_plan *plan)
{
    uint64_t sum = 0;
    for (int i = 0; i < SLT_REGIONS; i++)
        sum += plan->bytes[i];
    return sum;
}

void slt_memory_init(struct slt_memory *memory, const struct slt_device *device)
{
    *memory = (struct slt_memory){.ops = device->ops, .ctx = device->ctx};
}

int slt_memory_commit(struct slt_memory *memory, struct slt_error *err)
{
    for (int i = 0; i < SLT_REGIONS; i++) {
        memory->capacity[i] = memory->used[i];
        memory->used[i] = 0;
        if (memory->capacity[i] == 0)
            continue;
        int rc = memory->ops->buffer_create(memory->ctx, &memory->buffer[i], region_names[i],
                                            memory->capacity[i], err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

void slt_memory_free(struct slt_memory *memory)
{
    for (int i = 0; i < SLT_REGIONS; i++) {
        if (memory->buffer[i] != NULL)
            memory->ops->buffer_free(memory->ctx, memory->buffer[i]);
        memory->buffer[i] = NULL;
    }
}

uint64_t slt_memory_take(struct slt_memory *memory, enum slt_region region, uint64_t bytes)
{
    const uint64_t offset = memory->used[region];
    memory->used[region] += slt_memory_rounded(bytes);
    assert(memory->buffer[region] == NULL || memory->used[region] <= memory->capacity[region]);
    return offset;
}

struct slt_tensor slt_memory_tensor(struct slt_memory *memory, enum slt_region region,
                                    enum slt_dtype dtype, int64_t rows, int64_t cols)
{
    const uint64_t bytes = (uint64_t)rows * (uint64_t)cols * slt_dtype_size(dtype);
    const uint64_t offset = slt_memory_take(memory, region, bytes);
    return slt_tensor_view(memory->buffer[region], offset, dtype, rows, cols);
}

struct slt_act slt_memory_act(struct slt_memory *memory, enum slt_region region,
                              enum slt_dtype dtype, int64_t tokens, int64_t features)
{
    const uint64_t bytes = memory->ops->act_bytes(memory->ctx, dtype, tokens, features);
    const uint64_t offset = slt_memory_take(memory, region, bytes);
    return slt_act_view(memory->buffer[region], offset, dtype, tokens, features);
}
