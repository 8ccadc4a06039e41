// Fuzz target: config.json, ours and Hugging Face's; what is parsed must be written, and parsed and
// written again to the same text. tests/fuzz/run builds and runs it.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "slt/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Parses data as config.json: 0 if it is one.
static int fuzz_read_config(const uint8_t *data, size_t size)
{
    struct slt_error err;
    struct slt_config config, again;
    char *text = NULL, *same = NULL;
    const int rc = slt_config_parse(&config, "input", (const char *)data, size, &err);
    if (rc != 0)
        return rc;
    if (slt_config_write(&config, &text, &err) != 0 ||
        slt_config_parse(&again, "again", text, strlen(text), &err) != 0 ||
        slt_config_write(&again, &same, &err) != 0 || strcmp(text, same) != 0)
        abort();
    free(text);
    free(same);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)fuzz_read_config(data, size);
    return 0;
}
