// llama2.c's model files (version 0, karpathy/llama2.c): seven 32-bit numbers, then all weights as
// floats, each kind for all layers together; q and k rotate neighbours.
#include <stdlib.h>

#include "core/bytes.h"
#include "files/param_tensors.h"
#include "slt/convert.h"

#define HEADER 28 // bytes

// Where the weights lie, in floats behind the header.
struct places {
    uint64_t embedding, norm1, q, k, v, o, norm2, gate, down, up, norm, head, end;
};

static int64_t number(const unsigned char *header, int i)
{
    return (int32_t)slt_load_u32(header + 4 * i);
}

static void read_header(struct slt_config *c, const unsigned char *header)
{
    const int64_t vocab = number(header, 5);
    *c = (struct slt_config){.hidden_size = number(header, 0),
                             .intermediate_size = number(header, 1),
                             .num_hidden_layers = number(header, 2),
                             .num_attention_heads = number(header, 3),
                             .num_key_value_heads = number(header, 4),
                             .vocab_size = vocab < 0 ? -vocab : vocab,
                             .max_position_embeddings = number(header, 6),
                             .tie_word_embeddings = vocab > 0,
                             .rms_norm_eps = 1e-5,
                             .rope_theta = 10000,
                             .initializer_range = 0.02,
                             .bos_token_id = 1,
                             .eos_token_id = 2,
                             .pad_token_id = -1,
                             .method = SLT_FULL};
    if (c->num_attention_heads > 0)
        c->head_dim = c->hidden_size / c->num_attention_heads;
}

// The configuration has been checked, so that nothing here overflows.
static struct places places_of(const struct slt_config *c)
{
    const uint64_t d = (uint64_t)c->hidden_size, f = (uint64_t)c->intermediate_size;
    const uint64_t layers = (uint64_t)c->num_hidden_layers, v = (uint64_t)c->vocab_size;
    const uint64_t kv = (uint64_t)(c->num_key_value_heads * c->head_dim);
    struct places p = {.norm1 = v * d};
    p.q = p.norm1 + layers * d;
    p.k = p.q + layers * d * d;
    p.v = p.k + layers * kv * d;
    p.o = p.v + layers * kv * d;
    p.norm2 = p.o + layers * d * d;
    p.gate = p.norm2 + layers * d;
    p.down = p.gate + layers * f * d;
    p.up = p.down + layers * f * d;
    p.norm = p.up + layers * f * d;
    // The tables of rotations, which follow from theta, are passed over.
    p.head = p.norm + d + (uint64_t)(c->max_position_embeddings * c->head_dim);
    p.end = c->tie_word_embeddings ? p.head : p.head + v * d;
    return p;
}

static uint64_t place_of(const struct places *p, const struct slt_param_info *i)
{
    const uint64_t linears[SLT_GROUP_KINDS][3] = {
        {p->q, p->k, p->v}, {p->o}, {p->gate, p->up}, {p->down}};
    if (i->role == SLT_ROLE_EMBEDDING)
        return p->embedding;
    if (i->role == SLT_ROLE_HEAD)
        return p->head;
    if (i->norm == SLT_NORM_FINAL)
        return p->norm;
    const uint64_t first = i->role == SLT_ROLE_WEIGHT      ? linears[i->group][i->member]
                           : i->norm == SLT_NORM_ATTENTION ? p->norm1
                                                           : p->norm2;
    return first + (uint64_t)i->layer * (uint64_t)(i->rows * i->cols);
}

// Row i of ours is this row of the file: neighbours (2k, 2k + 1) of a head are rotated there, k and
// k + half here.
static int64_t source_row(const struct slt_config *c, const struct slt_param_info *p, int64_t i)
{
    const int64_t dim = c->head_dim, half = dim / 2, within = i % dim;
    if (p->role != SLT_ROLE_WEIGHT || p->group != SLT_GROUP_QKV || p->member == 2)
        return i;
    return i - within + within % half * 2 + within / half;
}

static int write_param(struct slt_checkpoint_writer *writer, const struct slt_config *c,
                       const struct slt_param_info *p, const unsigned char *weights, uint64_t place,
                       struct slt_error *err)
{
    const size_t row_bytes = (size_t)p->cols * sizeof(float);
    int rc = 0;
    for (int64_t row = 0; rc == 0 && row < p->rows; row++)
        rc = slt_checkpoint_write(
            writer, weights + place * sizeof(float) + (size_t)source_row(c, p, row) * row_bytes,
            row_bytes, err);
    return rc;
}

// A header whose sizes make up exactly the file.
static bool fits(struct slt_config *c, const unsigned char *data, uint64_t bytes)
{
    if (bytes < HEADER)
        return false;
    read_header(c, data);
    return slt_config_check(c, NULL) == 0 &&
           c->head_dim * c->num_attention_heads == c->hidden_size &&
           places_of(c).end * sizeof(float) + HEADER == bytes;
}

bool slt_convert_is_llama2c(const void *data, uint64_t bytes)
{
    struct slt_config c;
    return fits(&c, data, bytes);
}

int slt_convert_llama2c(struct slt_output *out, const char *name, const void *data, uint64_t bytes,
                        const struct slt_convert_options *options, struct slt_error *err)
{
    struct slt_config c;
    struct slt_param_info *params = NULL;
    struct slt_checkpoint_writer *writer = NULL;
    size_t count = 0;
    if (!fits(&c, data, bytes))
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is no model file of llama2.c", name);
    const struct places places = places_of(&c);
    int rc = slt_checkpoint_start(&writer, &params, &count, out, &c,
                                  slt_tokenizer_file(options->tokenizer), err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = write_param(writer, &c, &params[i], (const unsigned char *)data + HEADER,
                         place_of(&places, &params[i]), err);
    if (rc == 0) {
        rc = slt_checkpoint_finish(writer, options->provenance, err);
        writer = NULL;
    }
    slt_checkpoint_abandon(writer);
    free(params);
    return rc;
}
