// JSON objects that are put together value by value.
#ifndef SLT_TOOLS_CLI_JSON_H
#define SLT_TOOLS_CLI_JSON_H

#include <jansson.h>

#include "cli.h"

// Sets a member, or appends to a list, and takes the value over; NULL is one that there was no
// memory for.
void cli_json_put(json_t *object, const char *name, json_t *value);
void cli_json_append(json_t *list, json_t *value);
// Whether there was no memory for a value, with the message printed.
bool cli_json_failed(void);
// The text of a report, which the caller frees; NULL with the message printed where there was no
// memory for it or for a value before.
char *cli_json_text(json_t *root, size_t flags);

#endif
