// The CUDA backend on a CPU (tests/cuda-emulation), and the order in which its threads run.
#ifndef SLT_TESTS_EMULATED_H
#define SLT_TESTS_EMULATED_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "device/memory.h"
#include "kernels/ops.h"
#include "slt/device.h"

// Its table, from the build folder that BUILD names, or from the library that SLT_TEST_CUDA names:
// the real one, for tests on a GPU. A failed check and NULL if it is not there.
static inline const struct slt_ops *emulated_ops(void)
{
    typedef const struct slt_ops *table_fn(void);
    static const struct slt_ops *ops;
    const char *build = getenv("BUILD"), *real = getenv("SLT_TEST_CUDA");
    char path[4096];
    if (ops != NULL)
        return ops;
    snprintf(path, sizeof path, "%s/emulation/libslt-cuda.so", build != NULL ? build : "build");
    if (real != NULL)
        snprintf(path, sizeof path, "%s", real);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = library != NULL ? dlsym(library, "slt_cuda_ops") : NULL;
    table_fn *table = NULL;
    memcpy(&table, &symbol, sizeof table);
    CHECK(table != NULL, "%s: %s", path, library == NULL ? dlerror() : "no table");
    ops = table != NULL ? table() : NULL;
    CHECK(ops == NULL || ops->version == SLT_OPS_VERSION, "%s has version %u of the operations",
          path, ops->version);
    return ops != NULL && ops->version == SLT_OPS_VERSION ? ops : NULL;
}

// A device by name, "cuda-emulated" among them, of which there is one at a time.
static inline int emulated_device_open(struct slt_device **device, const char *name, int threads,
                                       struct slt_error *err)
{
    static struct slt_device emulated;
    const struct slt_ops_options options = {.threads = threads};
    if (strcmp(name, "cuda-emulated") != 0)
        return slt_device_open(device, name, threads, err);
    emulated = (struct slt_device){.ops = emulated_ops()};
    *device = &emulated;
    return emulated.ops == NULL ? slt_error_set(err, SLT_ERR_DEVICE, "no emulation")
                                : emulated.ops->open(&emulated.ctx, &options, err);
}

static inline void emulated_device_close(struct slt_device *device)
{
    if (device->ops == emulated_ops())
        device->ops->close(device->ctx);
    else
        slt_device_close(device);
}

// "forward", "reverse", "random".
static inline void emulated_order(const char *order)
{
    setenv("SLT_EMULATION_ORDER", order, 1);
}

#endif
