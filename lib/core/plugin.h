// Where the libraries lie that libslt opens at run time.
#ifndef SLT_CORE_PLUGIN_H
#define SLT_CORE_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>

// The path of a plugin, name being its file name: beside the file that this code is in, else in slt/
// below that. False, with path[0] = 0, if it is in neither place.
bool slt_plugin_path(char *path, size_t size, const char *name);

#endif
