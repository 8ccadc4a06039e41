// Values into reports: what there is no memory for is remembered, so that no report lacks it.
#include "cli_json.h"

static bool failed;

void cli_json_put(json_t *object, const char *name, json_t *value)
{
    failed |= json_object_set_new(object, name, value) != 0;
}

void cli_json_append(json_t *list, json_t *value)
{
    failed |= json_array_append_new(list, value) != 0;
}

bool cli_json_failed(void)
{
    if (failed)
        cli_say("cannot allocate the report");
    return failed;
}

char *cli_json_text(json_t *root, size_t flags)
{
    char *text = failed ? NULL : json_dumps(root, flags);
    failed |= text == NULL;
    return cli_json_failed() ? NULL : text;
}
