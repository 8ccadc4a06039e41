// The added tokens of a tokenizer.json: texts that are tokens wherever they stand.
#ifndef SLT_TEXT_ADDED_H
#define SLT_TEXT_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slt/error.h"

struct added_token {
    char *text; // normalized, if it is looked for in normalized text
    size_t bytes;
    uint32_t id;
    bool lstrip, rstrip; // takes the white space before it, behind it
    bool single_word;    // is one only where no letter or digit touches it
};

// Tokens that are looked for at once, in a tree of their bytes.
struct added_set {
    struct added_token *token; // (count)
    size_t count;
    struct added_node *node;
    size_t nodes, capacity;
    uint32_t first[256]; // the node of each first byte, 0: none
};

// Takes token->text over, also where it fails. Of equal texts the last one counts.
int added_put(struct added_set *set, const struct added_token *token,
              struct slt_error *err) SLT_CHECK_RESULT;
void added_free(struct added_set *set);

// A stretch of text: a token, or what lies between tokens (NULL).
struct added_stretch {
    size_t from, to;
    const struct added_token *token;
};
// Where looking for tokens in a text has come to; start with zeros but for is_text.
struct added_cursor {
    uint32_t is_text; // the id of a token that is none here, or SLT_TOKEN_NONE
    size_t at, done;
    struct added_stretch waiting;
    bool waits;
};
// The next stretch of text that is not empty; false behind the last one. The leftmost token counts,
// and of several there the longest.
bool added_next(const struct added_set *set, struct added_cursor *c, const char *text, size_t bytes,
                struct added_stretch *stretch);

#endif
