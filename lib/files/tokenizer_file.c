// Tokenizers as what a checkpoint carries.
#include "files/param_tensors.h"

int slt_tokenizer_check_size(const struct slt_tokenizer *tokenizer, int64_t vocab_size,
                             const char *name, struct slt_error *err)
{
    const uint32_t count = slt_tokenizer_info(tokenizer)->vocab_size;
    return count <= vocab_size
               ? 0
               : slt_error_set(err, SLT_ERR_FORMAT,
                               "'%s': the tokenizer has %u tokens, the model rows for %lld only",
                               name, count, (long long)vocab_size);
}

struct slt_tokenizer_file slt_tokenizer_file(const struct slt_tokenizer *tokenizer)
{
    struct slt_tokenizer_file file = {0};
    if (tokenizer != NULL) {
        file.member = slt_tokenizer_info(tokenizer)->kind;
        file.data = slt_tokenizer_data(tokenizer, &file.bytes);
    }
    return file;
}
