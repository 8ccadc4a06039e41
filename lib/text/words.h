// From a text to the words that byte-pair encoding works on: the "pre_tokenizer" of a
// tokenizer.json.
#ifndef SLT_TEXT_WORDS_H
#define SLT_TEXT_WORDS_H

#include "text/buffer.h"
#include "text/pattern.h"

#define WORD_STEPS 16

// What becomes of the matches of a pattern, which are delimiters.
enum split_behaviour {
    SPLIT_ISOLATED, // a piece of their own
    SPLIT_REMOVED,
    SPLIT_MERGED_WITH_PREVIOUS,
    SPLIT_MERGED_WITH_NEXT,
    SPLIT_CONTIGUOUS, // neighbouring ones are one piece
};

// What is put before a piece that does not start with it.
enum split_prefix { PREFIX_NEVER, PREFIX_ALWAYS, PREFIX_FIRST };

// One step; the pieces of one are the texts of the next.
struct word_step {
    pcre2_code *code; // NULL: it splits nothing
    char *source;     // of the pattern as the file has it, NULL where it is a text
    bool has_jit, invert;
    enum split_behaviour behaviour;
    char *space; // NULL: nothing; else what a space becomes, and what the prefix is
    enum split_prefix prefix;
};

struct words {
    struct word_step step[WORD_STEPS];
    size_t count;
};

// The pattern of ByteLevel, which is GPT-2's.
#define WORDS_GPT2_PATTERN                                                                         \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

void words_free(struct words *w);

// What splitting needs besides; one for each thread.
struct words_scratch {
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    struct text_buffer spaced[WORD_STEPS];
};
void words_scratch_free(struct words_scratch *s);

// Called with one word after the other.
typedef int words_sink(void *user, const char *word, size_t bytes, struct slt_error *err);

// A text to be split, which must be UTF-8.
struct words_text {
    const char *text;
    size_t bytes;
    bool starts;   // it is the start of a text between added tokens, and may get a prefix
    bool is_first; // and of the whole one
};

// Splits a text. Errors: the sink's, SLT_ERR_FORMAT where a pattern takes too long.
int words_split(const struct words *w, struct words_scratch *s, const struct words_text *text,
                words_sink *sink, void *user, struct slt_error *err) SLT_CHECK_RESULT;

#endif
