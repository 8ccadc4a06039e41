// Copies of inputs that are read twice.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

static int no_memory(void)
{
    cli_say("cannot allocate the list of inputs");
    return 1;
}

static int copy_input(char **copy, const char *path, slt_stop_flag *stop)
{
    static char block[1 << 16];
    struct slt_error err;
    struct slt_input *in;
    struct slt_output *out = NULL;
    const char *directory = getenv("TMPDIR");
    char name[4096];
    size_t got = 1;
    snprintf(name, sizeof name, "%s/slt-tokenize-XXXXXX", directory != NULL ? directory : "/tmp");
    const int fd = mkstemp(name);
    if (fd < 0) {
        slt_error_errno(&err, "cannot create '%s'", name);
        return cli_error(&err);
    }
    close(fd);
    if ((*copy = strdup(name)) == NULL) {
        unlink(name);
        return no_memory();
    }
    int rc = slt_input_open(&in, path, stop, &err);
    if (rc != 0)
        return cli_error(&err);
    rc = slt_output_open(&out, name, stop, &err);
    while (rc == 0 && got > 0) {
        rc = slt_input_read(in, block, sizeof block, &got, &err);
        if (rc == 0 && got > 0)
            rc = slt_output_write(out, block, got, &err);
    }
    slt_input_close(in);
    return cli_close_output(out, rc != 0 ? cli_error(&err) : 0);
}

int cli_spool_inputs(struct cli_spool *s, char **paths, slt_stop_flag *stop)
{
    while (paths[s->count] != NULL)
        s->count++;
    s->paths = calloc(s->count, sizeof *s->paths);
    s->copies = calloc(s->count, sizeof *s->copies);
    if (s->paths == NULL || s->copies == NULL)
        return no_memory();
    for (size_t i = 0; i < s->count; i++) {
        struct stat st;
        const bool regular =
            strcmp(paths[i], "-") != 0 && (stat(paths[i], &st) != 0 || S_ISREG(st.st_mode));
        int code = regular ? 0 : copy_input(&s->copies[i], paths[i], stop);
        if (code != 0)
            return code;
        s->paths[i] = regular ? paths[i] : s->copies[i];
    }
    return 0;
}

void cli_spool_remove(struct cli_spool *s)
{
    for (size_t i = 0; s->copies != NULL && i < s->count; i++) {
        if (s->copies[i] != NULL)
            unlink(s->copies[i]);
        free(s->copies[i]);
    }
    free(s->paths);
    free(s->copies);
}
