// Plugins beside the library.
#define _GNU_SOURCE // dladdr
#include <dlfcn.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/plugin.h"

bool slt_plugin_path(char *path, size_t size, const char *name)
{
    static const char *const places[] = {"", "slt/"};
    Dl_info self;
    char folder[PATH_MAX] = "";
    if (dladdr((void *)(intptr_t)slt_plugin_path, &self) != 0 && self.dli_fname != NULL)
        snprintf(folder, sizeof folder, "%s", self.dli_fname);
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        slash[1] = '\0';
    for (size_t i = 0; slash != NULL && i < sizeof places / sizeof *places; i++) {
        const int n = snprintf(path, size, "%s%s%s", folder, places[i], name);
        if (n > 0 && (size_t)n < size && access(path, F_OK) == 0)
            return true;
    }
    path[0] = '\0';
    return false;
}
