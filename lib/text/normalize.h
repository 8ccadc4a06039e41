// The "normalizer" of a tokenizer.json: what is done to text before it is split.
#ifndef SLT_TEXT_NORMALIZE_H
#define SLT_TEXT_NORMALIZE_H

#include <stdbool.h>

#include "text/buffer.h"

#define NORMALIZER_STEPS 8

enum normal_step_kind {
    NORMAL_FORM,    // one of Unicode's
    NORMAL_PREPEND, // a before text that is not empty
    NORMAL_REPLACE, // each a by b
};

struct normal_step {
    enum normal_step_kind kind;
    int form; // utf8proc's options
    char *a, *b;
};

struct normalizer {
    struct normal_step step[NORMALIZER_STEPS];
    size_t count;
};

// The options of a form by its name (NFC, NFD, NFKC, NFKD), or -1.
int normalize_form(const char *name);
// Applies all steps to text, which must be UTF-8; the result is in one of the two buffers, or the
// text itself where nothing changes it. starts: the text is not the rest of one. SLT_ERR_RANGE
// where it becomes more than 64 times as long.
int normalize(const struct normalizer *n, struct text_buffer buffers[2], const char **text,
              size_t *bytes, bool starts, struct slt_error *err) SLT_CHECK_RESULT;
void normalizer_free(struct normalizer *n);

#endif
