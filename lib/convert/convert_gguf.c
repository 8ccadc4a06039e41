// Checkpoints to GGUF.
//
// The file is a header with the numbers of tensors and of keys, the keys with their values, a
// description of each tensor, and the tensors, each aligned to 32 bytes.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/rope.h"
#include "convert/gguf.h"
#include "core/bfloat.h"
#include "core/bytes.h"
#include "core/half.h"
#include "files/param_tensors.h"
#include "weights/dense.h"

#define ALIGNMENT 32
#define Q8_BLOCK  32 // values, stored in 34 bytes

// Types of tensors.
static const uint32_t tensor_types[] = {0, 1, 30, 8}, file_types[] = {0, 1, 32, 7};

static void put_keys(struct gguf *g, const struct slt_tokenizer *tokenizer)
{
    const struct slt_config *c = &g->config;
    gguf_key_string(g, "general.architecture", "llama");
    gguf_key_string(g, "general.name", "slt");
    gguf_key_u32(g, "general.alignment", ALIGNMENT);
    gguf_key_u32(g, "general.file_type", file_types[g->type]);
    gguf_key_u32(g, "general.quantization_version", 2);
    gguf_key_u32(g, "llama.vocab_size", c->vocab_size);
    gguf_key_u32(g, "llama.context_length", c->max_position_embeddings);
    gguf_key_u32(g, "llama.embedding_length", c->hidden_size);
    gguf_key_u32(g, "llama.block_count", c->num_hidden_layers);
    gguf_key_u32(g, "llama.feed_forward_length", c->intermediate_size);
    gguf_key_u32(g, "llama.attention.head_count", c->num_attention_heads);
    gguf_key_u32(g, "llama.attention.head_count_kv", c->num_key_value_heads);
    gguf_key_u32(g, "llama.attention.key_length", c->head_dim);
    gguf_key_u32(g, "llama.attention.value_length", c->head_dim);
    gguf_key_u32(g, "llama.rope.dimension_count", c->head_dim);
    gguf_key_real(g, "llama.rope.freq_base", c->rope_theta);
    if (c->rope_scaling.type == SLT_ROPE_LINEAR) {
        gguf_key_string(g, "llama.rope.scaling.type", "linear");
        gguf_key_real(g, "llama.rope.scaling.factor", c->rope_scaling.factor);
    }
    gguf_key_real(g, "llama.attention.layer_norm_rms_epsilon", c->rms_norm_eps);
    if (tokenizer != NULL)
        gguf_put_tokenizer(g, tokenizer);
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
             p->role != SLT_ROLE_NORM        ? linears[p->group][p->member]
             : p->norm == SLT_NORM_ATTENTION ? "attn_norm"
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
    gguf_put(g, zeros, (size_t)(padded(g->position) - g->position));
}

// llama.cpp has no keys for llama3's scaling: it divides the plain frequencies by a tensor.
static bool has_rope_factors(const struct gguf *g)
{
    return g->config.rope_scaling.type == SLT_ROPE_LLAMA3;
}

static void put_rope_factors(struct gguf *g)
{
    const struct slt_config *c = &g->config;
    for (int64_t i = 0; i < c->head_dim / 2; i++)
        gguf_put_f32(g, slt_rope_plain_frequency(c, i) / slt_rope_frequency(c, i));
    pad(g);
}

static void put_infos(struct gguf *g, const struct slt_param_info *params, size_t count)
{
    uint64_t offset = 0;
    char name[100];
    for (size_t i = 0; i < count; i++) {
        const struct slt_param_info *p = &params[i];
        gguf_put_string(g, gguf_name(name, sizeof name, p));
        gguf_put_u32(g, p->is_vector ? 1 : 2);
        gguf_put_u64(g, (uint64_t)p->cols);
        if (!p->is_vector)
            gguf_put_u64(g, (uint64_t)p->rows);
        gguf_put_u32(g, tensor_types[type_of(g, p)]);
        gguf_put_u64(g, offset);
        offset += padded(bytes_of(type_of(g, p), p->rows * p->cols));
    }
    if (has_rope_factors(g)) {
        gguf_put_string(g, "rope_freqs.weight");
        gguf_put_u32(g, 1);
        gguf_put_u64(g, (uint64_t)g->config.head_dim / 2);
        gguf_put_u32(g, tensor_types[SLT_GGUF_F32]);
        gguf_put_u64(g, offset);
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
    gguf_put(g, block, sizeof block);
}

// A row of a matrix.
static void put_row(struct gguf *g, const float *x, int64_t n, enum slt_gguf_type type)
{
    uint16_t half[1024];
    if (type == SLT_GGUF_F32)
        gguf_put(g, x, (size_t)n * sizeof *x);
    for (int64_t i = 0; type == SLT_GGUF_Q8_0 && i < n; i += Q8_BLOCK)
        put_q8(g, x + i);
    for (int64_t at = 0; (type == SLT_GGUF_F16 || type == SLT_GGUF_BF16) && at < n; at += 1024) {
        const int64_t count = n - at < 1024 ? n - at : 1024;
        for (int64_t i = 0; i < count; i++)
            half[i] =
                type == SLT_GGUF_F16 ? slt_f16_nearest(x[at + i]) : slt_bf16_nearest(x[at + i]);
        gguf_put(g, half, (size_t)count * sizeof *half);
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
        if ((rc = slt_error_stopped(g->stop, g->err)) == 0)
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
                     enum slt_gguf_type type, const struct slt_convert_options *options,
                     struct slt_error *err)
{
    struct gguf g = {.out = out,
                     .reader = reader,
                     .config = *slt_checkpoint_config(reader),
                     .type = type,
                     .stop = options->stop,
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
    if (rc == 0 && tokenizer != NULL)
        rc = slt_tokenizer_check_size(tokenizer, g.config.vocab_size, slt_checkpoint_name(reader),
                                      err);
    if (rc == 0 && tokenizer != NULL)
        rc = gguf_check_tokenizer(tokenizer, err);
    if (rc == 0) {
        g.counting = true;
        put_keys(&g, tokenizer);
        g.counting = false;
        gguf_put(&g, "GGUF", 4);
        gguf_put_u32(&g, 3);
        gguf_put_u64(&g, count + has_rope_factors(&g));
        gguf_put_u64(&g, g.keys);
        put_keys(&g, tokenizer);
        put_infos(&g, params, count);
        rc = put_tensors(&g, params, count, source);
        if (rc == 0 && has_rope_factors(&g)) {
            put_rope_factors(&g);
            rc = g.rc;
        }
    }
    if (rc == 0)
        rc = slt_checkpoint_verify(reader, err);
    if (rc == 0 && tokenizer != NULL && options->on_note != NULL &&
        gguf_adds_space_behind(tokenizer))
        options->on_note(options->user,
                         "llama.cpp puts a space before text behind an added token, where this "
                         "tokenizer puts none: such text has other ids there");
    slt_tokenizer_free(tokenizer);
    free(params);
    free(source);
    return rc;
}
