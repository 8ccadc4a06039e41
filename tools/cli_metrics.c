// Metrics: one JSON object a line, flushed as it is written. A resumed run first drops the lines of
// steps that it will do again, so that the file becomes that of an uninterrupted run.
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli_metrics.h"

// Cuts path off behind the last whole line whose step is at most step.
static int drop_after(const char *path, int64_t step)
{
    FILE *f = fopen(path, "r+");
    char *line = NULL;
    size_t size = 0;
    off_t keep = 0;
    if (f == NULL)
        return errno == ENOENT ? 0 : -1;
    for (ssize_t n; (n = getline(&line, &size, f)) > 0 && line[n - 1] == '\n'; keep += n) {
        json_t *object = json_loads(line, 0, NULL);
        const json_t *at = json_object_get(object, "step");
        const bool later = !json_is_integer(at) || json_integer_value(at) > step;
        json_decref(object);
        if (later)
            break;
    }
    free(line);
    // Where reading failed, what was not read is not for cutting off.
    const int rc = ferror(f) ? -1 : ftruncate(fileno(f), keep);
    return fclose(f) != 0 ? -1 : rc;
}

void cli_metrics_open(struct cli_metrics *m, const char *path, int64_t resumed_step)
{
    *m = (struct cli_metrics){.path = path};
    if (path == NULL)
        return;
    const bool is_stdout = strcmp(path, "-") == 0;
    const int rc = resumed_step > 0 && !is_stdout ? drop_after(path, resumed_step) : 0;
    if (is_stdout)
        m->file = fdopen(dup(STDOUT_FILENO), "w");
    else
        m->file = rc == 0 ? fopen(path, resumed_step > 0 ? "a" : "w") : NULL;
    if (m->file == NULL)
        cli_say("cannot write metrics to '%s': %s; training goes on without", path,
                strerror(errno));
}

void cli_metrics_real(json_t *object, const char *key, double value)
{
    json_object_set_new(object, key, isfinite(value) ? json_real(value) : json_null());
}

void cli_metrics_write(struct cli_metrics *m, json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(object);
    if (m->file != NULL &&
        (text == NULL || fprintf(m->file, "%s\n", text) < 0 || fflush(m->file) != 0)) {
        cli_say("cannot write metrics to '%s': %s; training goes on without", m->path,
                strerror(errno));
        fclose(m->file);
        m->file = NULL;
    }
    free(text);
}

void cli_metrics_close(struct cli_metrics *m)
{
    if (m->file != NULL && fclose(m->file) != 0)
        cli_say("cannot write metrics to '%s': %s", m->path, strerror(errno));
    m->file = NULL;
}
