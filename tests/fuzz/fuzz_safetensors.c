// Fuzz target: the header of a safetensors file; what is parsed must be built and parsed again to
// the same. tests/fuzz/run builds and runs it.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "files/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void rebuild(const struct slt_tensor_info *tensors, size_t count, uint64_t data_bytes)
{
    struct slt_error err;
    struct slt_tensor_info *again = NULL;
    char *header = NULL;
    size_t bytes = 0, again_count = 0;
    uint64_t again_bytes = 0;
    if (slt_safetensors_build(&header, &bytes, &again_bytes, tensors, count, &err) != 0 ||
        again_bytes != data_bytes ||
        slt_safetensors_parse(&again, &again_count, "again", header + SLT_SAFETENSORS_PREFIX,
                              bytes - SLT_SAFETENSORS_PREFIX, data_bytes, &err) != 0 ||
        again_count != count || memcmp(again, tensors, count * sizeof *again) != 0)
        abort();
    free(again);
    free(header);
}

// Parses the header in front of data: 0 if it is valid.
static int fuzz_read_safetensors(const uint8_t *data, size_t size)
{
    struct slt_error err;
    struct slt_tensor_info *tensors = NULL;
    size_t count = 0;
    if (size < SLT_SAFETENSORS_PREFIX)
        return SLT_ERR_FORMAT;
    const uint64_t header = slt_load_u64(data), rest = size - SLT_SAFETENSORS_PREFIX;
    if (header > rest)
        return SLT_ERR_FORMAT;
    int rc = slt_safetensors_parse(&tensors, &count, "input",
                                   (const char *)data + SLT_SAFETENSORS_PREFIX, (size_t)header,
                                   rest - header, &err);
    if (rc == 0)
        rebuild(tensors, count, rest - header);
    free(tensors);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)fuzz_read_safetensors(data, size);
    return 0;
}
