// What a kind of tokenizer offers to tokenizer.c; a kind is one row of its table.
#ifndef SLT_TEXT_KINDS_H
#define SLT_TEXT_KINDS_H

#ifdef __cplusplus
extern "C" {
#endif

#include "slt/tokenizer.h"

struct tokenizer_kind {
    const char *name; // slt_tokenizer_info.kind
    // Whether the bytes of a file look like this kind; the last kind in the table takes the rest.
    bool (*recognises)(const void *data, size_t bytes);
    // data stays where it is as long as the model is there.
    int (*load)(void **model, const char *name, const void *data, size_t bytes,
                struct slt_error *err);
    void (*free)(void *model);
    // Everything but kind and digest.
    void (*info)(const void *model, struct slt_tokenizer_info *info);
    struct slt_piece (*piece)(const void *model, uint32_t id);
    bool (*adds_space)(const void *model);
    // As slt_tokenizer_encode, or with eos_is_text as slt_tokenizer_encode_batch.
    int (*encode)(const void *model, struct slt_token_ids *ids, const char *text, size_t bytes,
                  bool eos_is_text, struct slt_error *err);
    // As slt_tokenizer_decode; is_rest: what was encoded stood behind an added token.
    int (*decode)(const void *model, char **text, size_t *bytes, const uint32_t *ids, size_t count,
                  bool is_rest, struct slt_error *err);
    // Whether the piece is a token that is looked for in a text before anything else.
    bool (*is_added)(const void *model, uint32_t id);
};

extern const struct tokenizer_kind spm_kind, bpe_kind;

// What the kind's load gave, or NULL where the tokenizer is of another kind.
const void *slt_tokenizer_model(const struct slt_tokenizer *tokenizer,
                                const struct tokenizer_kind *kind);

// The id of the first piece with this text, SLT_TOKEN_NONE if there is none or text is NULL.
uint32_t slt_tokenizer_find(const struct slt_tokenizer *tokenizer, const char *text);
// Of a tokenizer.json: BOS, EOS, PAD are these pieces, where a text is no NULL and is a piece.
void slt_tokenizer_set_meaning(struct slt_tokenizer *tokenizer, const char *bos, const char *eos,
                               const char *pad);

// Makes room for more ids behind those that are there.
int slt_token_ids_reserve(struct slt_token_ids *ids, size_t more,
                          struct slt_error *err) SLT_CHECK_RESULT;

#ifdef __cplusplus
}
#endif

#endif
