// Tokenizers as what a checkpoint carries.
#include "files/param_tensors.h"

struct slt_tokenizer_file slt_tokenizer_file(const struct slt_tokenizer *tokenizer)
{
    struct slt_tokenizer_file file = {0};
    if (tokenizer != NULL) {
        file.member = slt_tokenizer_info(tokenizer)->kind;
        file.data = slt_tokenizer_data(tokenizer, &file.bytes);
    }
    return file;
}
