// The tokenizer in a GGUF file, as llama.cpp reads it: a SentencePiece model as "llama", byte-level
// byte-pair encoding as "gpt2".
#include <stdio.h>
#include <string.h>

#include "convert/gguf.h"
#include "core/utf8.h"
#include "text/json_tokenizer.h"
#include "text/kinds.h"

int gguf_check_tokenizer(const struct slt_tokenizer *tokenizer, struct slt_error *err)
{
    const struct json_tokenizer *bpe = slt_tokenizer_model(tokenizer, &bpe_kind);
    if (bpe == NULL)
        return 0;
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

void gguf_put_tokenizer(struct gguf *g, const struct slt_tokenizer *t)
{
    const struct json_tokenizer *bpe = slt_tokenizer_model(t, &bpe_kind);
    const uint32_t own = slt_tokenizer_info(t)->vocab_size;
    const uint32_t count = g->config.vocab_size > own ? (uint32_t)g->config.vocab_size : own;
    char name[24];
    gguf_key_string(g, "tokenizer.ggml.model", bpe != NULL ? "gpt2" : "llama");
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
    // Our models see documents without BOS, with EOS between them.
    gguf_key_flag(g, "tokenizer.ggml.add_bos_token", false);
    gguf_key_flag(g, "tokenizer.ggml.add_eos_token", false);
    gguf_key_flag(g, "tokenizer.ggml.add_space_prefix", slt_tokenizer_adds_space(t));
}
