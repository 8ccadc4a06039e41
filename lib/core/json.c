// Strict JSON: jansson without duplicate keys, with our error sentences.
#include "core/json.h"

#include <math.h>
#include <stdio.h>
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

// The code that an escape \uXXXX at text stands for; -1 if there is none.
static int escaped_code(const char *text, const char *end)
{
    int code = 0;
    if (end - text < 6 || text[0] != '\\' || text[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        const char *const digits = "0123456789abcdefABCDEF",
                          *digit = text[i] != '\0' ? strchr(digits, text[i]) : NULL;
        if (digit == NULL)
            return -1;
        code = code * 16 + (int)(digit - digits) - (digit - digits >= 16 ? 6 : 0);
    }
    return code;
}

// Replaces halves of surrogate pairs that stand alone, which Python reads and no UTF-8 has, by the
// replacement character.
static void replace_surrogates(char *text, size_t bytes)
{
    char *const end = text + bytes;
    for (char *c = text; c < end;) {
        const int code = escaped_code(c, end), next = code < 0 ? -1 : escaped_code(c + 6, end);
        const bool is_first = code >= 0xd800 && code < 0xdc00;
        if (is_first && next >= 0xdc00 && next < 0xe000) {
            c += 12;
            continue;
        }
        if (code >= 0xd800 && code < 0xe000)
            memcpy(c, "\\ufffd", 6);
        c += code >= 0 ? 6 : *c == '\\' ? 2 : 1;
    }
}

// The length of a number at text, and whether it is a whole one.
static size_t number_length(const char *text, const char *end, bool *is_whole)
{
    const char *c = text + 1; // behind the sign or the first digit
    *is_whole = true;
    for (; c < end && *c != '\0' && strchr("+-.eE0123456789", *c) != NULL; c++)
        *is_whole &= *c >= '0' && *c <= '9';
    return (size_t)(c - text);
}

// Copies a number at text to *to, as JSON that has it; returns its length there.
static size_t copy_number(char **to, const char *text, const char *end)
{
    bool is_whole;
    const size_t length = number_length(text, end, &is_whole);
    char *number = *to;
    memcpy(number, text, length);
    number[length] = '\0';
    *to += length;
    errno = 0;
    if (is_whole && (strtoll(number, NULL, 10), errno != ERANGE))
        return length;
    char *behind;
    const bool is_beyond = isinf(strtod(number, &behind)) && *behind == '\0';
    if (is_beyond) // of 5 characters at least, as 2e308 has
        *to = number + sprintf(number, *text == '-' ? "\"-Infinity\"" : "\"Infinity\"");
    else if (is_whole)
        *to += sprintf(*to, ".0");
    return length;
}

// Copies text to to, which has room for twice as much and one more; returns the bytes there.
static size_t make_plain(char *to, const char *text, size_t bytes)
{
    const char *const end = text + bytes;
    char *const start = to;
    while (text < end) {
        const size_t name = not_finite(text, end);
        size_t length = 1;
        if (name > 0) {
            *to++ = '"';
            memcpy(to, text, name);
            to[name] = '"';
            to += name + 1;
            length = name;
        } else if (*text == '-' || (*text >= '0' && *text <= '9')) {
            length = copy_number(&to, text, end);
        } else {
            length = *text == '"' ? string_length(text, end) : 1;
            memcpy(to, text, length);
            replace_surrogates(to, length);
            to += length;
        }
        text += length;
    }
    return (size_t)(to - start);
}

int slt_json_parse_python(json_t **object, const char *name, const char *text, size_t bytes,
                          struct slt_error *err)
{
    char *copy = malloc(2 * bytes + 16);
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

bool slt_json_flag(const json_t *object, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}
