// Checkpoints to GGUF, the format of ggml's programs (its specification: docs/gguf.md of ggml).
//
// The file is a header with the numbers of tensors and of keys, the keys with their values, a
// description of each tensor, and the tensors, each aligned to 32 bytes. Everything is
// little-endian.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bfloat.h"
#include "core/bytes.h"
#include "core/half.h"
#include "model/dense.h"
#include "slt/convert.h"

#define ALIGNMENT 32
#define Q8_BLOCK  32 // values, stored in 34 bytes

// Types of values in the header, and of tensors.
enum { U32 = 4, I32 = 5, F32 = 6, BOOL = 7, STRING = 8, ARRAY = 9 };
static const uint32_t tensor_types[] = {0, 1, 30, 8}, file_types[] = {0, 1, 32, 7};

struct gguf {
    struct slt_output *out;
    struct slt_checkpoint_reader *reader;
    struct slt_config config; // merged
    enum slt_gguf_type type;
    slt_stop_flag *stop;
    struct slt_error *err;
    int rc;            // of the first write that failed
    uint64_t position; // bytes written
    uint64_t keys;     // counted in a first pass without output
    bool counting;
};

// ---- Header values ----

static void put(struct gguf *g, const void *data, size_t bytes)
{
    if (g->counting)
        return;
    g->position += bytes;
    if (g->rc == 0 && bytes > 0)
        g->rc = slt_output_write(g->out, data, bytes, g->err);
}

static void put_u32(struct gguf *g, uint32_t value)
{
    unsigned char bytes[4];
    slt_store_u32(bytes, value);
    put(g, bytes, sizeof bytes);
}

static void put_u64(struct gguf *g, uint64_t value)
{
    unsigned char bytes[8];
    slt_store_u64(bytes, value);
    put(g, bytes, sizeof bytes);
}

static void put_f32(struct gguf *g, double value)
{
    const float single = (float)value;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    put_u32(g, bits);
}

static void put_string(struct gguf *g, const char *text)
{
    put_u64(g, strlen(text));
    put(g, text, strlen(text));
}

static void key(struct gguf *g, const char *name, uint32_t type)
{
    g->keys += g->counting;
    put_string(g, name);
    put_u32(g, type);
}

static void key_u32(struct gguf *g, const char *name, int64_t value)
{
    key(g, name, U32);
    put_u32(g, (uint32_t)value);
}

static void key_id(struct gguf *g, const char *name, int64_t id)
{
    if (id >= 0)
        key_u32(g, name, id);
}

static void key_real(struct gguf *g, const char *name, double value)
{
    key(g, name, F32);
    put_f32(g, value);
}

static void key_flag(struct gguf *g, const char *name, bool value)
{
    const unsigned char byte = value;
    key(g, name, BOOL);
    put(g, &byte, 1);
}

static void key_string(struct gguf *g, const char *name, const char *value)
{
    key(g, name, STRING);
    put_string(g, value);
}

static void key_array(struct gguf *g, const char *name, uint32_t type, uint64_t count)
{
    key(g, name, ARRAY);
    put_u32(g, type);
    put_u64(g, count);
}

static void put_tokenizer(struct gguf *g, const struct slt_tokenizer *t)
{
    // ggml's numbers of slt_piece_type.
    static const uint32_t types[] = {1, 2, 3, 5, 6};
    const uint32_t count = slt_tokenizer_info(t)->vocab_size;
    key_string(g, "tokenizer.ggml.model", "llama");
    key_array(g, "tokenizer.ggml.tokens", STRING, count);
    for (uint32_t i = 0; i < count; i++)
        put_string(g, slt_tokenizer_piece(t, i).text);
    key_array(g, "tokenizer.ggml.scores", F32, count);
    for (uint32_t i = 0; i < count; i++)
        put_f32(g, (double)slt_tokenizer_piece(t, i).score);
    key_array(g, "tokenizer.ggml.token_type", I32, count);
    for (uint32_t i = 0; i < count; i++)
        put_u32(g, types[slt_tokenizer_piece(t, i).type]);
    key_id(g, "tokenizer.ggml.bos_token_id", g->config.bos_token_id);
    key_id(g, "tokenizer.ggml.eos_token_id", g->config.eos_token_id);
    key_id(g, "tokenizer.ggml.padding_token_id", g->config.pad_token_id);
    if (slt_tokenizer_info(t)->unk != SLT_TOKEN_NONE)
        key_u32(g, "tokenizer.ggml.unknown_token_id", slt_tokenizer_info(t)->unk);
    // Our models see documents without BOS, with EOS between them.
    key_flag(g, "tokenizer.ggml.add_bos_token", false);
    key_flag(g, "tokenizer.ggml.add_eos_token", false);
    key_flag(g, "tokenizer.ggml.add_space_prefix", slt_tokenizer_adds_space(t));
}

static void put_keys(struct gguf *g, const struct slt_tokenizer *tokenizer)
{
    const struct slt_config *c = &g->config;
    key_string(g, "general.architecture", "llama");
    key_string(g, "general.name", "slt");
    key_u32(g, "general.alignment", ALIGNMENT);
    key_u32(g, "general.file_type", file_types[g->type]);
    key_u32(g, "general.quantization_version", 2);
    key_u32(g, "llama.vocab_size", c->vocab_size);
    key_u32(g, "llama.context_length", c->max_position_embeddings);
    key_u32(g, "llama.embedding_length", c->hidden_size);
    key_u32(g, "llama.block_count", c->num_hidden_layers);
    key_u32(g, "llama.feed_forward_length", c->intermediate_size);
    key_u32(g, "llama.attention.head_count", c->num_attention_heads);
    key_u32(g, "llama.attention.head_count_kv", c->num_key_value_heads);
    key_u32(g, "llama.attention.key_length", c->head_dim);
    key_u32(g, "llama.attention.value_length", c->head_dim);
    key_u32(g, "llama.rope.dimension_count", c->head_dim);
    key_real(g, "llama.rope.freq_base", c->rope_theta);
    key_real(g, "llama.attention.layer_norm_rms_epsilon", c->rms_norm_eps);
    if (tokenizer != NULL)
        put_tokenizer(g, tokenizer);
}

// ---- Tensors ----

static const char *gguf_name(char *text, size_t size, const struct slt_param_info *p)
{
    static const char *const linears[SLT_GROUP_KINDS][3] = {
        {"attn_q", "attn_k", "attn_v"}, {"attn_output"}, {"ffn_gate", "ffn_up"}, {"ffn_down"}};
    if (p->role == SLT_ROLE_EMBEDDING)
        return "token_embd.weight";
    if (p->role == SLT_ROLE_HEAD)
        return "output.weight";
    if (p->layer < 0)
        return "output_norm.weight";
    snprintf(text, size, "blk.%d.%s.weight", p->layer,
             p->role != SLT_ROLE_NORM             ? linears[p->group][p->member]
             : strstr(p->name, "input_layernorm") ? "attn_norm"
                                                  : "ffn_norm");
    return text;
}

static enum slt_gguf_type type_of(const struct gguf *g, const struct slt_param_info *p)
{
    if (p->role == SLT_ROLE_NORM)
        return SLT_GGUF_F32;
    return g->type == SLT_GGUF_Q8_0 && p->cols % Q8_BLOCK != 0 ? SLT_GGUF_F16 : g->type;
}

static uint64_t bytes_of(enum slt_gguf_type type, int64_t count)
{
    return (uint64_t)(type == SLT_GGUF_F32    ? count * 4
                      : type == SLT_GGUF_Q8_0 ? count / Q8_BLOCK * 34
                                              : count * 2);
}

static uint64_t padded(uint64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void pad(struct gguf *g)
{
    static const unsigned char zeros[ALIGNMENT];
    put(g, zeros, (size_t)(padded(g->position) - g->position));
}

static void put_infos(struct gguf *g, const struct slt_param_info *params, size_t count)
{
    uint64_t offset = 0;
    char name[100];
    for (size_t i = 0; i < count; i++) {
        const struct slt_param_info *p = &params[i];
        put_string(g, gguf_name(name, sizeof name, p));
        put_u32(g, p->is_vector ? 1 : 2);
        put_u64(g, (uint64_t)p->cols);
        if (!p->is_vector)
            put_u64(g, (uint64_t)p->rows);
        put_u32(g, tensor_types[type_of(g, p)]);
        put_u64(g, offset);
        offset += padded(bytes_of(type_of(g, p), p->rows * p->cols));
    }
    pad(g);
}

// A block of 32 values: a scale of 16 bits, then x / scale rounded.
static void put_q8(struct gguf *g, const float *x)
{
    unsigned char block[2 + Q8_BLOCK];
    float most = 0;
    for (int i = 0; i < Q8_BLOCK; i++)
        most = fmaxf(most, fabsf(x[i]));
    const float scale = most / 127, inverse = scale > 0 ? 1 / scale : 0;
    slt_store_u16(block, slt_f16_nearest(scale));
    for (int i = 0; i < Q8_BLOCK; i++)
        block[2 + i] = (unsigned char)(signed char)roundf(x[i] * inverse);
    put(g, block, sizeof block);
}

// A row of a matrix.
static void put_row(struct gguf *g, const float *x, int64_t n, enum slt_gguf_type type)
{
    uint16_t half[1024];
    if (type == SLT_GGUF_F32)
        put(g, x, (size_t)n * sizeof *x);
    for (int64_t i = 0; type == SLT_GGUF_Q8_0 && i < n; i += Q8_BLOCK)
        put_q8(g, x + i);
    for (int64_t at = 0; (type == SLT_GGUF_F16 || type == SLT_GGUF_BF16) && at < n; at += 1024) {
        const int64_t count = n - at < 1024 ? n - at : 1024;
        for (int64_t i = 0; i < count; i++)
            half[i] =
                type == SLT_GGUF_F16 ? slt_f16_nearest(x[at + i]) : slt_bf16_nearest(x[at + i]);
        put(g, half, (size_t)count * sizeof *half);
    }
}

// Row i of what llama.cpp wants is this row of ours: it rotates neighbours (2k, 2k + 1) of a head
// where we, as Hugging Face, rotate k and k + half.
static int64_t source_row(const struct gguf *g, const struct slt_param_info *p, int64_t i)
{
    const int64_t dim = g->config.head_dim, within = i % dim;
    if (p->group != SLT_GROUP_QKV || p->member == 2)
        return i;
    return i - within + within % 2 * (dim / 2) + within / 2;
}

// The matrix of a parameter: a merged linear, or read as it is.
static int read_matrix(struct gguf *g, float *w, const struct slt_param_info *p,
                       const struct slt_param_info *source, size_t *taken)
{
    struct slt_dense_linear l;
    int rc;
    *taken = 1;
    if (p->group < 0) {
        if ((rc = slt_param_expect(g->reader, source, g->err)) != 0)
            return rc;
        return slt_checkpoint_read(g->reader, w, (size_t)(p->rows * p->cols) * sizeof *w, g->err);
    }
    if ((rc = slt_dense_read(&l, taken, source, g->reader, g->err)) != 0)
        return rc;
    slt_dense_merge(w, &l, SLT_DENSE_ALL);
    slt_dense_free(&l);
    return 0;
}

static int put_tensors(struct gguf *g, const struct slt_param_info *params, size_t count,
                       const struct slt_param_info *source)
{
    int rc = 0;
    size_t taken;
    for (size_t i = 0, at = 0; rc == 0 && i < count; i++, at += taken) {
        const struct slt_param_info *p = &params[i];
        float *w = malloc((size_t)(p->rows * p->cols) * sizeof *w);
        taken = 1;
        if (w == NULL)
            return slt_error_set(g->err, SLT_ERR_MEMORY, "cannot allocate the values of '%s'",
                                 p->name);
        if (g->stop != NULL && *g->stop != 0)
            rc = slt_error_set(g->err, SLT_ERR_STOPPED, "stopped by a signal");
        else
            rc = read_matrix(g, w, p, &source[at], &taken);
        for (int64_t row = 0; rc == 0 && row < p->rows; row++) {
            put_row(g, w + source_row(g, p, row) * p->cols, p->cols, type_of(g, p));
            rc = g->rc;
        }
        free(w);
        pad(g);
    }
    return rc == 0 ? g->rc : rc;
}

int slt_convert_gguf(struct slt_output *out, struct slt_checkpoint_reader *reader,
                     enum slt_gguf_type type, slt_stop_flag *stop, struct slt_error *err)
{
    struct gguf g = {.out = out,
                     .reader = reader,
                     .config = *slt_checkpoint_config(reader),
                     .type = type,
                     .stop = stop,
                     .err = err};
    struct slt_param_info *params = NULL, *source = NULL;
    struct slt_tokenizer *tokenizer = NULL;
    size_t count, sources, bytes;
    const char *member;
    const void *data = slt_checkpoint_tokenizer(reader, &bytes, &member);
    slt_config_make_full(&g.config);
    int rc = slt_config_params(&g.config, &params, &count, err);
    if (rc == 0)
        rc = slt_config_params(slt_checkpoint_config(reader), &source, &sources, err);
    if (rc == 0 && data != NULL)
        rc = slt_tokenizer_load(&tokenizer, slt_checkpoint_name(reader), data, bytes, err);
    if (rc == 0) {
        g.counting = true;
        put_keys(&g, tokenizer);
        g.counting = false;
        put(&g, "GGUF", 4);
        put_u32(&g, 3);
        put_u64(&g, count);
        put_u64(&g, g.keys);
        put_keys(&g, tokenizer);
        put_infos(&g, params, count);
        rc = put_tensors(&g, params, count, source);
    }
    if (rc == 0)
        rc = slt_checkpoint_verify(reader, err);
    slt_tokenizer_free(tokenizer);
    free(params);
    free(source);
    return rc;
}
