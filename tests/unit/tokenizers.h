// The tokenizer.json files that tests use: small ones of tests/vectors, and GPT-2's and RoBERTa's
// put together from the vocabularies of the shared data.
#ifndef SLT_TESTS_TOKENIZERS_H
#define SLT_TESTS_TOKENIZERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "slt/stream.h"
#include "slt/tokenizer.h"

#define VECTORS "tests/vectors/"

static inline const char *shared_folder(void)
{
    const char *folder = getenv("SLT_SHARED");
    return folder != NULL ? folder : "../shared";
}

// A whole file, NUL-terminated; NULL if it cannot be read.
static inline char *read_text(const char *path, size_t *bytes)
{
    struct slt_error err;
    void *data;
    size_t count;
    if (slt_file_read(&data, &count, path, (size_t)1 << 26, NULL, &err) != 0)
        return NULL;
    char *text = realloc(data, count + 1);
    text[count] = '\0';
    if (bytes != NULL)
        *bytes = count;
    return text;
}

static inline json_t *read_json(const char *path)
{
    size_t bytes;
    char *text = read_text(path, &bytes);
    json_t *json = text != NULL ? json_loadb(text, bytes, 0, NULL) : NULL;
    free(text);
    return json;
}

static inline json_t *merges_of(char *text)
{
    json_t *list = json_array();
    for (char *line = strchr(text, '\n') + 1, *end; *line != '\0'; line = end + 1) {
        if ((end = strchr(line, '\n')) == NULL)
            break;
        *end = '\0';
        json_array_append_new(list, json_string(line));
    }
    return list;
}

// The base of a case: "bytes" or "spaces" of tests/vectors, "gpt2" or "roberta" of the shared data.
// NULL where the data is missing.
static inline json_t *tokenizer_base(const char *name)
{
    char path[4096], merges[4096];
    if (strcmp(name, "bytes") == 0 || strcmp(name, "spaces") == 0) {
        snprintf(path, sizeof path, VECTORS "tokenizer-%s.json", name);
        return read_json(path);
    }
    snprintf(path, sizeof path, "%s/data/tokenizers/%s/vocab.json", shared_folder(), name);
    snprintf(merges, sizeof merges, "%s/data/tokenizers/gpt2/merges.txt", shared_folder());
    json_t *vocab = read_json(path);
    char *text = read_text(merges, NULL);
    json_t *root = NULL;
    if (vocab != NULL && text != NULL)
        root = json_pack("{s:{s:s, s:b}, s:{s:s, s:O, s:o}}", "pre_tokenizer", "type", "ByteLevel",
                         "add_prefix_space", 0, "model", "type", "BPE", "vocab", vocab, "merges",
                         merges_of(text));
    json_decref(vocab);
    free(text);
    return root;
}

// Loads what a JSON value is as a file.
static inline int load_tokenizer(struct slt_tokenizer **tokenizer, const json_t *root,
                                 struct slt_error *err)
{
    char *text = json_dumps(root, JSON_COMPACT);
    const int rc = slt_tokenizer_load(tokenizer, "tokenizer.json", text, strlen(text), err);
    free(text);
    return rc;
}

#endif
