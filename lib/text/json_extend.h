// Making a tokenizer.json from other files, and adding tokens to one.
#ifndef SLT_TEXT_JSON_EXTEND_H
#define SLT_TEXT_JSON_EXTEND_H

#include "text/additions.h"

// The text of a tokenizer.json with those of the tokens that its added_tokens lack; the same bytes
// where it has all. The caller frees *file. SLT_ERR_FORMAT where an id or a text is another's.
int json_tokenizer_extend(void **file, size_t *file_bytes, const void *data, size_t bytes,
                          const struct token_additions *additions, struct slt_error *err)
    SLT_CHECK_RESULT;

// Whether bytes are the start of a vocab.json, an object of pieces and their ids alone.
bool json_tokenizer_is_vocab(const void *data, size_t bytes);

// How a byte-level vocabulary splits text.
enum byte_level_way { BYTE_LEVEL_GPT2, BYTE_LEVEL_QWEN2 };
struct byte_level_files {
    const void *vocab, *merges; // vocab.json and merges.txt, as GPT-2 has them
    size_t vocab_bytes, merges_bytes;
    enum byte_level_way way;
    bool adds_space;
};
// The tokenizer.json of such files; the caller frees *file. Of the vocabulary <|endoftext|> and
// RoBERTa's special tokens are added tokens. SLT_ERR_FORMAT.
int json_tokenizer_from_vocab(void **file, size_t *file_bytes, const struct byte_level_files *files,
                              struct slt_error *err) SLT_CHECK_RESULT;

#endif
