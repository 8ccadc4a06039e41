// Looking for added tokens.
#include "text/added.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "core/utf8.h"

struct added_node {
    uint32_t child, sibling; // 0: none
    uint32_t token;          // number + 1 of the one that ends here
    unsigned char byte;
};

void added_free(struct added_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        free(set->token[i].text);
    free(set->token);
    free(set->node);
}

static int reserve_nodes(struct added_set *set, size_t more, struct slt_error *err)
{
    if (set->nodes + more <= set->capacity)
        return 0;
    const size_t capacity = 2 * set->capacity + more + 64;
    struct added_node *node =
        capacity < UINT32_MAX ? realloc(set->node, capacity * sizeof *node) : NULL;
    if (node == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the added tokens");
    set->node = node;
    set->capacity = capacity;
    return 0;
}

int added_put(struct added_set *set, const struct added_token *token, struct slt_error *err)
{
    const unsigned char *text = (const unsigned char *)token->text;
    struct added_token *more = realloc(set->token, (set->count + 1) * sizeof *more);
    if (more != NULL)
        set->token = more;
    if (more == NULL || reserve_nodes(set, token->bytes + 1, err) != 0) {
        free(token->text);
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the added tokens");
    }
    set->token[set->count++] = *token;
    set->nodes += set->nodes == 0; // number 0 is none
    uint32_t *link = &set->first[text[0]];
    for (size_t i = 0;; link = &set->node[*link].child) {
        while (*link != 0 && set->node[*link].byte != text[i])
            link = &set->node[*link].sibling;
        if (*link == 0) {
            set->node[set->nodes] = (struct added_node){.byte = text[i]};
            *link = (uint32_t)set->nodes++;
        }
        if (++i == token->bytes)
            break;
    }
    set->node[*link].token = (uint32_t)set->count;
    return 0;
}

// The longest token at the start of text, or NULL.
static const struct added_token *longest(const struct added_set *set, const char *text,
                                         size_t bytes)
{
    uint32_t best = 0, at = set->first[(unsigned char)text[0]];
    for (size_t i = 1; at != 0; i++) {
        best = set->node[at].token != 0 ? set->node[at].token : best;
        if (i == bytes)
            break;
        at = set->node[at].child;
        while (at != 0 && set->node[at].byte != (unsigned char)text[i])
            at = set->node[at].sibling;
    }
    return best > 0 ? &set->token[best - 1] : NULL;
}

// ---- Neighbours ----

static bool is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == 32 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

// Letters, marks, digits, connectors and joiners: \w of Unicode's regular expressions.
static bool is_word(uint32_t c)
{
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default: // letters in circles and squares are symbols, but alphabetic
        return c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9) ||
               (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
               (c >= 0x1f170 && c <= 0x1f189);
    }
}

// The length of the character that ends before text + at, and what it is; 0 if there is none.
static size_t character_before(const char *text, size_t at, uint32_t *c)
{
    for (size_t n = 1; n <= 4 && n <= at; n++) {
        if (slt_utf8_length(text + at - n, n) == n) {
            *c = slt_utf8_value(text + at - n, n);
            return n;
        }
    }
    return 0;
}

static size_t character_at(const char *text, size_t left, uint32_t *c)
{
    const size_t n = slt_utf8_length(text, left);
    if (n > 0)
        *c = slt_utf8_value(text, n);
    return n;
}

static bool touches_word(const char *text, size_t bytes, size_t from, size_t to)
{
    uint32_t c;
    return (character_before(text, from, &c) > 0 && is_word(c)) ||
           (character_at(text + to, bytes - to, &c) > 0 && is_word(c));
}

// ---- Walking through a text ----

bool added_next(const struct added_set *set, struct added_cursor *c, const char *text, size_t bytes,
                struct added_stretch *stretch)
{
    if (c->waits) {
        c->waits = false;
        *stretch = c->waiting;
        return true;
    }
    for (; set->count > 0 && c->at < bytes; c->at++) {
        const struct added_token *token = NULL;
        uint32_t code;
        size_t n;
        if (set->first[(unsigned char)text[c->at]] != 0)
            token = longest(set, text + c->at, bytes - c->at);
        if (token == NULL)
            continue;
        size_t from = c->at, to = from + token->bytes;
        c->at = to;
        if (token->id == c->is_text ||
            (token->single_word && touches_word(text, bytes, from, to))) {
            c->at--; // which the loop adds
            continue;
        }
        while (token->lstrip && from > c->done && (n = character_before(text, from, &code)) > 0 &&
               is_space(code))
            from -= n;
        while (token->rstrip && (n = character_at(text + to, bytes - to, &code)) > 0 &&
               is_space(code))
            to += n;
        *stretch = c->waiting = (struct added_stretch){from, to, token};
        if (from > c->done) {
            *stretch = (struct added_stretch){c->done, from, NULL};
            c->waits = true;
        }
        c->done = to;
        return true;
    }
    if (c->done >= bytes)
        return false;
    *stretch = (struct added_stretch){c->done, bytes, NULL};
    c->done = bytes;
    return true;
}
