// Fuzz target: a whole checkpoint, tensors read in uneven pieces. tests/fuzz/run builds and runs
// it.
#include <stddef.h>
#include <stdint.h>

#include "slt/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Reads all of data as a checkpoint: 0 if it is whole.
static int fuzz_read_checkpoint(const uint8_t *data, size_t size)
{
    struct slt_error err;
    struct slt_input *in = NULL;
    struct slt_checkpoint_reader *reader = NULL;
    enum slt_section section;
    const struct slt_tensor_info *info;
    int rc = slt_input_memory(&in, "input", data, size, &err);
    if (rc != 0 || (rc = slt_checkpoint_open(&reader, in, &err)) != 0)
        return rc;
    while ((rc = slt_checkpoint_next(reader, &section, &info, &err)) == 1) {
        char piece[300];
        uint64_t left = info->bytes / 2;
        while (left > 0 && rc > 0) {
            const size_t n = left < sizeof piece ? (size_t)left : sizeof piece;
            if (slt_checkpoint_read(reader, piece, n, &err) != 0)
                rc = -1;
            left -= n;
        }
    }
    slt_checkpoint_close(reader);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)fuzz_read_checkpoint(data, size);
    return 0;
}
