// libsentencepiece behind C: the only C++ in slt. Every function catches what the library throws.
#ifndef SLT_TEXT_SENTENCEPIECE_H
#define SLT_TEXT_SENTENCEPIECE_H

#ifdef __cplusplus
extern "C" {
#endif

#include "text/kinds.h"

// As slt_tokenizer_train.
int spm_train(void **model, size_t *bytes, slt_sentence_source *source, void *user,
              uint32_t vocab_size, struct slt_error *err) SLT_CHECK_RESULT;

#ifdef __cplusplus
}
#endif

#endif
