// Opening a device by name.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/memory.h"
#include "slt/device.h"

static const struct slt_ops *find_backend(const char *name)
{
    if (strcmp(name, "cpu") == 0)
        return slt_cpu_ops(NULL);
    return strcmp(name, "cpu-reference") == 0 ? &slt_cpu_reference_ops : NULL;
}

int slt_device_open(struct slt_device **device, const char *name, int threads,
                    struct slt_error *err)
{
    const struct slt_ops *ops = find_backend(strcmp(name, "auto") == 0 ? "cpu" : name);
    if (strcmp(name, "cuda") == 0)
        return slt_error_set(err, SLT_ERR_DEVICE,
                             "cannot use device 'cuda': this build has no CUDA backend");
    if (ops == NULL)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "unknown device '%s' (known: auto, cpu, cpu-reference, cuda)", name);
    struct slt_device *d = calloc(1, sizeof *d);
    if (d == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a device");
    d->ops = ops;
    const struct slt_ops_options options = {.threads = threads};
    int rc = ops->open(&d->ctx, &options, err);
    if (rc != 0) {
        free(d);
        return rc;
    }
    ops->describe(d->ctx, d->text, sizeof d->text);
    *device = d;
    return 0;
}

const char *slt_device_describe(const struct slt_device *device)
{
    return device->text;
}

void slt_device_close(struct slt_device *device)
{
    if (device == NULL)
        return;
    device->ops->close(device->ctx);
    free(device);
}
