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

// Whether a line belongs to what a resumed run does again: steps after step, and with it the
// validation of step where that is still due. *is_line: it is a line of metrics.
static bool is_done_again(const char *line, int64_t step, bool validation_is_due, bool *is_line)
{
    json_t *object = json_loads(line, 0, NULL);
    const json_t *at = json_object_get(object, "step");
    const char *type = json_string_value(json_object_get(object, "type"));
    const int64_t number = json_integer_value(at);
    const bool is_validation = type != NULL && strcmp(type, "valid") == 0;
    *is_line = json_is_integer(at) && type != NULL;
    json_decref(object);
    return number > step || (number == step && is_validation && validation_is_due);
}

// Cuts path off before the first line that will be written again, or an unfinished one. A file with
// lines of other things is left alone: errno is EINVAL.
static int drop_after(const char *path, int64_t step, bool validation_is_due)
{
    FILE *f = fopen(path, "r+");
    char *line = NULL;
    size_t size = 0;
    off_t keep = 0;
    bool is_line = true;
    if (f == NULL)
        return errno == ENOENT ? 0 : -1;
    for (ssize_t n; (n = getline(&line, &size, f)) > 0 && line[n - 1] == '\n'; keep += n)
        if (is_done_again(line, step, validation_is_due, &is_line) || !is_line)
            break;
    free(line);
    // Where reading failed, what was not read is not for cutting off.
    int rc = ferror(f) || !is_line ? -1 : ftruncate(fileno(f), keep);
    if (fclose(f) != 0)
        rc = -1;
    if (!is_line)
        errno = EINVAL;
    return rc;
}

void cli_metrics_open(struct cli_metrics *m, const char *path, int64_t resumed_step,
                      bool validation_is_due)
{
    *m = (struct cli_metrics){.path = path};
    if (path == NULL)
        return;
    const bool is_stdout = strcmp(path, "-") == 0;
    const int rc =
        resumed_step > 0 && !is_stdout ? drop_after(path, resumed_step, validation_is_due) : 0;
    if (is_stdout)
        m->file = fdopen(dup(STDOUT_FILENO), "w");
    else
        m->file = rc == 0 ? fopen(path, resumed_step > 0 ? "a" : "w") : NULL;
    if (m->file == NULL)
        cli_say("cannot write metrics to '%s': %s; training goes on without", path,
                errno == EINVAL ? "it has lines of something else" : strerror(errno));
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
