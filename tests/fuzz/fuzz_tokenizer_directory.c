// Fuzz target: the files of a directory that say what a tokenizer has besides. The input is a
// tokenizer_config.json, behind its first NUL an added_tokens.json, and behind the next one a
// special_tokens_map.json; the tokenizer itself is a small one. tests/fuzz/run builds and runs it.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files/tokenizer_directory.h"
#include "tests/fuzz/tokenizer_stub.h"
#include "text/kinds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_write(const char *folder, const char *name, const void *data, size_t bytes)
{
    char path[100];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(data, 1, bytes, f) != bytes || fclose(f) != 0)
        abort();
}

static void fuzz_remove(const char *folder)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json",
                                        "added_tokens.json", "special_tokens_map.json", ""};
    char path[100];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (*names[i] != '\0')
            unlink(path);
    }
    rmdir(folder);
}

static void on_note(void *user, const char *sentence)
{
    *(size_t *)user += strlen(sentence);
}

// 0 if the directory has a tokenizer that can be used.
static int fuzz_read_tokenizer_directory(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"tokenizer_config.json", "added_tokens.json",
                                        "special_tokens_map.json"};
    static const char json[] =
        "{\"added_tokens\": [{\"id\": 4, \"content\": \"<s>\", \"special\": true}], "
        "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, "
        "\"model\": {\"vocab\": {\"T\": 0, \"h\": 1, \"e\": 2, \"he\": 3}, \"merges\": [\"h e\"]}}";
    char folder[] = "/tmp/slt-fuzz-XXXXXX";
    struct slt_tokenizer *tokenizer = NULL;
    struct slt_error err;
    if (mkdtemp(folder) == NULL)
        abort();
    fuzz_write(folder, "tokenizer.json", json, sizeof json - 1);
    for (size_t i = 0; i < 3; i++) {
        const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
        const size_t bytes = nul != NULL ? (size_t)(nul - data) : size;
        if (bytes > 0)
            fuzz_write(folder, names[i], data, bytes);
        data += nul != NULL ? bytes + 1 : bytes;
        size -= nul != NULL ? bytes + 1 : bytes;
    }
    size_t noted = 0;
    const struct slt_tokenizer_listener listener = {on_note, &noted};
    const int rc = slt_tokenizer_of_directory(&tokenizer, folder, &listener, NULL, &err);
    if (rc == 0)
        slt_tokenizer_free(tokenizer);
    fuzz_remove(folder);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)fuzz_read_tokenizer_directory(data, size);
    return 0;
}
