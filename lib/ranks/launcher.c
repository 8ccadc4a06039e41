// Launchers by their environment, and the plugin that belongs to each.
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/plugin.h"
#include "ranks/launcher.h"
#include "slt/ranks.h"

// In this order: within an allocation mpirun starts its helpers by srun, whose numbers are not those
// of the processes. SLURM_NTASKS is no sign, since a batch script has it too.
static const struct {
    const char *name, *size, *rank, *mpi;
} launchers[] = {
    {"mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "openmpi"},
    {"mpirun", "PMI_SIZE", "PMI_RANK", "mpich"},
    {"srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", NULL},
    {"a launcher with PMIx", NULL, "PMIX_RANK", NULL},
};

static const struct {
    const char *mpi, *file, *title, *package;
} plugins[] = {
    {"openmpi", "libslt-openmpi.so", "Open MPI", "openmpi-bin"},
    {"mpich", "libslt-mpich.so", "MPICH", "mpich"},
};

static int number_of(const char *variable)
{
    const char *text = variable != NULL ? getenv(variable) : NULL;
    char *end;
    const long number = text != NULL ? strtol(text, &end, 10) : -1;
    return text != NULL && end != text && *end == '\0' && number >= 0 && number <= INT_MAX
               ? (int)number
               : -1;
}

struct slt_launcher slt_launcher_find(void)
{
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
        const int size = number_of(launchers[i].size), rank = number_of(launchers[i].rank);
        if (rank < 0 || (launchers[i].size != NULL && size < 0))
            continue;
        return (struct slt_launcher){launchers[i].name, size > 0 ? size : 0, rank,
                                     launchers[i].mpi};
    }
    return (struct slt_launcher){0};
}

int slt_ranks_announced(void)
{
    return slt_launcher_find().rank;
}

// The plugin number i, or NULL with the reason.
static const struct slt_ranks_plugin *open_plugin(size_t i, char *reason, size_t size)
{
    char path[PATH_MAX + 32];
    if (!slt_plugin_path(path, sizeof path, plugins[i].file)) {
        snprintf(reason, size, "%s is not there", plugins[i].file);
        return NULL;
    }
    // Components of MPI look for its symbols everywhere.
    void *handle = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    void *symbol = handle != NULL ? dlsym(handle, "slt_ranks_plugin") : NULL;
    if (symbol == NULL) {
        const char *error = dlerror();
        snprintf(reason, size, "%s", error != NULL ? error : "it cannot be loaded");
        return NULL;
    }
    const struct slt_ranks_plugin *(*table)(void);
    memcpy(&table, &symbol, sizeof table);
    if (table()->version == SLT_RANKS_PLUGIN_VERSION)
        return table();
    snprintf(reason, size, "%s has version %u of the plugin, this program needs %u",
             plugins[i].file, table()->version, SLT_RANKS_PLUGIN_VERSION);
    return NULL;
}

int slt_launcher_plugin(const struct slt_ranks_plugin **plugin, const struct slt_launcher *launcher,
                        const char *mpi, struct slt_error *err)
{
    const size_t count = sizeof plugins / sizeof *plugins;
    const char *wanted = mpi != NULL ? mpi : launcher->mpi;
    char reason[400], reasons[1000] = "";
    bool known = wanted == NULL;
    *plugin = NULL;
    for (size_t i = 0; *plugin == NULL && i < count; i++) {
        if (wanted != NULL && strcmp(wanted, plugins[i].mpi) != 0)
            continue;
        known = true;
        if ((*plugin = open_plugin(i, reason, sizeof reason)) == NULL) {
            const size_t at = strlen(reasons);
            snprintf(reasons + at, sizeof reasons - at, "%s%s (%s; on Debian the package %s)",
                     at > 0 ? ", nor " : "", plugins[i].title, reason, plugins[i].package);
        }
    }
    if (!known)
        return slt_error_set(err, SLT_ERR_RANGE, "unknown MPI '%s' (known: openmpi, mpich)",
                             wanted);
    if (*plugin != NULL)
        return 0;
    return slt_error_set(err, SLT_ERR_DEVICE, "cannot use %s", reasons);
}
