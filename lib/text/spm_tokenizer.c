// SentencePiece models as a kind of tokenizer. libsentencepiece does the work; the tokens that a
// model was given besides are looked for before, and each text between them is one of its own.
#include "text/spm_tokenizer.h"

#include "text/buffer.h"
#include "text/kinds.h"
#include "text/sentencepiece.h"

static bool recognises(const void *data, size_t bytes)
{
    (void)data;
    (void)bytes;
    return true;
}

static void release(void *model)
{
    struct spm_tokenizer *t = model;
    if (t == NULL)
        return;
    spm_engine_close(t->engine);
    spm_engine_close(t->rest);
    spm_engine_close(t->whole);
    added_free(&t->added);
    spm_model_clear(&t->model);
    free(t->texts);
    free(t->text);
    free(t);
}

// ---- Loading ----

static int keep_texts(struct spm_tokenizer *t, struct slt_error *err)
{
    struct text_buffer all = {0};
    t->text = malloc(t->model.count * sizeof *t->text);
    int rc = t->text == NULL
                 ? slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate %u pieces", t->model.count)
                 : 0;
    for (uint32_t i = 0; rc == 0 && i < t->model.count; i++) {
        t->text[i] = all.bytes;
        rc = text_buffer_add(&all, t->model.piece[i].text, t->model.piece[i].bytes, err);
        if (rc == 0)
            rc = text_buffer_add(&all, "", 1, err);
    }
    t->texts = all.data;
    return rc;
}

static int add_tokens(struct spm_tokenizer *t, struct slt_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < t->model.added_count; i++) {
        const struct spm_added *a = &t->model.added[i];
        const struct spm_piece *piece = &t->model.piece[a->id];
        struct added_token token = {.text = malloc(piece->bytes),
                                    .bytes = piece->bytes,
                                    .id = a->id,
                                    .lstrip = a->lstrip,
                                    .rstrip = a->rstrip,
                                    .single_word = a->single_word};
        if (token.text == NULL)
            return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate an added token");
        memcpy(token.text, piece->text, piece->bytes);
        rc = added_put(&t->added, &token, err);
    }
    return rc;
}

// A second model that puts no space before a text: of a message that comes twice, protocol buffers
// take what the later one says.
static int open_rest(struct spm_tokenizer *t, struct slt_error *err)
{
    const size_t bytes = t->model.own_bytes;
    static const char no_space[] = {3 << 3 | 2, 2, 3 << 3, 0}; // normalizer_spec.add_dummy_prefix
    char *file = malloc(bytes + sizeof no_space);
    if (file == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a tokenizer");
    memcpy(file, t->file, bytes);
    memcpy(file + bytes, no_space, sizeof no_space);
    const int rc = spm_engine_open(&t->rest, file, bytes + sizeof no_space, err);
    free(file);
    return rc;
}

static int load(void **model, const char *name, const void *data, size_t bytes,
                struct slt_error *err)
{
    struct spm_tokenizer *t = calloc(1, sizeof *t);
    if (t == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the tokenizer '%s'", name);
    t->file = data;
    int rc = spm_model_read(&t->model, t->file, bytes, err);
    if (rc == 0)
        rc = spm_engine_open(&t->engine, data, t->model.own_bytes, err);
    if (rc == 0 && t->model.count > t->model.own_count)
        rc = spm_engine_open(&t->whole, data, bytes, err);
    if (rc == SLT_ERR_FORMAT)
        slt_error_set(err, rc, "'%s' is neither a SentencePiece model nor a tokenizer.json", name);
    if (rc == 0)
        rc = keep_texts(t, err);
    if (rc == 0)
        rc = add_tokens(t, err);
    if (rc == 0 && t->model.space_first)
        rc = open_rest(t, err);
    if (rc != 0)
        release(t);
    else
        *model = t;
    return rc;
}

static void info_of(const void *model, struct slt_tokenizer_info *info)
{
    const struct spm_tokenizer *t = model;
    info->vocab_size = t->model.count;
    info->bos = t->model.bos;
    info->eos = t->model.eos;
    info->pad = t->model.pad;
    info->unk = spm_engine_unknown(t->engine);
    info->adds_bos = t->model.adds_bos;
    info->adds_eos = t->model.adds_eos;
}

static struct slt_piece piece_of(const void *model, uint32_t id)
{
    const struct spm_tokenizer *t = model;
    return (struct slt_piece){t->texts + t->text[id], t->model.piece[id].score,
                              t->model.piece[id].type};
}

static bool adds_space(const void *model)
{
    const struct spm_model *m = &((const struct spm_tokenizer *)model)->model;
    return m->adds_space && !m->space_behind;
}

// ---- Texts ----

// Of a model that puts a space before the first text only: one that has it gets no other, which is
// how transformers does it there.
static bool has_space(const char *text, size_t bytes)
{
    static const char mark[] = "\xe2\x96\x81";
    return *text == ' ' || (bytes >= sizeof mark - 1 && memcmp(text, mark, sizeof mark - 1) == 0);
}

// Where EOS is text it goes to SentencePiece as any other.
static int encode(const void *model, struct slt_token_ids *ids, const char *text, size_t bytes,
                  bool eos_is_text, struct slt_error *err)
{
    const struct spm_tokenizer *t = model;
    struct added_cursor cursor = {.is_text = eos_is_text ? t->model.eos : SLT_TOKEN_NONE};
    struct added_stretch s;
    int rc = 0;
    while (rc == 0 && added_next(&t->added, &cursor, text, bytes, &s)) {
        const bool rests = s.from > 0 || has_space(text, bytes);
        const void *engine = t->rest != NULL && rests ? t->rest : t->engine;
        if (s.token == NULL)
            rc = spm_engine_encode(engine, ids, text + s.from, s.to - s.from, err);
        else if ((rc = slt_token_ids_reserve(ids, 1, err)) == 0)
            ids->id[ids->count++] = s.token->id;
    }
    return rc;
}

static bool is_added(const void *model, uint32_t id)
{
    const struct spm_tokenizer *t = model;
    for (size_t i = 0; i < t->added.count; i++)
        if (t->added.token[i].id == id)
            return true;
    return false;
}

static int decode(const void *model, char **text, size_t *bytes, const uint32_t *ids, size_t count,
                  bool is_rest, struct slt_error *err)
{
    const struct spm_tokenizer *t = model;
    const void *engine = is_rest && t->rest != NULL ? t->rest // behind an added token are none
                         : t->whole != NULL         ? t->whole
                                                    : t->engine;
    uint32_t *shown = malloc(count * sizeof *shown + 1);
    size_t n = 0;
    int rc = 0;
    if (shown == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate %zu token ids", count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (ids[i] >= t->model.count)
            rc = slt_error_set(err, SLT_ERR_RANGE, "token %u is outside the vocabulary of %u",
                               ids[i], t->model.count);
        else if (t->model.piece[ids[i]].type != SLT_PIECE_CONTROL)
            shown[n++] = ids[i];
    }
    if (rc == 0)
        rc = spm_engine_decode(engine, text, bytes, shown, n, err);
    free(shown);
    return rc;
}

const struct tokenizer_kind spm_kind = {
    "tokenizer.model", recognises, load, release, info_of, piece_of, adds_space, encode, decode,
    is_added,
};
