// Fuzz target: Hugging Face's tokenizer.json. A tokenizer that is taken encodes every text, also
// the file itself, to ids of its vocabulary, and decodes them. tests/fuzz/run builds and runs it.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/json_tokenizer.h"
#include "text/kinds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode_and_decode(void *model, uint32_t vocab_size, const char *text, size_t bytes)
{
    struct slt_error err;
    struct slt_token_ids ids = {0};
    char *back = NULL;
    size_t length = 0;
    // A pattern may take too long, which is an error.
    if (bpe_kind.encode(model, &ids, text, bytes, bytes % 2 != 0, &err) == 0) {
        for (size_t i = 0; i < ids.count; i++)
            if (ids.id[i] >= vocab_size || bpe_kind.piece(model, ids.id[i]).text == NULL)
                abort();
        if (bpe_kind.decode(model, &back, &length, ids.id, ids.count, false, &err) != 0 ||
            back[length] != '\0')
            abort();
        free(back);
    }
    slt_token_ids_free(&ids);
}

// Loads data as a tokenizer.json: 0 if it is one.
static int fuzz_read_tokenizer_json(const uint8_t *data, size_t size)
{
    static const char text[] = "The the  thethe\n\t 1234 don't <|endoftext|> b  caf\xc3\xa9 "
                               "\xf0\x9f\x98\x80\xff\xc3 e\xcc\x81_a a \xe2\x96\x81\x00 end ";
    struct slt_error err;
    struct slt_tokenizer_info info;
    void *model = NULL;
    const int rc = bpe_kind.load(&model, "input", data, size, &err);
    if (rc != 0)
        return rc;
    bpe_kind.info(model, &info);
    encode_and_decode(model, info.vocab_size, text, sizeof text - 1);
    encode_and_decode(model, info.vocab_size, (const char *)data, size < 4096 ? size : 4096);
    (void)json_tokenizer_gguf_pre(model);
    bpe_kind.free(model);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)fuzz_read_tokenizer_json(data, size);
    return 0;
}
