// Tokenizers with additions.
#include "text/additions.h"

#include "text/json_extend.h"
#include "text/json_tokenizer.h"
#include "text/kinds.h"
#include "text/spm_model.h"

int slt_tokenizer_load_with(struct slt_tokenizer **tokenizer, const char *name, const void *data,
                            size_t bytes, const struct token_additions *a, struct slt_error *err)
{
    void *file = NULL;
    size_t file_bytes = 0;
    const bool is_json = bpe_kind.recognises(data, bytes);
    int rc = is_json ? json_tokenizer_extend(&file, &file_bytes, data, bytes, a, err)
                     : spm_model_extend(&file, &file_bytes, data, bytes, a, err);
    if (rc != 0)
        return slt_error_prefix(err, rc, "cannot use '%s'", name);
    rc = slt_tokenizer_load(tokenizer, name, file, file_bytes, err);
    free(file);
    if (rc == 0 && is_json) // which has no place for it
        slt_tokenizer_set_meaning(*tokenizer, a->bos, a->eos, a->pad);
    return rc;
}
