// Tokenizers from their files.
#include <stdlib.h>

#include "files/checkpoint_members.h"
#include "slt/tokenizer.h"

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
