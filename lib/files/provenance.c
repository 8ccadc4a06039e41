// provenance.jsonl: one line for every tool that made the file what it is.
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "files/provenance.h"
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

int slt_provenance_join(char **text, const char *old, const char *lines, struct slt_error *err)
{
    const char *parts[] = {old != NULL ? old : "", lines};
    size_t used = 0;
    char *joined = malloc(strlen(parts[0]) + strlen(parts[1]) + 3);
    if (joined == NULL)
        return slt_error_errno(err, "cannot allocate a line of provenance");
    for (int i = 0; i < 2; i++) {
        const size_t bytes = strlen(parts[i]);
        memcpy(joined + used, parts[i], bytes);
        used += bytes;
        if (bytes > 0 && joined[used - 1] != '\n')
            joined[used++] = '\n';
    }
    joined[used] = '\0';
    *text = joined;
    return 0;
}

int slt_provenance_add(char **text, const char *old, const char *tool, const char *options_json,
                       struct slt_error *err)
{
    char *line = NULL;
    int rc = make_line(&line, tool, options_json, err);
    if (rc == 0)
        rc = slt_provenance_join(text, old, line, err);
    free(line);
    return rc;
}
