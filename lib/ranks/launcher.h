// What the environment says about who started this process.
#ifndef SLT_RANKS_LAUNCHER_H
#define SLT_RANKS_LAUNCHER_H

#include <stdint.h>

#include "ranks/plugin.h"
#include "slt/error.h"

struct slt_launcher {
    const char *name; // "mpirun", "srun", or NULL: nobody announces other processes
    int size;         // processes that it says there are, 0: it does not say
    int rank;
    const char *mpi; // the implementation that it is of, or NULL: any
};

struct slt_launcher slt_launcher_find(void);
// Opens the plugin for an implementation ("openmpi", "mpich"), or for NULL the launcher's, or any.
// SLT_ERR_DEVICE with what is missing; SLT_ERR_RANGE for another name.
int slt_launcher_plugin(const struct slt_ranks_plugin **plugin, const struct slt_launcher *launcher,
                        const char *mpi, struct slt_error *err) SLT_CHECK_RESULT;

#endif
