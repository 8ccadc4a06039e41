// Strict JSON: jansson without duplicate keys, with our error sentences.
#include "core/json.h"

int slt_json_parse(json_t **object, const char *name, const char *text, size_t bytes,
                   struct slt_error *err)
{
    json_error_t e;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &e);
    if (root == NULL) {
        if (json_error_code(&e) == json_error_out_of_memory)
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
