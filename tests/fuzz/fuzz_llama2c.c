// Fuzz target: model files of llama2.c; what passes for one must convert or be cut. tests/fuzz/run
// builds and runs it.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "slt/convert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifdef SLT_FUZZ_ALONE
// Nothing here has a tokenizer, so that none needs to be linked.
int slt_tokenizer_load(struct slt_tokenizer **tokenizer, const char *name, const void *data,
                       size_t bytes, struct slt_error *err)
{
    (void)tokenizer;
    (void)name;
    (void)data;
    (void)bytes;
    (void)err;
    abort();
}

int slt_tokenizer_check_size(const struct slt_tokenizer *tokenizer, int64_t vocab_size,
                             const char *name, struct slt_error *err)
{
    (void)tokenizer;
    (void)vocab_size;
    (void)name;
    (void)err;
    abort();
}

const void *slt_tokenizer_data(const struct slt_tokenizer *tokenizer, size_t *bytes)
{
    (void)tokenizer;
    (void)bytes;
    abort();
}

const struct slt_tokenizer_info *slt_tokenizer_info(const struct slt_tokenizer *tokenizer)
{
    (void)tokenizer;
    abort();
}
#endif

// Converts data as a model of llama2.c: 0 if it is one.
static int fuzz_read_llama2c(const uint8_t *data, size_t size)
{
    struct slt_error err;
    struct slt_output *out;
    if (!slt_convert_is_llama2c(data, size))
        return SLT_ERR_FORMAT;
    if (slt_output_open(&out, "/dev/null", NULL, &err) != 0)
        return 0;
    const struct slt_convert_options none = {0};
    const int rc = slt_convert_llama2c(out, "input", data, size, &none, &err);
    slt_output_abandon(out);
    if (rc == SLT_ERR_RANGE)
        abort(); // it said that it is one, if perhaps of another size or version
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)fuzz_read_llama2c(data, size);
    return 0;
}
