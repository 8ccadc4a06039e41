// provenance.jsonl: one line for every tool that made the file what it is.
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "slt/checkpoint.h"
#include "slt/version.h"

// {"tool":..., "version":..., then the options}, on one line.
static int make_line(char **line, const char *tool, const char *options_json, struct slt_error *err)
{
    json_t *options = NULL, *object = NULL;
    int rc = 0;
    if (options_json != NULL && (rc = slt_json_parse(&options, "provenance options", options_json,
                                                     strlen(options_json), err)) != 0)
        return rc;
    object = json_pack("{s:s, s:s}", "tool", tool, "version", SLT_VERSION);
    if (object == NULL || (options != NULL && json_object_update_missing(object, options) != 0) ||
        (*line = json_dumps(object, JSON_COMPACT)) == NULL)
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a line of provenance");
    json_decref(options);
    json_decref(object);
    return rc;
}

int slt_provenance_add(char **text, const char *old, const char *tool, const char *options_json,
                       struct slt_error *err)
{
    char *line = NULL;
    int rc = make_line(&line, tool, options_json, err);
    if (rc != 0)
        return rc;
    const size_t before = old != NULL ? strlen(old) : 0, length = strlen(line);
    const size_t newline = before > 0 && old[before - 1] != '\n';
    char *joined = malloc(before + newline + length + 2);
    if (joined == NULL) {
        free(line);
        return slt_error_errno(err, "cannot allocate a line of provenance");
    }
    if (before > 0)
        memcpy(joined, old, before);
    memset(joined + before, '\n', newline);
    memcpy(joined + before + newline, line, length);
    memcpy(joined + before + newline + length, "\n", 2);
    free(line);
    *text = joined;
    return 0;
}
