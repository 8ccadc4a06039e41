// Strict JSON: jansson without duplicate keys, with our error sentences.
#ifndef SLT_CORE_JSON_H
#define SLT_CORE_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "slt/error.h"

// Parses text (bytes) as one JSON object and nothing else; duplicate keys, NUL characters and
// integers beyond 64 bits are refused. name appears in the sentence. The caller owns *object
// (json_decref). Errors: SLT_ERR_FORMAT, SLT_ERR_MEMORY.
int slt_json_parse(json_t **object, const char *name, const char *text, size_t bytes,
                   struct slt_error *err);

#endif
