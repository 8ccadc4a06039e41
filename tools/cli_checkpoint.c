// Models as tools take them: checkpoints, and directories of other programs.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "slt/convert.h"

static void on_note(void *user, const char *sentence)
{
    const bool *quiet = user;
    if (!*quiet)
        cli_say("%s", sentence);
}

static int open_directory(struct slt_input **in, const char *path, bool quiet, slt_stop_flag *stop)
{
    static bool is_quiet; // outlives the input
    struct slt_error err;
    char *provenance = NULL;
    is_quiet = quiet;
    // What slt-convert says: the checkpoint is the same.
    int rc =
        slt_provenance_add(&provenance, NULL, "slt-convert", "{\"from\": \"directory\"}", &err);
    const struct slt_convert_options options = {.provenance = provenance,
                                                .on_note = on_note,
                                                .user = &is_quiet,
                                                .stop = stop};
    if (rc == 0)
        rc = slt_convert_open(in, path, &options, &err);
    free(provenance);
    return rc == 0 ? 0 : cli_error(&err);
}

static bool has_file(const char *path, const char *name)
{
    char file[PATH_MAX];
    struct stat st; // of a link itself: what it leads to may be out of reach, which is to be said
    return snprintf(file, sizeof file, "%s/%s", path, name) < (int)sizeof file &&
           lstat(file, &st) == 0;
}

// One without weights that are read is a model too, and said to be without them. Any other directory
// is as wrong as a file of another kind, and is said to be a directory.
static bool is_model_directory(const char *path)
{
    struct stat st;
    return strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
           (has_file(path, "config.json") || has_file(path, "adapter_config.json"));
}

int cli_open_model(struct slt_input **in, const char *path, bool quiet, slt_stop_flag *stop)
{
    return is_model_directory(path) ? open_directory(in, path, quiet, stop)
                                    : cli_open_input(in, path, stop);
}
