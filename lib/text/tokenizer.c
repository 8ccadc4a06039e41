// Tokenizers: their bytes, what is known of them, and the calls that go to the kind.
#include <stdlib.h>
#include <string.h>

#include "core/threads.h"
#include "slt/tokenizer.h"
#include "text/buffer.h"
#include "text/json_tokenizer.h"
#include "text/kinds.h"
#include "text/sentencepiece.h"
#include "text/spm_model.h"

// A file is of the first kind that recognises it.
static const struct tokenizer_kind *const kinds[] = {&bpe_kind, &spm_kind};

struct slt_tokenizer {
    const struct tokenizer_kind *kind;
    void *model;
    struct slt_tokenizer_info info;
    void *data;
    size_t bytes;
};

// Whether ordinary text has ids: a tokenizer that lacks letters leaves them out without a word, and
// of one that lacks all nothing would be left.
static int check_text(const struct slt_tokenizer *t, const char *name, struct slt_error *err)
{
    static const char text[] = "The quick brown fox jumps over 13 lazy dogs, "
                               "\xd0\xbc\xd0\xb8\xd1\x80 \xe4\xb8\x96\xe7\x95\x8c "
                               "\xd8\xb9\xd8\xa7\xd9\x84\xd9\x85 "
                               "\xe0\xa4\xa6\xe0\xa5\x81 \xce\xba\xcf\x8c\xcf\x83";
    struct slt_token_ids ids = {0};
    int rc = t->kind->encode(t->model, &ids, text, sizeof text - 1, false, err);
    if (rc != 0 && rc != SLT_ERR_MEMORY) // which is for the text to say that meets it
        rc = 0;
    else if (rc == 0 && ids.count == 0)
        rc = slt_error_set(err, SLT_ERR_FORMAT,
                           "cannot use '%s': it turns ordinary text into no tokens at all", name);
    slt_token_ids_free(&ids);
    return rc;
}

void slt_tokenizer_digest(unsigned char digest[SLT_SHA256_BYTES], const void *data, size_t bytes)
{
    slt_sha256_of(digest, data,
                  bpe_kind.recognises(data, bytes) ? bytes : spm_ids_bytes(data, bytes));
}

int slt_tokenizer_load(struct slt_tokenizer **tokenizer, const char *name, const void *data,
                       size_t bytes, struct slt_error *err)
{
    struct slt_tokenizer *t = calloc(1, sizeof *t);
    int rc;
    if (t == NULL || (t->data = malloc(bytes + 1)) == NULL) {
        free(t);
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the tokenizer '%s'", name);
    }
    memcpy(t->data, data, bytes);
    t->bytes = bytes;
    for (size_t i = 0; t->kind == NULL; i++)
        if (kinds[i]->recognises(data, bytes))
            t->kind = kinds[i];
    if ((rc = t->kind->load(&t->model, name, t->data, bytes, err)) != 0) {
        slt_tokenizer_free(t);
        return rc;
    }
    t->info.kind = t->kind->name;
    slt_tokenizer_digest(t->info.digest, data, bytes);
    t->kind->info(t->model, &t->info);
    if ((rc = check_text(t, name, err)) != 0) {
        slt_tokenizer_free(t);
        return rc;
    }
    *tokenizer = t;
    return 0;
}

void slt_tokenizer_free(struct slt_tokenizer *t)
{
    if (t == NULL)
        return;
    t->kind->free(t->model);
    free(t->data);
    free(t);
}

const void *slt_tokenizer_model(const struct slt_tokenizer *t, const struct tokenizer_kind *kind)
{
    return t->kind == kind ? t->model : NULL;
}

uint32_t slt_tokenizer_find(const struct slt_tokenizer *t, const char *text)
{
    uint32_t id = 0;
    while (text != NULL && id < t->info.vocab_size &&
           strcmp(slt_tokenizer_piece(t, id).text, text) != 0)
        id++;
    return text != NULL && id < t->info.vocab_size ? id : SLT_TOKEN_NONE;
}

void slt_tokenizer_set_meaning(struct slt_tokenizer *t, const char *bos, const char *eos,
                               const char *pad)
{
    const uint32_t ids[] = {slt_tokenizer_find(t, bos), slt_tokenizer_find(t, eos),
                            slt_tokenizer_find(t, pad)};
    if (t->kind != &bpe_kind)
        return;
    json_tokenizer_set_meaning(t->model, ids);
    t->kind->info(t->model, &t->info);
}

const struct slt_tokenizer_info *slt_tokenizer_info(const struct slt_tokenizer *t)
{
    return &t->info;
}

const void *slt_tokenizer_data(const struct slt_tokenizer *t, size_t *bytes)
{
    *bytes = t->bytes;
    return t->data;
}

struct slt_piece slt_tokenizer_piece(const struct slt_tokenizer *t, uint32_t id)
{
    return t->kind->piece(t->model, id);
}

bool slt_tokenizer_adds_space(const struct slt_tokenizer *t)
{
    return t->kind->adds_space(t->model);
}

int slt_tokenizer_check_size(const struct slt_tokenizer *tokenizer, int64_t vocab_size,
                             const char *name, struct slt_error *err)
{
    const uint32_t count = slt_tokenizer_info(tokenizer)->vocab_size;
    return count <= vocab_size
               ? 0
               : slt_error_set(err, SLT_ERR_FORMAT,
                               "'%s': the tokenizer has %u tokens, the model rows for %lld only",
                               name, count, (long long)vocab_size);
}

int slt_tokenizer_encode(const struct slt_tokenizer *t, struct slt_token_ids *ids, const char *text,
                         size_t bytes, struct slt_error *err)
{
    return t->kind->encode(t->model, ids, text, bytes, false, err);
}

int slt_tokenizer_encode_batch(const struct slt_tokenizer *t, struct slt_token_ids *ids,
                               const char *const *texts, const size_t *bytes, size_t count,
                               int threads, struct slt_error *err)
{
    int rc = 0;
#pragma omp parallel for schedule(dynamic) num_threads(slt_thread_count(threads))
    for (size_t i = 0; i < count; i++) {
        struct slt_error mine;
        const int one = t->kind->encode(t->model, &ids[i], texts[i], bytes[i], true, &mine);
        if (one != 0) {
#pragma omp critical(slt_encode_error)
            rc = slt_error_copy(err, &mine);
        }
    }
    return rc;
}

int slt_tokenizer_decode(const struct slt_tokenizer *t, char **text, size_t *bytes,
                         const uint32_t *ids, size_t count, struct slt_error *err)
{
    return t->kind->decode(t->model, text, bytes, ids, count, false, err);
}

// The ids up to the next added token, or that token; *n: how many they are.
static int decode_stretch(const struct slt_tokenizer *t, struct text_buffer *b, const uint32_t *ids,
                          size_t count, bool is_rest, size_t *n, struct slt_error *err)
{
    size_t bytes;
    char *text;
    for (*n = 0; *n < count && ids[*n] < t->info.vocab_size; ++*n)
        if (t->kind->is_added(t->model, ids[*n]))
            break;
    if (*n == 0 && ids[0] < t->info.vocab_size) {
        const struct slt_piece piece = slt_tokenizer_piece(t, ids[0]);
        *n = 1;
        return text_buffer_add(b, piece.text, strlen(piece.text), err);
    }
    *n += *n == 0; // an id that is outside, which decoding refuses
    int rc = t->kind->decode(t->model, &text, &bytes, ids, *n, is_rest, err);
    if (rc == 0) {
        rc = text_buffer_add(b, text, bytes, err);
        free(text);
    }
    return rc;
}

int slt_tokenizer_decode_document(const struct slt_tokenizer *t, char **text, size_t *bytes,
                                  const uint32_t *ids, size_t count, struct slt_error *err)
{
    struct text_buffer b = {0};
    int rc = 0;
    for (size_t at = 0, n; rc == 0 && at < count; at += n)
        rc = decode_stretch(t, &b, ids + at, count - at, at > 0, &n, err);
    if (rc == 0)
        rc = text_buffer_add(&b, "", 1, err);
    if (rc != 0) {
        free(b.data);
        return rc;
    }
    *text = b.data;
    *bytes = b.bytes - 1;
    return 0;
}

int slt_tokenizer_train(void **model, size_t *bytes, slt_sentence_source *source, void *user,
                        uint32_t vocab_size, struct slt_error *err)
{
    return spm_train(model, bytes, source, user, vocab_size, err);
}
