// Fuzz target: a vocab.json and, behind its first NUL, a merges.txt. The tokenizer.json that they
// make is read, or refused. tests/fuzz/run builds and runs it.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/json_extend.h"
#include "text/kinds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// 0 if data is such a tokenizer.
static int fuzz_read_vocab_merges(const uint8_t *data, size_t size)
{
    static const struct token_addition tokens[] = {{.text = "<|end|>", .id = 300, .special = true}};
    const struct token_additions additions = {.token = tokens, .count = 1};
    const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
    const size_t first = nul != NULL ? (size_t)(nul - data) : size;
    const struct byte_level_files files = {.vocab = data,
                                           .vocab_bytes = first,
                                           .merges = nul != NULL ? nul + 1 : data + size,
                                           .merges_bytes = nul != NULL ? size - first - 1 : 0,
                                           .way =
                                               size % 2 != 0 ? BYTE_LEVEL_QWEN2 : BYTE_LEVEL_GPT2};
    struct slt_error err;
    void *json = NULL, *more = NULL, *model = NULL;
    size_t bytes = 0, more_bytes = 0;
    (void)json_tokenizer_is_vocab(data, size);
    int rc = json_tokenizer_from_vocab(&json, &bytes, &files, &err);
    if (rc != 0)
        return rc;
    if ((rc = bpe_kind.load(&model, "input", json, bytes, &err)) == 0) {
        bpe_kind.free(model);
        if (json_tokenizer_extend(&more, &more_bytes, json, bytes, &additions, &err) == 0) {
            if (bpe_kind.load(&model, "input", more, more_bytes, &err) == 0)
                bpe_kind.free(model);
            free(more);
        }
    }
    free(json);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)fuzz_read_vocab_merges(data, size);
    return 0;
}
