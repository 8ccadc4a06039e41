// A folder for the files of a tokenizer, and the ids that it gives.
#ifndef SLT_TESTS_TOKENIZER_FOLDER_H
#define SLT_TESTS_TOKENIZER_FOLDER_H

#include <stdio.h>
#include <unistd.h>

#include "check.h"
#include "slt/stream.h"
#include "slt/tokenizer.h"

static char test_folder[] = "/tmp/slt-test-tokenizer-XXXXXX";

static inline void put_file(const char *name, const void *data, size_t bytes)
{
    char path[100];
    struct slt_output *out = NULL;
    struct slt_error err;
    snprintf(path, sizeof path, "%s/%s", test_folder, name);
    CHECK_OK(slt_output_open(&out, path, NULL, &err), err);
    CHECK_OK(slt_output_write(out, data, bytes, &err), err);
    CHECK_OK(slt_output_publish(out, &err), err);
}

static inline void put_text(const char *name, const char *text)
{
    put_file(name, text, strlen(text));
}

static inline void clear_folder(void)
{
    static const char *const names[] = {
        "tokenizer.model",   "spiece.model", "tokenizer.json", "tokenizer_config.json",
        "added_tokens.json", "vocab.json",   "merges.txt",     "special_tokens_map.json"};
    char path[100];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", test_folder, names[i]);
        unlink(path);
    }
}

static inline struct slt_tokenizer *open_folder(void)
{
    struct slt_tokenizer *t = NULL;
    struct slt_error err;
    CHECK_OK(slt_tokenizer_open(&t, test_folder, NULL, &err), err);
    return t;
}

// The ids of a text as numbers with spaces between.
static inline const char *ids_of(const struct slt_tokenizer *t, const char *text)
{
    static char line[2000];
    struct slt_token_ids ids = {0};
    struct slt_error err;
    size_t n = 0;
    CHECK_OK(slt_tokenizer_encode(t, &ids, text, strlen(text), &err), err);
    line[0] = '\0';
    for (size_t i = 0; i < ids.count && n + 12 < sizeof line; i++)
        n += (size_t)snprintf(line + n, sizeof line - n, i > 0 ? " %u" : "%u", ids.id[i]);
    slt_token_ids_free(&ids);
    return line;
}

static inline void check_ids(const struct slt_tokenizer *t, const char *text, const char *wanted)
{
    const char *got = ids_of(t, text);
    CHECK(strcmp(got, wanted) == 0, "'%s': %s, not %s", text, got, wanted);
}

#endif
