// Strict JSON: jansson without duplicate keys, with our error sentences.
#include "core/json.h"

#include <stdlib.h>
#include <string.h>

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

// ---- What Python writes ----

// The length of one of its names for numbers that JSON has not, at text (up to end); 0: none.
static size_t not_finite(const char *text, const char *end)
{
    static const char *const names[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t length = strlen(names[i]);
        if ((size_t)(end - text) >= length && memcmp(text, names[i], length) == 0)
            return length;
    }
    return 0;
}

// The length of a string at text, from quote to quote.
static size_t string_length(const char *text, const char *end)
{
    const char *c = text + 1;
    while (c < end && *c != '"')
        c += *c == '\\' && c + 1 < end ? 2 : 1;
    return (size_t)(c - text) + (c < end);
}

// Whether a whole number of this length does not fit into 64 bits.
static bool is_beyond(const char *text, size_t length)
{
    char number[32];
    if (length >= sizeof number)
        return true;
    memcpy(number, text, length);
    number[length] = '\0';
    errno = 0;
    strtoll(number, NULL, 10);
    return errno == ERANGE;
}

// The length of a number at text, and whether it is a whole one that does not fit into 64 bits.
static size_t number_length(const char *text, const char *end, bool *is_large)
{
    const char *c = text + 1; // behind the sign or the first digit
    bool is_whole = true;
    for (; c < end && *c != '\0' && strchr("+-.eE0123456789", *c) != NULL; c++)
        is_whole &= *c >= '0' && *c <= '9';
    *is_large = is_whole && is_beyond(text, (size_t)(c - text));
    return (size_t)(c - text);
}

// Copies text to to, which has room for twice as much; returns the bytes there.
static size_t make_plain(char *to, const char *text, size_t bytes)
{
    const char *const end = text + bytes;
    char *const start = to;
    while (text < end) {
        const size_t name = not_finite(text, end);
        size_t length = 1;
        bool is_large = false;
        if (*text == '"')
            length = string_length(text, end);
        else if (name == 0 && (*text == '-' || (*text >= '0' && *text <= '9')))
            length = number_length(text, end, &is_large);
        else if (name > 0)
            length = name;
        if (name > 0)
            *to++ = '"';
        memcpy(to, text, length);
        to += length;
        text += length;
        if (name > 0)
            *to++ = '"';
        if (is_large) {
            memcpy(to, ".0", 2);
            to += 2;
        }
    }
    return (size_t)(to - start);
}

int slt_json_parse_python(json_t **object, const char *name, const char *text, size_t bytes,
                          struct slt_error *err)
{
    char *copy = malloc(2 * bytes + 1);
    if (copy == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the JSON of '%s'", name);
    int rc = slt_json_parse(object, name, copy, make_plain(copy, text, bytes), err);
    free(copy);
    return rc;
}

const char *slt_json_string(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}
