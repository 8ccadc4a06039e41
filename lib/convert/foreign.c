// Models of other programs that are known and not read: what they are, and how they can be.
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "convert/foreign.h"
#include "core/bytes.h"
#include "files/safetensors.h"

#define SAVE_AS_SAFETENSORS "load the model in transformers and save it as safetensors"

static bool has(const char *directory, const char *name)
{
    char path[PATH_MAX];
    bool exists = false;
    const int n = snprintf(path, sizeof path, "%s/%s", directory, name);
    // What cannot be looked up is found out by who opens it.
    return n < (int)sizeof path && slt_file_exists(&exists, path, NULL) == 0 && exists;
}

// Anything that may be safetensors of a whole model, which then says itself what is wrong with it.
static bool has_safetensors(const char *directory)
{
    char path[PATH_MAX];
    bool exists;
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        if (slt_file_exists(&exists, path, NULL) != 0 || exists)
            return true;
    }
    return false;
}

int slt_foreign_check_adapter(const char *directory, struct slt_error *err)
{
    if (has_safetensors(directory) || !has(directory, "adapter_config.json"))
        return 0;
    return slt_error_set(err, SLT_ERR_FORMAT,
                         "'%s' is a PEFT adapter without its base model: merge them in Python "
                         "(merge_and_unload) and save the result",
                         directory);
}

int slt_foreign_check_pickles(const char *directory, struct slt_error *err)
{
    static const char *const names[] = {"pytorch_model.bin", "pytorch_model.bin.index.json",
                                        "consolidated.00.pth"};
    for (size_t i = 0; i < sizeof names / sizeof *names && !has_safetensors(directory); i++)
        if (has(directory, names[i]))
            return slt_error_set(
                err, SLT_ERR_FORMAT,
                "'%s' has its weights in '%s', a pickle, which is not read: " SAVE_AS_SAFETENSORS,
                directory, names[i]);
    return 0;
}

int slt_convert_check_file(const char *name, const void *data, uint64_t bytes,
                           struct slt_error *err)
{
    const unsigned char *head = data;
    if (bytes < 16)
        return 0;
    if (memcmp(head, "PK\003\004", 4) == 0 || (head[0] == 0x80 && head[1] >= 2 && head[1] <= 5))
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s' is a pickle of PyTorch, which is not read: " SAVE_AS_SAFETENSORS,
                             name);
    if (memcmp(head, "GGUF", 4) == 0)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is a GGUF file, which is written, not read",
                             name);
    if (slt_load_u64(head) < SLT_SAFETENSORS_HEADER_MAX && head[SLT_SAFETENSORS_PREFIX] == '{')
        return slt_error_set(
            err, SLT_ERR_FORMAT,
            "'%s' is a safetensors file: give its directory, which has config.json", name);
    return 0;
}
