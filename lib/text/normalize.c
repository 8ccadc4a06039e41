// Normal forms come from utf8proc; the rest is plain replacing.
#include "text/normalize.h"

#include <utf8proc.h>

// A text of n bytes may become one of GROWTH * n + GROWTH_LEAST; Unicode's forms need 11 * n.
#define GROWTH       64
#define GROWTH_LEAST 4096

int normalize_form(const char *name)
{
    static const struct {
        const char *name;
        int options;
    } forms[] = {
        {"NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE},
        {"NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE},
        {"NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
        {"NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strcmp(forms[i].name, name) == 0)
            return forms[i].options;
    return -1;
}

void normalizer_free(struct normalizer *n)
{
    for (size_t i = 0; i < n->count; i++) {
        free(n->step[i].a);
        free(n->step[i].b);
    }
}

// Below U+0300 composed text is all there is; below U+0080 every form is the text itself.
static bool is_normal(const char *text, size_t bytes, int form)
{
    const unsigned char limit =
        (form & UTF8PROC_COMPOSE) != 0 && (form & UTF8PROC_COMPAT) == 0 ? 0xcc : 0x80;
    unsigned char most = 0;
    for (size_t i = 0; i < bytes; i++)
        most = (unsigned char)text[i] > most ? (unsigned char)text[i] : most;
    return most < limit;
}

static int apply_form(struct text_buffer *to, const char *text, size_t bytes, int form,
                      struct slt_error *err)
{
    utf8proc_uint8_t *result;
    const utf8proc_ssize_t length = utf8proc_map(
        (const utf8proc_uint8_t *)text, (utf8proc_ssize_t)bytes, &result, (utf8proc_option_t)form);
    if (length < 0)
        return slt_error_set(err, length == UTF8PROC_ERROR_NOMEM ? SLT_ERR_MEMORY : SLT_ERR_FORMAT,
                             "cannot normalize the text: %s", utf8proc_errmsg(length));
    const int rc = text_buffer_add(to, (const char *)result, (size_t)length, err);
    free(result);
    return rc;
}

// Replacing what was put in its place before must not fill the memory.
static int check_growth(const struct text_buffer *to, size_t most, struct slt_error *err)
{
    return to->bytes <= most
               ? 0
               : slt_error_set(err, SLT_ERR_RANGE,
                               "the tokenizer's normalizer makes a text too long (more than %zu "
                               "bytes)",
                               most);
}

static int replace(struct text_buffer *to, const char *text, size_t bytes, size_t most,
                   const struct normal_step *step, struct slt_error *err)
{
    const size_t length = strlen(step->a), more = strlen(step->b);
    size_t done = 0;
    int rc = 0;
    for (size_t at = 0; rc == 0 && at + length <= bytes;) {
        if (memcmp(text + at, step->a, length) != 0) {
            at++;
            continue;
        }
        rc = text_buffer_add(to, text + done, at - done, err);
        if (rc == 0)
            rc = text_buffer_add(to, step->b, more, err);
        if (rc == 0)
            rc = check_growth(to, most, err);
        done = at += length;
    }
    return rc == 0 ? text_buffer_add(to, text + done, bytes - done, err) : rc;
}

int normalize(const struct normalizer *n, struct text_buffer buffers[2], const char **text,
              size_t *bytes, bool starts, struct slt_error *err)
{
    const size_t most = GROWTH * *bytes + GROWTH_LEAST;
    size_t changes = 0; // steps may be passed over: the text is in the buffer of the last change
    for (size_t i = 0; i < n->count; i++) {
        const struct normal_step *step = &n->step[i];
        int rc;
        if ((step->kind == NORMAL_FORM && is_normal(*text, *bytes, step->form)) ||
            (step->kind == NORMAL_PREPEND && (!starts || *bytes == 0)))
            continue;
        struct text_buffer *to = &buffers[changes++ % 2];
        to->bytes = 0;
        if (step->kind == NORMAL_FORM)
            rc = apply_form(to, *text, *bytes, step->form, err);
        else if (step->kind == NORMAL_REPLACE)
            rc = replace(to, *text, *bytes, most, step, err);
        else if ((rc = text_buffer_add(to, step->a, strlen(step->a), err)) == 0)
            rc = text_buffer_add(to, *text, *bytes, err);
        if (rc != 0 || (rc = check_growth(to, most, err)) != 0)
            return rc;
        *text = to->data != NULL ? to->data : "";
        *bytes = to->bytes;
    }
    return 0;
}
