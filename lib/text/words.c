// Splitting a text into words, one step after the other.
#include "text/words.h"

#define STACK_MOST ((size_t)4 << 20) // bytes of the stack that matching may use

void words_free(struct words *w)
{
    for (size_t i = 0; i < w->count; i++) {
        pcre2_code_free(w->step[i].code);
        free(w->step[i].source);
        free(w->step[i].space);
    }
}

void words_scratch_free(struct words_scratch *s)
{
    pcre2_match_data_free(s->match);
    pcre2_match_context_free(s->context);
    pcre2_jit_stack_free(s->stack);
    for (size_t i = 0; i < WORD_STEPS; i++)
        free(s->spaced[i].data);
}

static int prepare(struct words_scratch *s, struct slt_error *err)
{
    if (s->match != NULL)
        return 0;
    s->context = pcre2_match_context_create(NULL);
    s->stack = pcre2_jit_stack_create(32 << 10, STACK_MOST, NULL);
    s->match = pcre2_match_data_create(1, NULL);
    if (s->context == NULL || s->match == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the state of a pattern");
    pcre2_jit_stack_assign(s->context, NULL, s->stack);
    return 0;
}

// What the steps share for one text.
struct splitting {
    const struct words *words;
    struct words_scratch *scratch;
    const char *no_prefix; // the text that goes on after one before it, and gets none
    bool is_first;
    words_sink *sink;
    void *user;
};

// The pieces of one text in one step.
struct step_state {
    const struct splitting *splitting;
    size_t step;
    const char *text;
    size_t from, to; // the piece that waits, where there is one
    bool waits, previous_matched;
};

static int split(const struct splitting *p, size_t step, const char *text, size_t bytes,
                 struct slt_error *err);

static int flush(struct step_state *s, struct slt_error *err)
{
    const bool waited = s->waits;
    s->waits = false;
    return waited && s->to > s->from
               ? split(s->splitting, s->step + 1, s->text + s->from, s->to - s->from, err)
               : 0;
}

// The next stretch of a text, which is a match or lies between matches.
static int stretch(struct step_state *s, size_t from, size_t to, bool is_match,
                   struct slt_error *err)
{
    const struct word_step *step = &s->splitting->words->step[s->step];
    const bool matched = is_match != step->invert;
    bool joins = false; // the one that waits
    switch (step->behaviour) {
    case SPLIT_ISOLATED:
        break;
    case SPLIT_REMOVED:
        if (matched)
            return 0;
        break;
    case SPLIT_CONTIGUOUS:
        joins = matched == s->previous_matched;
        break;
    case SPLIT_MERGED_WITH_PREVIOUS:
        joins = matched && !s->previous_matched;
        break;
    case SPLIT_MERGED_WITH_NEXT:
        joins = !matched && s->previous_matched;
        break;
    }
    s->previous_matched = matched;
    if (joins && s->waits) {
        s->to = to;
        return 0;
    }
    const int rc = flush(s, err);
    s->from = from;
    s->to = to;
    s->waits = true;
    return rc;
}

// The first match from offset at on: 1 and its place, 0 if there is none, or an error.
static int find(const struct word_step *step, struct words_scratch *s, const char *text,
                size_t bytes, size_t at, size_t place[2], struct slt_error *err)
{
    PCRE2_UCHAR reason[200];
    const int rc = step->has_jit ? pcre2_jit_match(step->code, (PCRE2_SPTR)text, bytes, at,
                                                   PCRE2_NO_UTF_CHECK, s->match, s->context)
                                 : pcre2_match(step->code, (PCRE2_SPTR)text, bytes, at,
                                               PCRE2_NO_UTF_CHECK, s->match, s->context);
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    if (rc < 0) {
        pcre2_get_error_message(rc, reason, sizeof reason);
        return slt_error_set(err, rc == PCRE2_ERROR_NOMEMORY ? SLT_ERR_MEMORY : SLT_ERR_FORMAT,
                             "cannot match the tokenizer's pattern: %s", (const char *)reason);
    }
    const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(s->match);
    place[0] = offsets[0];
    place[1] = offsets[1];
    return 1;
}

static int split_by_pattern(struct step_state *s, size_t bytes, struct slt_error *err)
{
    const struct word_step *step = &s->splitting->words->step[s->step];
    size_t at = 0, done = 0, last = SIZE_MAX, place[2] = {0};
    int rc = 0;
    while (rc == 0 && at <= bytes) {
        const int found = find(step, s->splitting->scratch, s->text, bytes, at, place, err);
        if (found < 0)
            return found;
        if (found == 0)
            break;
        if (place[0] >= place[1] && place[0] == last) { // an empty one behind the last: one further
            do
                at++;
            while (at < bytes && (s->text[at] & 0xc0) == 0x80);
            continue;
        }
        at = last = place[1];
        if (place[0] > done)
            rc = stretch(s, done, place[0], false, err);
        if (rc == 0)
            rc = stretch(s, place[0], place[1], true, err);
        done = place[1];
    }
    if (rc == 0 && done < bytes)
        rc = stretch(s, done, bytes, false, err);
    return rc == 0 ? flush(s, err) : rc;
}

// The text with the step's space for each space, and before it if it is to be.
static int put_spaces(const struct splitting *p, size_t step, const char **text, size_t *bytes,
                      struct slt_error *err)
{
    const struct word_step *w = &p->words->step[step];
    struct text_buffer *to = &p->scratch->spaced[step];
    const size_t length = strlen(w->space);
    const bool has_prefix =
        (*bytes >= length && memcmp(*text, w->space, length) == 0) || (*bytes > 0 && **text == ' ');
    int rc = 0;
    to->bytes = 0;
    const bool wants = w->prefix == PREFIX_ALWAYS || (w->prefix == PREFIX_FIRST && p->is_first);
    if (wants && !has_prefix && *text != p->no_prefix)
        rc = text_buffer_add(to, w->space, length, err);
    else if (length == 1)
        return 0; // a space for a space
    for (size_t at = 0, n; rc == 0 && at < *bytes; at += n) {
        const char *space = length == 1 ? NULL : memchr(*text + at, ' ', *bytes - at);
        n = space != NULL ? (size_t)(space - *text) - at : *bytes - at;
        rc = text_buffer_add(to, *text + at, n, err);
        if (rc == 0 && space != NULL)
            rc = text_buffer_add(to, w->space, length, err);
        n += space != NULL;
    }
    *text = to->data;
    *bytes = to->bytes;
    return rc;
}

static int split(const struct splitting *p, size_t step, const char *text, size_t bytes,
                 struct slt_error *err)
{
    if (step == p->words->count)
        return p->sink(p->user, text, bytes, err);
    const struct word_step *w = &p->words->step[step];
    if (w->space != NULL) {
        const int rc = put_spaces(p, step, &text, &bytes, err);
        if (rc != 0)
            return rc;
    }
    if (w->code == NULL)
        return split(p, step + 1, text, bytes, err);
    struct step_state s = {.splitting = p, .step = step, .text = text};
    return split_by_pattern(&s, bytes, err);
}

int words_split(const struct words *w, struct words_scratch *s, const struct words_text *t,
                words_sink *sink, void *user, struct slt_error *err)
{
    const struct splitting p = {.words = w,
                                .scratch = s,
                                .no_prefix = t->starts ? NULL : t->text,
                                .is_first = t->is_first,
                                .sink = sink,
                                .user = user};
    const int rc = prepare(s, err);
    return rc == 0 && t->bytes > 0 ? split(&p, 0, t->text, t->bytes, err) : rc;
}
