// The pieces of a tokenizer.json by id, and ids by what a piece encodes.
#ifndef SLT_TEXT_VOCABULARY_H
#define SLT_TEXT_VOCABULARY_H

#include "slt/tokenizer.h"
#include "text/buffer.h"

struct vocab_piece {
    uint32_t text;       // where its text is in the arena, as the file has it, with a final NUL
    uint32_t text_bytes; // without the NUL
    uint32_t raw;        // where the bytes are that it decodes to
    uint32_t raw_bytes;
    enum slt_piece_type type;
    bool is_there; // not a hole between ids
    bool is_key;   // is found by its key
};

struct vocabulary {
    struct vocab_piece *piece; // (count)
    uint32_t count;
    struct text_buffer arena;
    uint32_t *slot; // (mask + 1): an open table of ids, SLT_TOKEN_NONE where it is free
    size_t mask;
    bool by_raw; // the table is one of raw bytes, else of texts
};

// An empty one for ids below count.
int vocabulary_create(struct vocabulary *v, uint32_t count, struct slt_error *err) SLT_CHECK_RESULT;
void vocabulary_free(struct vocabulary *v);
// A piece to be put in: its text, as the file has it, and the bytes that it decodes to.
struct vocab_entry {
    uint32_t id;
    enum slt_piece_type type;
    const char *text;
    size_t text_bytes;
    const char *raw;
    size_t raw_bytes;
    bool is_key; // is found by its key
};
// Sets a piece. SLT_ERR_FORMAT if its id is taken by another text, or the arena overflows.
int vocabulary_put(struct vocabulary *v, const struct vocab_entry *entry,
                   struct slt_error *err) SLT_CHECK_RESULT;
// Builds the table of all pieces that are keys, once they are all there.
int vocabulary_index(struct vocabulary *v, bool by_raw, struct slt_error *err) SLT_CHECK_RESULT;
// The id of a piece, or SLT_TOKEN_NONE.
uint32_t vocabulary_find(const struct vocabulary *v, const char *key, size_t bytes);

static inline const char *vocabulary_text(const struct vocabulary *v, uint32_t id)
{
    return v->arena.data + v->piece[id].text;
}

static inline const char *vocabulary_raw(const struct vocabulary *v, uint32_t id)
{
    return v->arena.data + v->piece[id].raw;
}

#endif
