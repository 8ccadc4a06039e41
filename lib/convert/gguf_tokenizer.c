// The tokenizer in a GGUF file, as llama.cpp reads it: a SentencePiece model of byte pairs as
// "llama", a Unigram one as "t5", byte-level byte-pair encoding as "gpt2".
#include <stdio.h>
#include <string.h>

#include "convert/gguf.h"
#include "core/utf8.h"
#include "text/json_tokenizer.h"
#include "text/kinds.h"
#include "text/spm_tokenizer.h"

// NULL where the tokenizer is of another kind.
static const struct spm_model *spm_of(const struct slt_tokenizer *t)
{
    const struct spm_tokenizer *spm = slt_tokenizer_model(t, &spm_kind);
    return spm != NULL ? &spm->model : NULL;
}

// llama.cpp normalizes texts for a Unigram model only.
static int check_spm(const struct spm_model *m, struct slt_error *err)
{
    const char *what = spm_model_oddity(m);
    if (what == NULL && m->algorithm == SPM_BPE && (m->charsmap != NULL || m->removes_spaces))
        what = "is of byte pairs and normalizes text or removes spaces";
    return what == NULL ? 0
                        : slt_error_set(err, SLT_ERR_RANGE,
                                        "llama.cpp has no place for the model's tokenizer, which "
                                        "%s",
                                        what);
}

bool gguf_adds_space_behind(const struct slt_tokenizer *tokenizer)
{
    const struct spm_model *m = spm_of(tokenizer);
    return m != NULL && m->adds_space && m->space_first;
}

int gguf_check_tokenizer(const struct slt_tokenizer *tokenizer, struct slt_error *err)
{
    const struct json_tokenizer *bpe = slt_tokenizer_model(tokenizer, &bpe_kind);
    if (bpe == NULL)
        return check_spm(spm_of(tokenizer), err);
    if (!bpe->bpe.by_bytes)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "GGUF has no place for a tokenizer.json that is not byte-level: give "
                             "the model its SentencePiece model");
    if (json_tokenizer_gguf_pre(bpe) == NULL)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "llama.cpp has no name for the way the model's tokenizer splits text");
    return 0;
}

// ggml's numbers of slt_piece_type.
static const uint32_t types[] = {1, 2, 3, 5, 6, 4};

// The piece of an id; where it has none, a name that no other has.
static struct slt_piece piece_of(const struct slt_tokenizer *t, uint32_t id, char name[24])
{
    struct slt_piece piece = {"", 0, SLT_PIECE_UNUSED};
    if (id < slt_tokenizer_info(t)->vocab_size)
        piece = slt_tokenizer_piece(t, id);
    if (piece.text[0] == '\0') {
        snprintf(name, 24, "[PAD%u]", id);
        piece.text = name;
    }
    return piece;
}

// A merge as "a b"; a space in a piece, which would be read as the one between, as U+0120.
static void put_merge(struct gguf *g, const struct vocabulary *v, const uint32_t pair[2])
{
    static const char space[] = "\xc4\xa0";
    uint64_t bytes = 1;
    for (int i = 0; i < 2; i++)
        for (const char *p = vocabulary_text(v, pair[i]); *p != '\0'; p++)
            bytes += *p == ' ' ? 2 : 1;
    gguf_put_u64(g, bytes);
    for (int i = 0; i < 2; i++) {
        for (const char *p = vocabulary_text(v, pair[i]); *p != '\0'; p++)
            gguf_put(g, *p == ' ' ? space : p, *p == ' ' ? 2 : 1);
        gguf_put(g, " ", i == 0);
    }
}

static void put_merges(struct gguf *g, const struct bpe *b)
{
    gguf_key_array(g, "tokenizer.ggml.merges", GGUF_STRING, b->pairs);
    for (size_t i = 0; i < b->pairs; i++)
        put_merge(g, &b->vocabulary, b->pair[i]);
}

// The ends besides EOS have two keys; of more than that, llama.cpp finds the usual ones by itself.
static void put_ends(struct gguf *g)
{
    static const char *const keys[] = {"tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    for (int64_t i = 0; i < g->config.more_eos_count && i < 2; i++)
        gguf_key_id(g, keys[i], g->config.more_eos[i]);
}

static void put_normalizer(struct gguf *g, const struct spm_model *m)
{
    gguf_key_flag(g, "tokenizer.ggml.remove_extra_whitespaces", m->removes_spaces);
    if (m->charsmap != NULL) {
        gguf_key_array(g, "tokenizer.ggml.precompiled_charsmap", GGUF_U8, m->charsmap_bytes);
        gguf_put(g, m->charsmap, m->charsmap_bytes);
    }
}

void gguf_put_tokenizer(struct gguf *g, const struct slt_tokenizer *t)
{
    const struct json_tokenizer *bpe = slt_tokenizer_model(t, &bpe_kind);
    const struct spm_model *spm = spm_of(t);
    const uint32_t count = (uint32_t)g->config.vocab_size;
    char name[24];
    gguf_key_string(g, "tokenizer.ggml.model",
                    bpe != NULL                     ? "gpt2"
                    : spm->algorithm == SPM_UNIGRAM ? "t5"
                                                    : "llama");
    if (bpe != NULL)
        gguf_key_string(g, "tokenizer.ggml.pre", json_tokenizer_gguf_pre(bpe));
    gguf_key_array(g, "tokenizer.ggml.tokens", GGUF_STRING, count);
    for (uint32_t i = 0; i < count; i++)
        gguf_put_string(g, piece_of(t, i, name).text);
    if (bpe == NULL) {
        gguf_key_array(g, "tokenizer.ggml.scores", GGUF_F32, count);
        for (uint32_t i = 0; i < count; i++)
            gguf_put_f32(g, (double)piece_of(t, i, name).score);
    }
    gguf_key_array(g, "tokenizer.ggml.token_type", GGUF_I32, count);
    for (uint32_t i = 0; i < count; i++)
        gguf_put_u32(g, types[piece_of(t, i, name).type]);
    if (bpe != NULL)
        put_merges(g, &bpe->bpe);
    gguf_key_id(g, "tokenizer.ggml.bos_token_id", g->config.bos_token_id);
    gguf_key_id(g, "tokenizer.ggml.eos_token_id", g->config.eos_token_id);
    gguf_key_id(g, "tokenizer.ggml.padding_token_id", g->config.pad_token_id);
    if (slt_tokenizer_info(t)->unk != SLT_TOKEN_NONE)
        gguf_key_u32(g, "tokenizer.ggml.unknown_token_id", slt_tokenizer_info(t)->unk);
    put_ends(g);
    gguf_key_flag(g, "tokenizer.ggml.add_bos_token", slt_tokenizer_info(t)->adds_bos);
    gguf_key_flag(g, "tokenizer.ggml.add_eos_token", slt_tokenizer_info(t)->adds_eos);
    gguf_key_flag(g, "tokenizer.ggml.add_space_prefix", slt_tokenizer_adds_space(t));
    if (spm != NULL)
        put_normalizer(g, spm);
}
