// Tokenizers as the text of a tokenizer.json, for Hugging Face's tokenizers.
#ifndef SLT_TEXT_TO_JSON_H
#define SLT_TEXT_TO_JSON_H

#include "text/spm_model.h"

// The tokenizer.json that gives the same ids: its own bytes, or what a SentencePiece model is in
// this format. Where the tokenizer says so (slt_tokenizer_info), its post-processor puts BOS before
// a text and EOS behind it. The caller frees *json. SLT_ERR_RANGE where the format cannot express
// the model.
int slt_tokenizer_to_json(void **json, size_t *bytes, const struct slt_tokenizer *tokenizer,
                          struct slt_error *err) SLT_CHECK_RESULT;
// The same from the file of a SentencePiece model.
int spm_model_to_json(void **json, size_t *bytes, const struct spm_model *model,
                      struct slt_error *err) SLT_CHECK_RESULT;

#endif
