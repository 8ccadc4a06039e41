// Patterns for PCRE2.
//
// Both libraries agree on most of what tokenizers use. What differs: Oniguruma's \s has no U+180E,
// its \w has marks, connectors and the powers and fractions of Latin-1, its \v is one character and
// its \h a hexadecimal digit, classes nest and have &&, {2}+ repeats a repetition, and options
// written (?i) end with an alternative.
#include "text/pattern.h"

#include <ctype.h>
#include <stdio.h>

#include "text/buffer.h"

#define SPACE   "\\p{White_Space}"
#define WORD    "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"
#define LONGEST ((size_t)1 << 16) // bytes of a pattern

static int put(struct text_buffer *out, const char *text, struct slt_error *err)
{
    return text_buffer_add(out, text, strlen(text), err);
}

static int refuse(const char *what, size_t length, struct slt_error *err)
{
    return slt_error_set(err, SLT_ERR_FORMAT, "'%.*s' in a pattern is not supported", (int)length,
                         what);
}

// The length of a name or number in braces at p, braces included; 0 if there is none.
static size_t braces(const char *p)
{
    const char *end = *p == '{' ? strchr(p, '}') : NULL;
    return end == NULL ? 0 : (size_t)(end - p) + 1;
}

// An escape at *p: what it is in PCRE2, and *p behind it.
static int escape(struct text_buffer *out, const char **p, bool in_class, struct slt_error *err)
{
    const char c = (*p)[1], *const start = *p;
    char code[16];
    size_t length;
    *p += 2;
    switch (c) {
    case 's':
        return put(out, SPACE, err);
    case 'S':
        return put(out, "\\P{White_Space}", err);
    case 'w':
        return put(out, in_class ? WORD : "[" WORD "]", err);
    case 'W':
        return in_class ? refuse(start, 2, err) : put(out, "[^" WORD "]", err);
    case 'b':
    case 'B':
        if (in_class)
            return refuse(start, 2, err);
        return put(out,
                   c == 'b' ? "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))"
                            : "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))",
                   err);
    case 'v':
        return put(out, "\\x0b", err);
    case 'u': // four digits
        for (int i = 0; i < 4; i++)
            if (!isxdigit((unsigned char)(*p)[i]))
                return refuse(start, 2, err);
        snprintf(code, sizeof code, "\\x{%.4s}", *p);
        *p += 4;
        return put(out, code, err);
    case 'p':
    case 'P':
        if ((length = braces(*p)) == 0)
            return refuse(start, 2, err);
        *p += length;
        return text_buffer_add(out, start, 2 + length, err);
    case 'x':
        length = braces(*p);
        for (; length < 2 && **p != '{' && isxdigit((unsigned char)(*p)[length]);)
            length++;
        if (length == 0)
            return refuse(start, 2, err);
        *p += length;
        return text_buffer_add(out, start, 2 + length, err);
    default:
        if (c == '\0' || (isalnum((unsigned char)c) && strchr("dDnrtfaezAG", c) == NULL) ||
            (in_class && strchr("zAG", c) != NULL))
            return refuse(start, c == '\0' ? 1 : 2, err);
        return text_buffer_add(out, start, 2, err);
    }
}

// A class at *p, and *p behind its bracket.
static int character_class(struct text_buffer *out, const char **p, struct slt_error *err)
{
    const size_t open = (*p)[1] == '^' ? 2 : 1;
    int rc = text_buffer_add(out, *p, open, err);
    *p += open;
    if (rc == 0 && **p == ']')
        rc = refuse("[]", 2, err);
    while (rc == 0 && **p != ']') {
        if (**p == '\0')
            return slt_error_set(err, SLT_ERR_FORMAT, "a class in a pattern has no end");
        if (**p == '[' || ((*p)[0] == '&' && (*p)[1] == '&'))
            return refuse(*p, **p == '[' ? 1 : 2, err);
        if (**p == '\\')
            rc = escape(out, p, true, err);
        else
            rc = text_buffer_add(out, (*p)++, 1, err);
    }
    (*p)++;
    return rc == 0 ? put(out, "]", err) : rc;
}

// A parenthesis at *p with what its question mark says.
static int group(struct text_buffer *out, const char **p, struct slt_error *err)
{
    static const char *const known[] = {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};
    if ((*p)[1] != '?')
        return text_buffer_add(out, (*p)++, 1, err);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const size_t length = strlen(known[i]);
        if (strncmp(*p, known[i], length) == 0) {
            *p += length;
            return text_buffer_add(out, known[i], length, err);
        }
    }
    return refuse(*p, strnlen(*p, 4), err);
}

// {n}, {n,} and {n,m}, which nothing may follow that changes them.
static int repetition(struct text_buffer *out, const char **p, struct slt_error *err)
{
    const size_t length = braces(*p);
    if (length == 0 || !isdigit((unsigned char)(*p)[1]) || (*p)[length] == '+' ||
        strspn(*p + 1, "0123456789,") + 2 != length)
        return refuse(*p, length == 0 ? 1 : length, err);
    const int rc = text_buffer_add(out, *p, length, err);
    *p += length;
    return rc;
}

static int rewrite(struct text_buffer *out, const char *p, struct slt_error *err)
{
    int rc = 0;
    while (rc == 0 && *p != '\0') {
        if (*p == '\\')
            rc = escape(out, &p, false, err);
        else if (*p == '[')
            rc = character_class(out, &p, err);
        else if (*p == '(')
            rc = group(out, &p, err);
        else if (*p == '{')
            rc = repetition(out, &p, err);
        else
            rc = text_buffer_add(out, p++, 1, err);
    }
    return rc;
}

static int check_length(const char *pattern, struct slt_error *err)
{
    if (strlen(pattern) <= LONGEST)
        return 0;
    return slt_error_set(err, SLT_ERR_FORMAT, "a pattern is longer than %zu bytes", LONGEST);
}

static int compile(pcre2_code **code, const struct text_buffer *pattern, struct slt_error *err)
{
    const char *text = pattern->data != NULL ? pattern->data : "";
    int number;
    PCRE2_SIZE offset;
    PCRE2_UCHAR reason[200];
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (context == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a pattern");
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    *code = pcre2_compile((PCRE2_SPTR)text, pattern->bytes, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE,
                          &number, &offset, context);
    pcre2_compile_context_free(context);
    if (*code == NULL) {
        pcre2_get_error_message(number, reason, sizeof reason);
        return slt_error_set(err,
                             number == PCRE2_ERROR_HEAP_FAILED ? SLT_ERR_MEMORY : SLT_ERR_FORMAT,
                             "a pattern is not valid: %s", (const char *)reason);
    }
    pcre2_jit_compile(*code, PCRE2_JIT_COMPLETE); // without it, matching is only slower
    return 0;
}

int pattern_compile(pcre2_code **code, const char *pattern, struct slt_error *err)
{
    struct text_buffer out = {0};
    int rc = check_length(pattern, err);
    if (rc == 0 && (rc = rewrite(&out, pattern, err)) == 0)
        rc = compile(code, &out, err);
    free(out.data);
    return rc;
}

int pattern_compile_text(pcre2_code **code, const char *text, struct slt_error *err)
{
    struct text_buffer out = {0};
    int rc = check_length(text, err);
    for (const char *p = text; rc == 0 && *p != '\0'; p++) {
        if (ispunct((unsigned char)*p))
            rc = put(&out, "\\", err);
        if (rc == 0)
            rc = text_buffer_add(&out, p, 1, err);
    }
    if (rc == 0)
        rc = compile(code, &out, err);
    free(out.data);
    return rc;
}

bool pattern_has_jit(const pcre2_code *code)
{
    size_t bytes = 0;
    return pcre2_pattern_info(code, PCRE2_INFO_JITSIZE, &bytes) == 0 && bytes > 0;
}
