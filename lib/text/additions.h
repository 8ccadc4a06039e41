// What the files beside a tokenizer's say of it: tokens that it has not, and those with a meaning.
#ifndef SLT_TEXT_ADDITIONS_H
#define SLT_TEXT_ADDITIONS_H

#include "slt/tokenizer.h"

struct token_addition {
    const char *text;
    uint32_t id;
    bool special, lstrip, rstrip, single_word, normalized;
};

enum token_space { SPACE_AS_IS, SPACE_NEVER, SPACE_BEFORE };

struct token_additions {
    const struct token_addition *token; // (count), by id ascending, each id once
    size_t count;
    const char *bos, *eos, *pad; // texts, NULL where nothing is said
    bool adds_bos, adds_eos;     // around a text, for programs that ask for it
    bool space_first; // the space before a text is for its start only, not behind added tokens
    // Whether a text gets a space at all; of a tokenizer.json what its ByteLevel says, if it has
    // one by itself. doubts_space: one that says otherwise is an error instead.
    enum token_space space;
    bool doubts_space;
};

// Ids may have holes, but not so that a small file asks for much memory.
#define TOKEN_SPARE_IDS 65536

// As slt_tokenizer_load, for a tokenizer that gets additions: its bytes are those of the file with
// them. SLT_ERR_FORMAT where they contradict it.
int slt_tokenizer_load_with(struct slt_tokenizer **tokenizer, const char *name, const void *data,
                            size_t bytes, const struct token_additions *additions,
                            struct slt_error *err) SLT_CHECK_RESULT;

#endif
