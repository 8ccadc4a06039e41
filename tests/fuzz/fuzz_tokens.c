// Fuzz target: a token file, mapped and streamed; both must agree. tests/fuzz/run builds and runs
// it.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <zstd.h>

#include "slt/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Looks documents up, whatever the index says.
static void look_around(const struct slt_tokens *tokens)
{
    const uint64_t documents = slt_tokens_totals(tokens).documents;
    struct slt_error err;
    int32_t id;
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t position, count;
        if (slt_tokens_document(tokens, i * (documents / 3), &position, &count, &err) == 0 &&
            count > 0 && slt_tokens_read_at(tokens, &id, position + count - 1, 1, &err) == 0 &&
            (uint32_t)id >= slt_tokens_header(tokens)->vocab_size)
            abort();
    }
}

static int check_tokens(const void *data, size_t size)
{
    struct slt_error err;
    struct slt_input *in = NULL;
    struct slt_tokens *tokens = NULL;
    int rc = slt_input_memory(&in, "input", data, size, &err);
    if (rc != 0 || (rc = slt_tokens_open(&tokens, in, &err)) != 0)
        return rc;
    if (slt_tokens_is_mapped(tokens))
        look_around(tokens);
    rc = slt_tokens_check(tokens, &err);
    slt_tokens_close(tokens);
    return rc;
}

// Checks data as a token file, and again inside a zstd frame: 0 if it is whole.
static int fuzz_read_tokens(const uint8_t *data, size_t size)
{
    const int rc = check_tokens(data, size);
    const size_t bound = ZSTD_compressBound(size);
    void *frame = malloc(bound);
    if (frame == NULL)
        return rc;
    const int streamed = check_tokens(frame, ZSTD_compress(frame, bound, data, size, 1));
    free(frame);
    // A frame inside a frame is no token file, though the inner one may be.
    const bool is_frame = size >= 4 && data[0] == 0x28 && data[1] == 0xb5;
    if (!is_frame && (rc == 0) != (streamed == 0))
        abort();
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)fuzz_read_tokens(data, size);
    return 0;
}
