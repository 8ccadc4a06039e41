// Strict JSON: jansson without duplicate keys, with our error sentences.
#include "core/json.h"

json_t *slt_json_load(const char *text, size_t bytes, size_t flags, json_error_t *why,
                      bool *no_memory)
{
    errno = 0; // an allocation that fails sets it
    json_t *value = json_loadb(text, bytes, flags, why);
    *no_memory = value == NULL && errno == ENOMEM;
    return value;
}

int slt_json_parse(json_t **object, const char *name, const char *text, size_t bytes,
                   struct slt_error *err)
{
    json_error_t e;
    bool no_memory;
    json_t *root = slt_json_load(text, bytes, JSON_REJECT_DUPLICATES, &e, &no_memory);
    if (root == NULL) {
        if (no_memory)
            return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the JSON of '%s'", name);
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is not valid JSON: line %d, column %d: %s",
                             name, e.line, e.column, e.text);
    }
    if (!json_is_object(root)) {
        json_decref(root);
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is not a JSON object", name);
    }
    *object = root;
    return 0;
}

const char *slt_json_string(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}
