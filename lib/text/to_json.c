// SentencePiece models as tokenizer.json files.
//
// Their normalisation is: the compiled rules, then of spaces none at the ends and one between
// words, then a space before the text, then U+2581 for each space. All of it is in the normalizer,
// so that it is done to every text between added tokens, as SentencePiece does it for slt. The
// pieces that a user has defined are looked for in normalized text, where SentencePiece looks.
#include "text/to_json.h"

#include <ctype.h>
#include <stdlib.h>

#include "core/json.h"
#include "core/utf8.h"
#include "text/json_tokenizer.h"
#include "text/kinds.h"
#include "text/spm_merges.h"
#include "text/spm_tokenizer.h"

#define MARK "\xe2\x96\x81" // U+2581

static int no_memory(struct slt_error *err)
{
    return slt_error_set(err, SLT_ERR_MEMORY,
                         "cannot allocate a tokenizer.json, or its pieces are not UTF-8");
}

static json_t *piece_text(const struct spm_piece *p)
{
    return json_stringn(p->text, p->bytes);
}

// ---- Normalizer ----

static json_t *base64(const char *data, size_t bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)data;
    char *text = malloc(4 * (bytes / 3 + 1) + 1), *to = text;
    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < bytes; i += 3) {
        const size_t n = bytes - i < 3 ? bytes - i : 3;
        const uint32_t group = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                               (n > 2 ? (uint32_t)p[i + 2] : 0);
        for (size_t d = 0; d < 4; d++)
            *to++ = d <= n ? digits[group >> (18 - 6 * d) & 63] : '=';
    }
    json_t *json = json_stringn(text, (size_t)(to - text));
    free(text);
    return json;
}

static json_t *replace(const char *kind, const char *pattern, const char *content)
{
    return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", kind, pattern, "content",
                     content);
}

static int put_escaped(struct text_buffer *b, const char *text, size_t bytes, struct slt_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < bytes; i++) {
        rc = text_buffer_add(b, "\\", ispunct((unsigned char)text[i]) != 0, err);
        if (rc == 0)
            rc = text_buffer_add(b, text + i, 1, err);
    }
    return rc;
}

// A pattern of the prefix before a text that is one of the user's pieces and nothing else: these
// are normalized, too, and must not get it.
static int put_alone(struct text_buffer *b, const struct spm_model *m, struct slt_error *err)
{
    static const char start[] = "\\A" MARK "(?=(?:", end[] = ")\\z)";
    bool has_one = false;
    int rc = text_buffer_add(b, start, sizeof start - 1, err);
    for (uint32_t id = 0; rc == 0 && id < m->own_count; id++) {
        const struct spm_piece *p = &m->piece[id];
        if (p->type != SLT_PIECE_USER)
            continue;
        rc = text_buffer_add(b, "|", has_one, err);
        has_one = true;
        if (rc == 0)
            rc = put_escaped(b, p->text, p->bytes, err);
    }
    if (rc == 0)
        rc = text_buffer_add(b, end, sizeof end, err); // with its NUL
    return rc;
}

static bool has_user_pieces(const struct spm_model *m)
{
    uint32_t id = 0;
    while (id < m->own_count && m->piece[id].type != SLT_PIECE_USER)
        id++;
    return id < m->own_count;
}

static int make_normalizer(json_t **normalizer, const struct spm_model *m, struct slt_error *err)
{
    json_t *steps = json_array();
    struct text_buffer alone = {0};
    const bool adds_space = m->adds_space && !m->space_first;
    int rc = 0;
    if (m->charsmap != NULL)
        json_array_append_new(steps,
                              json_pack("{s:s, s:o}", "type", "Precompiled", "precompiled_charsmap",
                                        base64(m->charsmap, m->charsmap_bytes)));
    if (m->removes_spaces) {
        json_array_append_new(steps, replace("Regex", "\\A +|[ " MARK "]+\\z", ""));
        json_array_append_new(steps, replace("Regex", " {2,}", " "));
    }
    if (adds_space)
        json_array_append_new(steps, json_pack("{s:s, s:s}", "type", "Prepend", "prepend", MARK));
    if (!m->space_first) // Metaspace does it then
        json_array_append_new(steps, replace("String", " ", MARK));
    if (adds_space && has_user_pieces(m)) {
        rc = put_alone(&alone, m, err);
        if (rc == 0)
            json_array_append_new(steps, replace("Regex", alone.data, ""));
    }
    free(alone.data);
    *normalizer = json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", steps);
    return rc;
}

// ---- Added tokens ----

static const struct spm_added *added_of(const struct spm_model *m, uint32_t id)
{
    for (size_t i = 0; i < m->added_count; i++)
        if (m->added[i].id == id)
            return &m->added[i];
    return NULL;
}

// Whether a piece is found before the model sees a text. Control pieces stay text in a text, as
// SentencePiece has it, but for those that transformers looks for in any case.
static bool is_added(const struct spm_model *m, uint32_t id)
{
    const uint32_t meanings[] = {m->bos, m->eos, m->pad, m->own_bos, m->own_eos, m->own_pad};
    bool is = m->piece[id].type == SLT_PIECE_UNKNOWN || m->piece[id].type == SLT_PIECE_USER ||
              added_of(m, id) != NULL;
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        is = is || meanings[i] == id;
    return is;
}

// ---- Model ----

static int make_bpe(json_t **model, const struct spm_model *m, const char *unknown,
                    struct slt_error *err)
{
    struct spm_merge *merge;
    size_t count;
    json_t *vocab = json_object(), *merges = json_array();
    int rc = spm_merges(&merge, &count, m, err);
    for (uint32_t id = 0; rc == 0 && id < m->count; id++)
        if (json_object_setn_new(vocab, m->piece[id].text, m->piece[id].bytes, json_integer(id)) !=
            0)
            rc = no_memory(err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (json_array_append_new(merges, json_pack("[o, o]", piece_text(&m->piece[merge[i].left]),
                                                    piece_text(&m->piece[merge[i].right]))) != 0)
            rc = no_memory(err);
    free(merge);
    *model = json_pack("{s:s, s:n, s:s?, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE",
                       "dropout", "unk_token", unknown, "continuing_subword_prefix",
                       "end_of_word_suffix", "fuse_unk", true, "byte_fallback", m->byte_fallback,
                       "ignore_merges", false, "vocab", vocab, "merges", merges);
    return rc;
}

// A piece that no text gives, in a list whose every entry may be found in a text: with a space
// behind it, which normalized text has not.
static json_t *hidden_text(const struct spm_piece *p)
{
    struct text_buffer b = {0};
    json_t *json = NULL;
    if (text_buffer_add(&b, p->text, p->bytes, NULL) == 0 && text_buffer_add(&b, " ", 1, NULL) == 0)
        json = json_stringn(b.data, b.bytes);
    free(b.data);
    return json;
}

static int make_unigram(json_t **model, const struct spm_model *m, uint32_t unknown,
                        struct slt_error *err)
{
    json_t *vocab = json_array();
    int rc = 0;
    for (uint32_t id = 0; rc == 0 && id < m->count; id++) {
        const struct spm_piece *p = &m->piece[id];
        const bool hidden =
            !is_added(m, id) && (p->type == SLT_PIECE_UNUSED || p->type == SLT_PIECE_CONTROL);
        if (json_array_append_new(vocab,
                                  json_pack("[o, f]", hidden ? hidden_text(p) : piece_text(p),
                                            hidden ? 0 : (double)p->score)) != 0)
            rc = no_memory(err);
    }
    *model = json_pack("{s:s, s:I, s:o, s:b}", "type", "Unigram", "unk_id", (json_int_t)unknown,
                       "vocab", vocab, "byte_fallback", m->byte_fallback);
    return rc;
}

// ---- Texts of control pieces ----

// The next character of a piece at *at, on which it moves; 0 bytes at the end.
static size_t step(const struct spm_piece *p, size_t at)
{
    const size_t n = slt_utf8_length(p->text + at, p->bytes - at);
    return at < p->bytes ? n + (n == 0) : 0;
}

// Whether a piece that texts give has these bytes in it, or is them.
static bool occurs(const struct spm_model *m, const char *text, size_t bytes, bool whole)
{
    for (uint32_t id = 0; id < m->own_count; id++) {
        const struct spm_piece *p = &m->piece[id];
        if (p->type != SLT_PIECE_NORMAL || (whole && p->bytes != bytes))
            continue;
        for (size_t at = 0; at + bytes <= p->bytes; at++)
            if (memcmp(p->text + at, text, bytes) == 0)
                return true;
    }
    return false;
}

// A place in a control piece where a text may be cut without changing its ids: no piece goes over
// it, and not both sides are unknown, which would be one. 0 if there is none.
static size_t find_cut(const struct spm_model *m, const struct spm_piece *p)
{
    for (size_t at = 0, n, next; (n = step(p, at)) > 0; at += n) {
        next = step(p, at + n);
        if (next > 0 && !occurs(m, p->text + at, n + next, false) &&
            (occurs(m, p->text + at, n, true) || occurs(m, p->text + at + n, next, true)))
            return at + n;
    }
    return 0;
}

// Of a Unigram model: a text is cut within what reads like a control piece. The list of a
// tokenizer.json has these among all others, where a text could give them.
static int make_words(json_t **words, const struct spm_model *m, struct slt_error *err)
{
    struct text_buffer b = {0};
    int rc = 0;
    *words = NULL;
    for (uint32_t id = 0;
         rc == 0 && m->algorithm == SPM_UNIGRAM && m->added_count == 0 && id < m->own_count; id++) {
        const struct spm_piece *p = &m->piece[id];
        const size_t cut = p->type != SLT_PIECE_USER && is_added(m, id) ? find_cut(m, p) : 0;
        if (cut == 0)
            continue;
        rc = text_buffer_add(&b, "|", b.bytes > 0, err);
        if (rc == 0)
            rc = put_escaped(&b, p->text, cut, err);
        if (rc == 0)
            rc = text_buffer_add(&b, "(?=", 3, err);
        if (rc == 0)
            rc = put_escaped(&b, p->text + cut, p->bytes - cut, err);
        if (rc == 0)
            rc = text_buffer_add(&b, ")", 1, err);
    }
    if (rc == 0 && b.bytes > 0) {
        *words = json_pack("{s:s, s:{s:o}, s:s, s:b}", "type", "Split", "pattern", "Regex",
                           json_stringn(b.data, b.bytes), "behavior", "MergedWithPrevious",
                           "invert", false);
        rc = *words == NULL ? no_memory(err) : 0;
    }
    free(b.data);
    return rc;
}

// ---- The rest ----

static json_t *make_added(const struct spm_model *m)
{
    static const struct spm_added plain = {0};
    json_t *list = json_array();
    for (uint32_t id = 0; id < m->count; id++) {
        const struct spm_piece *p = &m->piece[id];
        const struct spm_added *a = added_of(m, id);
        if (!is_added(m, id))
            continue;
        const struct spm_added *flags = a != NULL ? a : &plain;
        json_array_append_new(list,
                              json_pack("{s:I, s:o, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)id,
                                        "content", piece_text(p), "single_word", flags->single_word,
                                        "lstrip", flags->lstrip, "rstrip", flags->rstrip,
                                        "normalized", p->type == SLT_PIECE_USER && a == NULL,
                                        "special", p->type != SLT_PIECE_USER));
    }
    return list;
}

// BOS, the text, EOS, where they are put.
static json_t *make_processor(const struct spm_model *m)
{
    const uint32_t bos = m->adds_bos ? m->bos : SLT_TOKEN_NONE,
                   eos = m->adds_eos ? m->eos : SLT_TOKEN_NONE;
    if (bos == SLT_TOKEN_NONE && eos == SLT_TOKEN_NONE)
        return json_null();
    json_t *tokens = json_object(), *templates[2] = {json_array(), json_array()};
    for (int pair = 0; pair < 2; pair++)
        for (int part = 0; part <= pair; part++) {
            const char *const names[] = {"A", "B"};
            for (int side = 0; side < 3; side++) {
                const uint32_t id = side == 0 ? bos : eos;
                if (side == 1)
                    json_array_append_new(templates[pair],
                                          json_pack("{s:{s:s, s:i}}", "Sequence", "id", names[part],
                                                    "type_id", part));
                else if (id != SLT_TOKEN_NONE)
                    json_array_append_new(templates[pair],
                                          json_pack("{s:{s:o, s:i}}", "SpecialToken", "id",
                                                    piece_text(&m->piece[id]), "type_id", part));
            }
        }
    const uint32_t ids[] = {bos, eos};
    for (int i = 0; i < 2; i++) {
        if (ids[i] == SLT_TOKEN_NONE)
            continue;
        const struct spm_piece *p = &m->piece[ids[i]];
        json_object_setn_new(tokens, p->text, p->bytes,
                             json_pack("{s:o, s:[I], s:[o]}", "id", piece_text(p), "ids",
                                       (json_int_t)ids[i], "tokens", piece_text(p)));
    }
    return json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", templates[0],
                     "pair", templates[1], "special_tokens", tokens);
}

static json_t *make_decoder(const struct spm_model *m)
{
    json_t *steps = json_array();
    json_array_append_new(steps, replace("String", MARK, " "));
    if (m->byte_fallback)
        json_array_append_new(steps, json_pack("{s:s}", "type", "ByteFallback"));
    json_array_append_new(steps, json_pack("{s:s}", "type", "Fuse"));
    if (m->adds_space)
        json_array_append_new(steps, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content",
                                               " ", "start", 1, "stop", 0));
    return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", steps);
}

static uint32_t unknown_of(const struct spm_model *m)
{
    uint32_t id = 0;
    while (id < m->count && m->piece[id].type != SLT_PIECE_UNKNOWN)
        id++;
    return id < m->count ? id : SLT_TOKEN_NONE;
}

static int check(const struct spm_model *m, uint32_t unknown, struct slt_error *err)
{
    const char *what = spm_model_oddity(m);
    if (what == NULL && unknown == SLT_TOKEN_NONE)
        what = "has no unknown piece";
    else if (what == NULL && m->space_first && has_user_pieces(m))
        what = "puts a space before a text's start only and has pieces of its user";
    return what == NULL ? 0
                        : slt_error_set(err, SLT_ERR_RANGE,
                                        "a tokenizer.json has no place for the model's tokenizer, "
                                        "which %s",
                                        what);
}

int spm_model_to_json(void **json, size_t *bytes, const struct spm_model *m, struct slt_error *err)
{
    json_t *model = NULL, *normalizer = NULL;
    const uint32_t unknown = unknown_of(m);
    int rc = check(m, unknown, err);
    if (rc != 0)
        return rc;
    char *name = strndup(m->piece[unknown].text, m->piece[unknown].bytes);
    rc = m->algorithm == SPM_BPE ? make_bpe(&model, m, name, err)
                                 : make_unigram(&model, m, unknown, err);
    if (rc == 0)
        rc = make_normalizer(&normalizer, m, err);
    else
        normalizer = json_null();
    json_t *words = NULL;
    if (rc == 0)
        rc = make_words(&words, m, err);
    if (m->space_first) // where there are added tokens, and so no words
        words = json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", MARK,
                          "prepend_scheme", "first", "split", false);
    words = words != NULL ? words : json_null();
    json_t *root = json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:o, s:o, s:o}", "version", "1.0",
                             "truncation", "padding", "added_tokens", make_added(m), "normalizer",
                             normalizer, "pre_tokenizer", words, "post_processor",
                             make_processor(m), "decoder", make_decoder(m), "model", model);
    if (rc == 0 && (root == NULL || name == NULL))
        rc = no_memory(err);
    if (rc == 0)
        rc = json_tokenizer_print(json, bytes, root, err);
    json_decref(root);
    free(name);
    return rc;
}

int slt_tokenizer_to_json(void **json, size_t *bytes, const struct slt_tokenizer *tokenizer,
                          struct slt_error *err)
{
    const struct spm_tokenizer *spm = slt_tokenizer_model(tokenizer, &spm_kind);
    if (spm != NULL)
        return spm_model_to_json(json, bytes, &spm->model, err);
    const void *data = slt_tokenizer_data(tokenizer, bytes);
    *json = malloc(*bytes + 1);
    if (*json == NULL)
        return no_memory(err);
    memcpy(*json, data, *bytes);
    return 0;
}
