// Hugging Face's tokenizer.json (BPE) as a kind of tokenizer.
//
// A text is cut at added tokens, what lies between them is normalized, cut at those added tokens
// that are looked for in normalized text, and split into words, which byte-pair encoding turns into
// ids. Bytes that are not UTF-8 are words of their own; so a byte-level tokenizer without a
// normalizer gives back every text byte by byte.
#include "text/json_tokenizer.h"

#include "core/utf8.h"
#include "text/kinds.h"

// What one call needs; those that are not in use wait in the tokenizer's list.
struct encoder {
    struct encoder *next;
    const struct json_tokenizer *tokenizer;
    struct slt_token_ids *ids;
    uint32_t is_text; // the added token whose text is text, or SLT_TOKEN_NONE
    struct bpe_scratch bpe;
    struct words_scratch words;
    struct text_buffer normal[2];
};

static void encoder_free(struct encoder *e)
{
    bpe_scratch_free(&e->bpe);
    words_scratch_free(&e->words);
    free(e->normal[0].data);
    free(e->normal[1].data);
    free(e);
}

// ---- Loading ----

static void release(void *model)
{
    struct json_tokenizer *t = model;
    if (t == NULL)
        return;
    while (t->idle != NULL) {
        struct encoder *e = t->idle;
        t->idle = e->next;
        encoder_free(e);
    }
    json_tokenizer_clear(t);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static int load(void **model, const char *name, const void *data, size_t bytes,
                struct slt_error *err)
{
    struct json_tokenizer *t = calloc(1, sizeof *t);
    if (t == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the tokenizer '%s'", name);
    pthread_mutex_init(&t->lock, NULL);
    const int rc = json_tokenizer_read(t, name, data, bytes, err);
    if (rc != 0)
        release(t);
    else
        *model = t;
    return rc;
}

static bool recognises(const void *data, size_t bytes)
{
    return bytes > 0 && *(const char *)data == '{';
}

static void info_of(const void *model, struct slt_tokenizer_info *info)
{
    const struct slt_tokenizer_info *mine = &((const struct json_tokenizer *)model)->info;
    info->vocab_size = mine->vocab_size;
    info->bos = mine->bos;
    info->eos = mine->eos;
    info->pad = mine->pad;
    info->unk = mine->unk;
    info->adds_bos = mine->adds_bos;
    info->adds_eos = mine->adds_eos;
}

static struct slt_piece piece_of(const void *model, uint32_t id)
{
    const struct vocabulary *v = &((const struct json_tokenizer *)model)->bpe.vocabulary;
    return (struct slt_piece){vocabulary_text(v, id), 0, v->piece[id].type};
}

static bool adds_space(const void *model)
{
    return ((const struct json_tokenizer *)model)->adds_space;
}

// ---- Encoding ----

static int put_word(void *user, const char *word, size_t bytes, struct slt_error *err)
{
    struct encoder *e = user;
    return bpe_encode(&e->tokenizer->bpe, &e->bpe, e->ids, word, bytes, err);
}

static int put_token(struct encoder *e, uint32_t id, struct slt_error *err)
{
    const int rc = slt_token_ids_reserve(e->ids, 1, err);
    if (rc == 0)
        e->ids->id[e->ids->count++] = id;
    return rc;
}

// Text between added tokens, which is UTF-8.
static int put_text(struct encoder *e, struct words_text w, struct slt_error *err)
{
    const struct json_tokenizer *t = e->tokenizer;
    struct added_cursor cursor = {.is_text = e->is_text};
    struct added_stretch s;
    int rc = normalize(&t->normalizer, e->normal, &w.text, &w.bytes, w.starts, err);
    while (rc == 0 && added_next(&t->normal, &cursor, w.text, w.bytes, &s)) {
        const struct words_text part = {.text = w.text + s.from,
                                        .bytes = s.to - s.from,
                                        .starts = w.starts || s.from > 0,
                                        .is_first = w.is_first && s.from == 0};
        rc = s.token != NULL ? put_token(e, s.token->id, err)
                             : words_split(&t->words, &e->words, &part, put_word, e, err);
    }
    return rc;
}

// The same where there may be bytes that are not UTF-8.
static int put_bytes(struct encoder *e, const char *text, size_t bytes, bool is_first,
                     struct slt_error *err)
{
    int rc = 0;
    for (size_t at = 0, n; rc == 0 && at < bytes; at += n) {
        n = slt_utf8_valid(text + at, bytes - at);
        if (n > 0)
            rc = put_text(e, (struct words_text){text + at, n, at == 0, is_first && at == 0}, err);
        for (at += n, n = 0; at + n < bytes && slt_utf8_length(text + at + n, bytes - at - n) == 0;)
            n++;
        if (rc == 0)
            rc = put_word(e, text + at, n, err);
    }
    return rc;
}

static struct encoder *take_encoder(const struct json_tokenizer *t)
{
    // The list is no part of what the tokenizer is.
    struct json_tokenizer *own = (struct json_tokenizer *)t;
    pthread_mutex_lock(&own->lock);
    struct encoder *e = own->idle;
    if (e != NULL)
        own->idle = e->next;
    pthread_mutex_unlock(&own->lock);
    if (e == NULL && (e = calloc(1, sizeof *e)) != NULL)
        e->tokenizer = t;
    return e;
}

static void give_encoder(const struct json_tokenizer *t, struct encoder *e)
{
    struct json_tokenizer *own = (struct json_tokenizer *)t;
    pthread_mutex_lock(&own->lock);
    e->next = own->idle;
    own->idle = e;
    pthread_mutex_unlock(&own->lock);
}

static int encode(const void *model, struct slt_token_ids *ids, const char *text, size_t bytes,
                  bool eos_is_text, struct slt_error *err)
{
    const struct json_tokenizer *t = model;
    const uint32_t is_text = eos_is_text ? t->info.eos : SLT_TOKEN_NONE;
    struct added_cursor cursor = {.is_text = is_text};
    struct added_stretch s;
    struct encoder *e = take_encoder(t);
    int rc = 0;
    if (e == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate an encoder");
    e->ids = ids;
    e->is_text = is_text;
    while (rc == 0 && added_next(&t->raw, &cursor, text, bytes, &s))
        rc = s.token != NULL ? put_token(e, s.token->id, err)
                             : put_bytes(e, text + s.from, s.to - s.from, s.from == 0, err);
    give_encoder(t, e);
    return rc;
}

// ---- Decoding ----

static bool is_added(const void *model, uint32_t id)
{
    const enum slt_piece_type type = piece_of(model, id).type;
    return type == SLT_PIECE_CONTROL || type == SLT_PIECE_USER;
}

static int decode(const void *model, char **text, size_t *bytes, const uint32_t *ids, size_t count,
                  bool is_rest, struct slt_error *err)
{
    const struct json_tokenizer *t = model;
    const struct vocabulary *v = &t->bpe.vocabulary;
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        if (ids[i] >= v->count)
            return slt_error_set(err, SLT_ERR_RANGE, "token %u is outside the vocabulary of %u",
                                 ids[i], v->count);
        total += v->piece[ids[i]].type == SLT_PIECE_CONTROL ? 0 : v->piece[ids[i]].raw_bytes;
    }
    char *out = malloc(total + 1);
    if (out == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate decoded text");
    total = 0;
    for (size_t i = 0; i < count; i++) {
        const struct vocab_piece *p = &v->piece[ids[i]];
        if (p->type == SLT_PIECE_CONTROL)
            continue;
        memcpy(out + total, vocabulary_raw(v, ids[i]), p->raw_bytes);
        total += p->raw_bytes;
    }
    const bool first_only = t->words.count > 0 && t->words.step[0].prefix == PREFIX_FIRST;
    const bool had_space = t->strips_space && !(is_rest && first_only);
    if (had_space && total > 0 && out[0] == ' ')
        memmove(out, out + 1, --total);
    out[total] = '\0';
    *text = out;
    *bytes = total;
    return 0;
}

const struct tokenizer_kind bpe_kind = {
    "tokenizer.json", recognises, load, release, info_of, piece_of, adds_space, encode, decode,
    is_added,
};
