// Fuzz target: the header of a safetensors file; what is parsed must be built and parsed again to
// the same, and be the same as in a file of another program. tests/fuzz/run builds and runs it.
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

// As a file of another program: what is one of ours, one of any type and shape.
static void compare_foreign(const struct slt_tensor_info *tensors, size_t count, bool is_own,
                            const char *json, size_t bytes, uint64_t data_bytes)
{
    struct slt_error err;
    struct slt_foreign_tensor *all = NULL;
    size_t n = 0;
    uint64_t end = 0;
    const int rc = slt_safetensors_parse_foreign(&all, &n, "input", json, bytes, data_bytes, &err);
    if (is_own && (rc != 0 || n != count))
        abort();
    for (size_t i = 0; i < n; end += all[i++].info.bytes)
        if (all[i].begin != end ||
            (is_own && (strcmp(all[i].name, tensors[i].name) != 0 ||
                        all[i].info.dtype != tensors[i].dtype || !all[i].is_known)))
            abort();
    if (rc == 0 && end != data_bytes)
        abort();
    slt_foreign_tensors_free(all, n);
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
    compare_foreign(tensors, count, rc == 0, (const char *)data + SLT_SAFETENSORS_PREFIX,
                    (size_t)header, rest - header);
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
