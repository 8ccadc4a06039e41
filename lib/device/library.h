// Opening a library whose own libraries may lie where the loader does not look.
#ifndef SLT_DEVICE_LIBRARY_H
#define SLT_DEVICE_LIBRARY_H

#include <stddef.h>

struct slt_library {
    void *handle;     // NULL: it could not be opened
    char reason[800]; // why not; empty if it was
    char found[400];  // which library was found in which place, empty if none was looked for
};

// Opens the library at path. One that it needs and the loader misses is looked for in the folders of
// CUDA's toolkit and of Python's packages of it: CUDA_HOME and CUDA_PATH, /usr/local/cuda*, /opt/cuda,
// the environment of VIRTUAL_ENV, CONDA_PREFIX and HOME, and the system's Python.
void slt_library_open(struct slt_library *library, const char *path);

#endif
