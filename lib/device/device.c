// Opening a device by name. The CUDA backend is a library of its own that exports one table.
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/plugin.h"
#include "device/library.h"
#include "device/memory.h"
#include "slt/device.h"

// What stands after a kind and its colon; "" after the kind alone, NULL in another name.
static const char *which_of(const char *name, const char *kind)
{
    const size_t n = strlen(kind);
    if (strncmp(name, kind, n) != 0 || (name[n] != '\0' && name[n] != ':') ||
        strcmp(name + n, ":") == 0)
        return NULL;
    return name[n] == ':' ? name + n + 1 : "";
}

static const struct slt_ops *cpu_backend(const char *name)
{
    const char *isa = which_of(name, "cpu");
    if (isa != NULL)
        return slt_cpu_ops(isa[0] != '\0' ? isa : NULL);
    return strcmp(name, "cpu-reference") == 0 ? &slt_cpu_reference_ops : NULL;
}

// ---- The CUDA backend ----

typedef const struct slt_ops *table_fn(void);

// The library is never closed: its table lives as long as the process.
static int cuda_backend(const struct slt_ops **ops, struct slt_library *library,
                        struct slt_error *err)
{
    char path[PATH_MAX + 32];
    *library = (struct slt_library){.reason = "libslt-cuda.so is not there"};
    if (slt_plugin_path(path, sizeof path, "libslt-cuda.so"))
        slt_library_open(library, path);
    void *symbol = library->handle != NULL ? dlsym(library->handle, "slt_cuda_ops") : NULL;
    if (symbol == NULL)
        return slt_error_set(err, SLT_ERR_DEVICE, "cannot use device 'cuda': %s", library->reason);
    table_fn *table;
    memcpy(&table, &symbol, sizeof table);
    *ops = table();
    if ((*ops)->version != SLT_OPS_VERSION)
        return slt_error_set(
            err, SLT_ERR_DEVICE,
            "cannot use device 'cuda': '%s' has version %u of the operations, this "
            "program needs %u",
            path, (*ops)->version, SLT_OPS_VERSION);
    return 0;
}

// Whether a driver is installed: far cheaper to ask than to load the backend and cuBLAS for
// nothing.
static bool has_driver(void)
{
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (driver != NULL)
        dlclose(driver);
    return driver != NULL;
}

// ---- Devices ----

static int open_with(struct slt_device **device, const struct slt_ops *ops,
                     const struct slt_ops_options *options, struct slt_error *err)
{
    struct slt_device *d = calloc(1, sizeof *d);
    if (d == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a device");
    d->ops = ops;
    d->threads = options->threads;
    int rc = ops->open(&d->ctx, options, err);
    if (rc != 0) {
        free(d);
        return rc;
    }
    ops->describe(d->ctx, d->text, sizeof d->text);
    if (ops->comm_place != NULL && !options->to_plan)
        ops->comm_place(d->ctx, d->place, sizeof d->place);
    *device = d;
    return 0;
}

// The number of a GPU, plus one; 0 for none.
static bool read_number(int *chosen, const char *text)
{
    char *end = NULL;
    const long number = text[0] >= '0' && text[0] <= '9' ? strtol(text, &end, 10) : -1;
    *chosen = number >= 0 && number < INT_MAX ? (int)number + 1 : 0;
    return text[0] == '\0' || (*chosen > 0 && *end == '\0');
}

static int open_named(struct slt_device **device, const char *name,
                      const struct slt_ops_options *options, struct slt_error *err)
{
    const bool any = strcmp(name, "auto") == 0;
    const char *number = which_of(name, "cuda");
    const struct slt_ops *ops = NULL;
    struct slt_ops_options chosen = *options;
    if (number != NULL && !read_number(&chosen.chosen, number))
        return slt_error_set(err, SLT_ERR_RANGE,
                             "'%s' names no GPU: cuda, cuda:0, cuda:1 and so on do", name);
    if (any ? has_driver() : number != NULL) {
        struct slt_library library;
        int rc = cuda_backend(&ops, &library, err);
        if (rc == 0)
            rc = open_with(device, ops, &chosen, err);
        if (rc == 0 && library.found[0] != '\0')
            snprintf((*device)->text + strlen((*device)->text),
                     sizeof(*device)->text - strlen((*device)->text), ", %s", library.found);
        if (rc == 0 || !any)
            return rc;
    }
    ops = cpu_backend(any ? "cpu" : name);
    if (ops == NULL && which_of(name, "cpu") != NULL)
        return slt_error_set(err, SLT_ERR_DEVICE,
                             "this machine cannot do '%s' (known: cpu:avx512, cpu:avx2, cpu:plain)",
                             name);
    if (ops == NULL)
        return slt_error_set(
            err, SLT_ERR_RANGE,
            "unknown device '%s' (known: auto, cpu, cpu:ISA, cpu-reference, cuda, cuda:N)", name);
    return open_with(device, ops, options, err);
}

int slt_device_open(struct slt_device **device, const char *name, int threads,
                    struct slt_error *err)
{
    return slt_device_open_turn(device, name, threads, 0, err);
}

int slt_device_open_turn(struct slt_device **device, const char *name, int threads, int turn,
                         struct slt_error *err)
{
    const struct slt_ops_options options = {.threads = threads, .turn = turn};
    return open_named(device, name, &options, err);
}

int slt_device_open_to_plan(struct slt_device **device, const char *name, int threads,
                            uint64_t bytes, struct slt_error *err)
{
    const struct slt_ops_options options = {.threads = threads, .to_plan = true};
    int rc = open_named(device, name, &options, err);
    if (rc == 0)
        (*device)->planned = bytes > 0 ? bytes : UINT64_MAX;
    return rc;
}

static void ask_memory(const struct slt_device *d, uint64_t *available, uint64_t *all)
{
    *available = *all = UINT64_MAX;
    if (d->ops->available != NULL && d->planned > 0)
        *available = *all = d->planned;
    else if (d->ops->available != NULL)
        d->ops->available(d->ctx, available, all);
}

uint64_t slt_device_available(const struct slt_device *device)
{
    uint64_t available, all;
    ask_memory(device, &available, &all);
    return available;
}

uint64_t slt_device_memory(const struct slt_device *device)
{
    uint64_t available, all;
    ask_memory(device, &available, &all);
    return all;
}

const char *slt_device_name(const struct slt_device *device)
{
    return device->ops->name;
}

const char *slt_device_describe(const struct slt_device *device)
{
    return device->text;
}

const char *slt_device_place(const struct slt_device *device)
{
    return device->place;
}

void slt_device_close(struct slt_device *device)
{
    if (device == NULL)
        return;
    device->ops->close(device->ctx);
    free(device);
}
