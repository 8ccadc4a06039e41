// Fuzz target: files of SentencePiece models. One that is taken can be extended, what comes out is
// such a file again, and the tokenizer.json of a byte-pair model is one that is read, unless its
// pieces or its normalizer are none of those. tests/fuzz/run builds and runs it.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/tokenizer_stub.h"
#include "text/kinds.h"
#include "text/to_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_extend(const uint8_t *data, size_t size)
{
    static const struct token_addition tokens[] = {
        {.text = "<s>", .id = 1, .special = true},
        {.text = "<|end|>", .id = 70, .special = true, .lstrip = true},
        {.text = "word", .id = 73, .single_word = true}};
    const struct token_additions additions = {
        .token = tokens, .count = 3, .eos = "<|end|>", .adds_bos = true, .space_first = true};
    struct slt_error err;
    struct spm_model m;
    void *file = NULL;
    size_t bytes = 0;
    if (spm_model_extend(&file, &bytes, data, size, &additions, &err) != 0)
        return;
    if (spm_model_read(&m, file, bytes, &err) != 0 || m.own_bytes != size || m.count < 74 ||
        m.eos != 70 || memcmp(file, data, size) != 0)
        abort();
    spm_model_clear(&m);
    free(file);
}

// 0 if data is a SentencePiece model.
static int fuzz_read_spm_model(const uint8_t *data, size_t size)
{
    struct slt_error err;
    struct spm_model m;
    void *json = NULL, *model = NULL;
    size_t bytes = 0;
    const int rc = spm_model_read(&m, data, size, &err);
    if (rc == 0 && m.count < 4096 && spm_model_to_json(&json, &bytes, &m, &err) == 0) {
        if (bpe_kind.load(&model, "input", json, bytes, &err) == 0)
            bpe_kind.free(model);
        free(json);
    }
    spm_model_clear(&m);
    if (rc == 0)
        fuzz_extend(data, size);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)fuzz_read_spm_model(data, size);
    return 0;
}
