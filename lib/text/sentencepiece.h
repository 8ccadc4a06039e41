// libsentencepiece behind C: the only C++ in slt. Every function catches what the library throws.
#ifndef SLT_TEXT_SENTENCEPIECE_H
#define SLT_TEXT_SENTENCEPIECE_H

#ifdef __cplusplus
extern "C" {
#endif

#include "text/kinds.h"

// A model that is ready to work; the caller closes it. SLT_ERR_FORMAT: it is none.
int spm_engine_open(void **engine, const void *data, size_t bytes, struct slt_error *err)
    SLT_CHECK_RESULT;
void spm_engine_close(void *engine); // NULL is fine
// The id of what the model does not know, or SLT_TOKEN_NONE.
uint32_t spm_engine_unknown(const void *engine);
// Appends the ids of a text. No text gives a control piece.
int spm_engine_encode(const void *engine, struct slt_token_ids *ids, const char *text, size_t bytes,
                      struct slt_error *err) SLT_CHECK_RESULT;
// The text of ids (count), which must be in the vocabulary; the caller frees *text, which ends in a
// NUL that *bytes does not count.
int spm_engine_decode(const void *engine, char **text, size_t *bytes, const uint32_t *ids,
                      size_t count, struct slt_error *err) SLT_CHECK_RESULT;

// As slt_tokenizer_train.
int spm_train(void **model, size_t *bytes, slt_sentence_source *source, void *user,
              uint32_t vocab_size, struct slt_error *err) SLT_CHECK_RESULT;

#ifdef __cplusplus
}
#endif

#endif
