// Strict JSON: jansson without duplicate keys, with our error sentences.
#ifndef SLT_CORE_JSON_H
#define SLT_CORE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "slt/error.h"

// json_loadb, which does not tell whether text is no JSON or memory was short: *no_memory does,
// where it returns NULL.
json_t *slt_json_load(const char *text, size_t bytes, size_t flags, json_error_t *why,
                      bool *no_memory);

// Parses text (bytes) as one JSON object and nothing else; duplicate keys, NUL characters and
// integers beyond 64 bits are refused. name appears in the sentence. The caller owns *object
// (json_decref). Errors: SLT_ERR_FORMAT, SLT_ERR_MEMORY.
int slt_json_parse(json_t **object, const char *name, const char *text, size_t bytes,
                   struct slt_error *err) SLT_CHECK_RESULT;

// As slt_json_parse, for files that Python's json module may have written: NaN, Infinity and
// -Infinity are read as strings of that name, as are numbers that no double holds; whole numbers
// beyond 64 bits as reals; and halves of surrogate pairs as U+FFFD.
int slt_json_parse_python(json_t **object, const char *name, const char *text, size_t bytes,
                          struct slt_error *err) SLT_CHECK_RESULT;

// The value of a key of an object as true or false, otherwise where it is neither.
bool slt_json_flag(const json_t *object, const char *key, bool otherwise);
// The value of a key of an object as a string, "" where it is none.
const char *slt_json_string(const json_t *object, const char *key);

#endif
