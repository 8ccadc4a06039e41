// libsentencepiece behind C: the only C++ in slt. Every function catches what the library throws.
#ifndef SLT_TEXT_SENTENCEPIECE_H
#define SLT_TEXT_SENTENCEPIECE_H

#ifdef __cplusplus
extern "C" {
#endif

#include "slt/tokenizer.h"

struct spm;

int spm_load(struct spm **model, const char *name, const void *data, size_t bytes,
             struct slt_error *err);
void spm_free(struct spm *model);
// Everything but kind and digest.
void spm_info(const struct spm *model, struct slt_tokenizer_info *info);
struct slt_piece spm_piece(const struct spm *model, uint32_t id);
bool spm_adds_space(const struct spm *model);
int spm_encode(const struct spm *model, struct slt_token_ids *ids, const char *text, size_t bytes,
               struct slt_error *err);
int spm_decode(const struct spm *model, char **text, size_t *bytes, const uint32_t *ids,
               size_t count, struct slt_error *err);
// As slt_tokenizer_train.
int spm_train(void **model, size_t *bytes, slt_sentence_source *source, void *user,
              uint32_t vocab_size, struct slt_error *err);

#ifdef __cplusplus
}
#endif

#endif
