// What several ranks share, as far as one process can see it: the tree of sums, and who owns what.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "slt/random.h"
#include "train/reduce.h"
#include "train/trainer.h"

#define MOST  13 // groups
#define COUNT 37 // elements

// x (groups, COUNT) by the definition: the largest power of two below n goes left.
static float tree(const float *x, int i, int n)
{
    int left = 1;
    if (n == 1)
        return x[i];
    while (2 * left < n)
        left *= 2;
    return tree(x, i, left) + tree(x + left * COUNT, i, n - left);
}

// Groups that come one after the other are added as the tree has it.
static void check_groups(const struct slt_device *device)
{
    struct slt_error err;
    float x[MOST * COUNT];
    slt_random_normal(x, slt_random_key("test", "groups", 1), 0, MOST * COUNT, 1);
    for (int groups = 1; groups <= MOST; groups++) {
        struct slt_memory memory;
        struct slt_reduction r = {0};
        struct slt_tensor g = {0};
        slt_memory_init(&memory, device);
        for (int pass = 0; pass < 2; pass++) {
            g = slt_memory_tensor(&memory, SLT_REGION_GRADIENTS, SLT_F32, 1, COUNT);
            slt_reduction_layout(&r, groups, 1, &memory);
            if (pass == 0)
                CHECK_OK(slt_memory_commit(&memory, &err), err);
        }
        float *data = memory.ops->address(g.buffer);
        for (int k = 0; k < groups; k++) {
            memcpy(data, x + k * COUNT, COUNT * sizeof *data);
            slt_reduction_add(&r, g, k, NULL);
        }
        for (int i = 0; i < COUNT; i++)
            CHECK(data[i] == tree(x, i, groups), "%d groups: element %d is %.9g and not %.9g",
                  groups, i, (double)data[i], (double)tree(x, i, groups));
        slt_memory_free(&memory);
    }
    // The same tree of doubles: of 2^k groups the sums of halves are halves of the sum.
    double values[8];
    for (int i = 0; i < 8; i++)
        values[i] = pow(-1.7, i) / 3;
    const double halves[] = {slt_sum_tree(values, 4), slt_sum_tree(values + 4, 4)};
    CHECK(slt_sum_tree(values, 8) == slt_sum_tree(halves, 2), "a tree of 8 is two of 4");
}

// Parts of the optimizer's state cover it, and no rank has a tenth more than its share.
static void check_balance(struct slt_device *device, const char *preset, enum slt_method method,
                          enum slt_optimizer_id optimizer, int ranks)
{
    struct slt_error err;
    struct slt_config config;
    struct slt_train_options o;
    struct slt_plan plan;
    uint64_t sum = 0, most = 0;
    CHECK_OK(slt_config_preset(&config, preset, &err), err);
    config.method = method;
    config.rank = config.hidden_size / 4;
    config.alpha = 16;
    config.density = method == SLT_SLTRAIN ? 0.03 : 0;
    config.support.kind = method == SLT_SLTRAIN ? SLT_SUPPORT_RANDOM : SLT_SUPPORT_NONE;
    slt_train_defaults(&o);
    o.steps = 1;
    o.batch = 64;
    o.optimizer.kind = optimizer;
    CHECK_OK(slt_train_resolve(&o, &err), err);
    CHECK_OK(slt_train_plan(&plan, device, &config, &o, &err), err);
    const uint64_t whole = plan.bytes[SLT_REGION_MOMENTS];
    o.ranks = ranks;
    o.shard_state = true;
    for (o.rank = 0; o.rank < ranks; o.rank++) {
        CHECK_OK(slt_train_plan(&plan, device, &config, &o, &err), err);
        sum += plan.bytes[SLT_REGION_MOMENTS];
        most = plan.bytes[SLT_REGION_MOMENTS] > most ? plan.bytes[SLT_REGION_MOMENTS] : most;
    }
    const double each = (double)whole / ranks;
    // What is cut begins at multiples of SLT_MEMORY_ALIGN bytes.
    CHECK(fabs((double)sum - (double)whole) < 1e-2 * (double)whole,
          "%s: %llu bytes in all, not %llu", preset, (unsigned long long)sum,
          (unsigned long long)whole);
    CHECK((double)most < 1.1 * each, "%s, optimizer %s on %d ranks: %llu bytes, %.2f of a share",
          preset, slt_optimizer_name(optimizer), ranks, (unsigned long long)most,
          (double)most / each);
}

int main(void)
{
    static const enum slt_optimizer_id optimizers[] = {SLT_OPTIMIZER_ADAMW, SLT_OPTIMIZER_ADAM8BIT,
                                                       SLT_OPTIMIZER_SPECTRAL};
    struct slt_error err;
    struct slt_device *device;
    CHECK_OK(slt_device_open(&device, "cpu", 1, &err), err);
    check_groups(device);
    for (size_t i = 0; i < sizeof optimizers / sizeof *optimizers; i++)
        for (int ranks = 2; ranks <= 8; ranks *= 2) {
            check_balance(device, "nano", SLT_SLTRAIN, optimizers[i], ranks);
            check_balance(device, "60m", SLT_SLTRAIN, optimizers[i], ranks);
        }
    check_balance(device, "60m", SLT_FULL, SLT_OPTIMIZER_MUON, 8);
    slt_device_close(device);
    return TEST_END();
}
