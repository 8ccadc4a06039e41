// Hugging Face's tokenizer.json with a model of kind BPE: what is read from the file.
#ifndef SLT_TEXT_JSON_TOKENIZER_H
#define SLT_TEXT_JSON_TOKENIZER_H

#include <jansson.h>
#include <pthread.h>

#include "text/added.h"
#include "text/bpe.h"
#include "text/normalize.h"
#include "text/words.h"

struct json_tokenizer {
    struct bpe bpe;
    struct added_set raw, normal; // looked for before and after text is normalized
    struct normalizer normalizer;
    struct words words;
    struct slt_tokenizer_info info; // without kind and digest
    bool adds_space;                // before text that is encoded
    bool strips_space;              // from the start of text that is decoded
    pthread_mutex_t lock;
    struct encoder *idle; // a list of what encoding needs besides, one for each thread at work
};

// Fills a zeroed *t, which the caller frees with json_tokenizer_clear also on failure.
int json_tokenizer_read(struct json_tokenizer *t, const char *name, const void *data, size_t bytes,
                        struct slt_error *err) SLT_CHECK_RESULT;
// Everything but the encoders.
void json_tokenizer_clear(struct json_tokenizer *t);

// The JSON of a tokenizer.json, with a noncharacter where it has NULs, which jansson takes in no
// key; the caller owns *root.
int json_tokenizer_parse(json_t **root, const char *name, const void *data, size_t bytes,
                         struct slt_error *err) SLT_CHECK_RESULT;
// The text of such JSON, in ASCII; the caller frees *file.
int json_tokenizer_print(void **file, size_t *file_bytes, const json_t *root, struct slt_error *err)
    SLT_CHECK_RESULT;
// Gives BOS, EOS, PAD other ids, where these are not SLT_TOKEN_NONE.
void json_tokenizer_set_meaning(struct json_tokenizer *t, const uint32_t ids[3]);

// The last pattern of a way of splitting that has this name in GGUF files.
const char *json_tokenizer_pattern(const char *name);
// The name of the way it splits text in GGUF files ("tokenizer.ggml.pre"), or NULL where llama.cpp
// has none that gives the same words.
const char *json_tokenizer_gguf_pre(const struct json_tokenizer *t);

// ---- Readers of its parts ----

int json_tokenizer_read_normalizer(struct json_tokenizer *t, const json_t *json,
                                   struct slt_error *err) SLT_CHECK_RESULT;
int json_tokenizer_read_words(struct json_tokenizer *t, const json_t *json,
                              struct slt_error *err) SLT_CHECK_RESULT;
// The ids of BOS, EOS, PAD, by the rule in slt/tokenizer.h.
void json_tokenizer_find_specials(struct json_tokenizer *t, const json_t *root);

#endif
