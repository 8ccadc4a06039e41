// Tokenizers from their files, and as what a checkpoint carries.
#include <stdlib.h>

#include "files/checkpoint_members.h"
#include "files/param_tensors.h"

int slt_tokenizer_open(struct slt_tokenizer **tokenizer, const char *path, slt_stop_flag *stop,
                       struct slt_error *err)
{
    void *data = NULL;
    size_t bytes = 0;
    int rc = slt_file_read(&data, &bytes, path, SLT_TOKENIZER_MAX, stop, err);
    if (rc == 0)
        rc = slt_tokenizer_load(tokenizer, path, data, bytes, err);
    free(data);
    return rc;
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
