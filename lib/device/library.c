// Opening a library, and looking for one that it needs.
#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/library.h"

// Folders as patterns, below an environment variable's value if one is named.
static const struct {
    const char *variable, *folder;
} places[] = {
    {"CUDA_HOME", "/lib64"},
    {"CUDA_HOME", "/lib"},
    {"CUDA_PATH", "/lib64"},
    {"VIRTUAL_ENV", "/lib/python3*/site-packages/nvidia/*/lib"},
    {"CONDA_PREFIX", "/lib"},
    {"CONDA_PREFIX", "/lib/python3*/site-packages/nvidia/*/lib"},
    {NULL, "/usr/local/cuda/lib64"},
    {NULL, "/usr/local/cuda-*/lib64"},
    {NULL, "/opt/cuda/lib64"},
    {"HOME", "/.local/lib/python3*/site-packages/nvidia/*/lib"},
    {NULL, "/usr/local/lib/python3*/dist-packages/nvidia/*/lib"},
    {NULL, "/usr/local/lib/python3*/site-packages/nvidia/*/lib"},
    {NULL, "/usr/lib/python3*/dist-packages/nvidia/*/lib"},
    {NULL, "/opt/*/lib/python3*/site-packages/nvidia/*/lib"},
};

// The name in "NAME: cannot open shared object file: ..."; false where it is another error.
static bool missing_library(char *name, size_t size, const char *error)
{
    const char *end = strstr(error, ": cannot open shared object file");
    if (end == NULL || (size_t)(end - error) >= size || memchr(error, '/', (size_t)(end - error)))
        return false;
    memcpy(name, error, (size_t)(end - error));
    name[end - error] = '\0';
    return true;
}

// Opens the first of the files that a pattern stands for and the loader takes.
static bool open_first(struct slt_library *l, const char *pattern)
{
    glob_t files;
    bool opened = false;
    if (glob(pattern, 0, NULL, &files) != 0)
        return false;
    for (size_t i = 0; !opened && i < files.gl_pathc; i++) {
        // It stays open for as long as the process lives, as what needs it does.
        opened = dlopen(files.gl_pathv[i], RTLD_NOW | RTLD_GLOBAL) != NULL;
        if (opened)
            snprintf(l->found, sizeof l->found, "%s", files.gl_pathv[i]);
    }
    globfree(&files);
    return opened;
}

static bool open_missing(struct slt_library *l, const char *name)
{
    char pattern[PATH_MAX];
    size_t said = (size_t)snprintf(l->reason, sizeof l->reason,
                                   "%s is neither where the loader looks nor in", name);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *variable = places[i].variable;
        const char *base = variable != NULL ? getenv(variable) : "";
        if (said < sizeof l->reason)
            said += (size_t)snprintf(l->reason + said, sizeof l->reason - said, "%s %s%s%s",
                                     i > 0 ? "," : "", variable != NULL ? "$" : "",
                                     variable != NULL ? variable : "", places[i].folder);
        if (base == NULL || (variable != NULL && base[0] != '/'))
            continue;
        snprintf(pattern, sizeof pattern, "%s%s/%s", base, places[i].folder, name);
        if (open_first(l, pattern))
            return true;
    }
    return false;
}

void slt_library_open(struct slt_library *l, const char *path)
{
    char missing[256];
    l->found[0] = l->reason[0] = '\0';
    l->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (l->handle != NULL)
        return;
    const char *error = dlerror();
    snprintf(l->reason, sizeof l->reason, "%s", error != NULL ? error : "it cannot be loaded");
    if (!missing_library(missing, sizeof missing, l->reason) || !open_missing(l, missing))
        return;
    l->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    error = l->handle == NULL ? dlerror() : NULL;
    snprintf(l->reason, sizeof l->reason, "%s", error != NULL ? error : "");
}
