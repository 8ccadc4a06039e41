// llama2.c's model files (karpathy/llama2.c, export.py): a header with seven 32-bit numbers, then
// the weights, each kind for all layers together; q and k rotate neighbours. Version 0 has nothing
// else in its header and floats behind it. Versions 1 and 2 begin with the magic number "ak42" and
// the version, in a header of 256 bytes, and have another order; in version 2 each matrix of each
// layer is whole numbers of 8 bits, then a scale for each group of them, and the gains are floats.
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "files/param_tensors.h"
#include "slt/convert.h"

#define MAGIC        0x616b3432u
#define HEADER       28 // bytes, of version 0
#define WIDE_HEADER  256
#define LAST_VERSION 2

// What a file has one of, or one for each layer.
enum kind { EMBEDDING, NORM1, Q, K, V, O, NORM2, GATE, DOWN, UP, NORM, ROTATIONS, HEAD, KINDS };

static const enum kind order_0[] = {EMBEDDING, NORM1, Q,  K,    V,         O,   NORM2,
                                    GATE,      DOWN,  UP, NORM, ROTATIONS, HEAD};
static const enum kind order_1[] = {NORM1, NORM2, NORM, EMBEDDING, Q,  K,
                                    V,     O,     GATE, DOWN,      UP, HEAD};

struct layout {
    struct slt_config config;
    int version;
    int64_t group;         // values that share a scale; 0: floats
    uint64_t place[KINDS]; // first byte of the first layer's
    uint64_t bytes[KINDS]; // of one layer's
};

static int64_t number(const unsigned char *header, int i)
{
    return (int32_t)slt_load_u32(header + 4 * i);
}

// The sizes, which are anything yet.
static struct slt_config read_sizes(const unsigned char *sizes)
{
    struct slt_config c = {.hidden_size = number(sizes, 0),
                           .intermediate_size = number(sizes, 1),
                           .num_hidden_layers = number(sizes, 2),
                           .num_attention_heads = number(sizes, 3),
                           .num_key_value_heads = number(sizes, 4),
                           .vocab_size = number(sizes, 5),
                           .max_position_embeddings = number(sizes, 6),
                           .rms_norm_eps = 1e-5,
                           .rope_theta = 10000,
                           .initializer_range = 0.02,
                           .bos_token_id = 1,
                           .eos_token_id = 2,
                           .pad_token_id = -1,
                           .method = SLT_FULL};
    if (c.num_attention_heads > 0)
        c.head_dim = c.hidden_size / c.num_attention_heads;
    return c;
}

static bool is_wide(const unsigned char *data, uint64_t bytes)
{
    return bytes >= WIDE_HEADER && slt_load_u32(data) == MAGIC;
}

static bool read_header(struct layout *l, const unsigned char *data, uint64_t bytes)
{
    *l = (struct layout){0};
    if (bytes < HEADER)
        return false;
    if (!is_wide(data, bytes)) {
        l->config = read_sizes(data);
        // A vocabulary below 0 stands for a head of its own.
        l->config.tie_word_embeddings = l->config.vocab_size > 0;
        if (l->config.vocab_size < 0)
            l->config.vocab_size = -l->config.vocab_size;
        return true;
    }
    l->version = (int)number(data, 1);
    l->config = read_sizes(data + 8);
    l->config.tie_word_embeddings = data[36] != 0;
    l->group = l->version == 2 ? (int32_t)slt_load_u32(data + 37) : 0;
    return (l->version == 1 || l->version == 2) && (l->version == 1 || l->group > 0);
}

static bool is_gain(enum kind kind)
{
    return kind == NORM1 || kind == NORM2 || kind == NORM;
}

// Values of one layer's; the tables of rotations, which follow from theta, are passed over.
static uint64_t values_of(const struct slt_config *c, enum kind kind)
{
    const uint64_t d = (uint64_t)c->hidden_size, f = (uint64_t)c->intermediate_size;
    switch (kind) {
    case EMBEDDING:
    case HEAD:
        return (uint64_t)c->vocab_size * d;
    case Q:
    case O:
        return d * d;
    case K:
    case V:
        return d * (uint64_t)(c->num_key_value_heads * c->head_dim);
    case GATE:
    case DOWN:
    case UP:
        return d * f;
    case ROTATIONS:
        return (uint64_t)(c->max_position_embeddings * c->head_dim);
    default:
        return d;
    }
}

static bool is_of_layers(enum kind kind)
{
    return kind != EMBEDDING && kind != NORM && kind != ROTATIONS && kind != HEAD;
}

// Where everything lies, in as many bytes as there are. The configuration has been checked, so that
// only the sums can be too large.
static bool lay_out(struct layout *l, uint64_t bytes)
{
    const enum kind *order = l->version == 0 ? order_0 : order_1;
    const size_t kinds = (l->version == 0 ? sizeof order_0 : sizeof order_1) / sizeof *order;
    uint64_t at = l->version == 0 ? HEADER : WIDE_HEADER, all;
    for (size_t i = 0; i < kinds; i++) {
        const enum kind kind = order[i];
        const uint64_t values = values_of(&l->config, kind);
        const uint64_t layers = is_of_layers(kind) ? (uint64_t)l->config.num_hidden_layers : 1;
        if (kind == HEAD && l->config.tie_word_embeddings)
            continue;
        const bool is_grouped = l->group > 0 && !is_gain(kind);
        if (is_grouped && values % (uint64_t)l->group != 0)
            return false;
        l->bytes[kind] = is_grouped ? values + 4 * (values / (uint64_t)l->group) : 4 * values;
        l->place[kind] = at;
        if (__builtin_mul_overflow(l->bytes[kind], layers, &all) ||
            __builtin_add_overflow(at, all, &at) || at > bytes)
            return false;
    }
    return at == bytes;
}

// A header with the sizes of a model; those of version 0 are all that tells what a file is.
static bool has_header(struct layout *l, const unsigned char *data, uint64_t bytes)
{
    return read_header(l, data, bytes) && slt_config_check(&l->config, NULL) == 0 &&
           l->config.head_dim * l->config.num_attention_heads == l->config.hidden_size;
}

static enum kind kind_of(const struct slt_param_info *p)
{
    static const enum kind linears[SLT_GROUP_KINDS][3] = {{Q, K, V}, {O}, {GATE, UP}, {DOWN}};
    switch (p->role) {
    case SLT_ROLE_EMBEDDING:
        return EMBEDDING;
    case SLT_ROLE_HEAD:
        return HEAD;
    case SLT_ROLE_NORM:
        return p->norm == SLT_NORM_FINAL ? NORM : p->norm == SLT_NORM_ATTENTION ? NORM1 : NORM2;
    default:
        return linears[p->group][p->member];
    }
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

// count values from value first on of a matrix or a vector (values) that lies at data.
static void read_values(float *to, const struct layout *l, enum kind kind,
                        const unsigned char *data, int64_t first, int64_t count)
{
    if (l->group == 0 || is_gain(kind)) {
        memcpy(to, data + (size_t)first * sizeof *to, (size_t)count * sizeof *to);
        return;
    }
    const unsigned char *scales = data + values_of(&l->config, kind);
    for (int64_t i = 0; i < count; i++) {
        float scale;
        memcpy(&scale, scales + (size_t)((first + i) / l->group) * sizeof scale, sizeof scale);
        to[i] = (float)(signed char)data[first + i] * scale;
    }
}

static int write_param(struct slt_checkpoint_writer *writer, const struct layout *l,
                       const struct slt_param_info *p, const unsigned char *file,
                       struct slt_error *err)
{
    const enum kind kind = kind_of(p);
    const unsigned char *data = file + l->place[kind];
    float *row = malloc((size_t)p->cols * sizeof *row);
    int rc = 0;
    if (row == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a row of '%s'", p->name);
    if (is_of_layers(kind))
        data += (uint64_t)p->layer * l->bytes[kind];
    for (int64_t i = 0; rc == 0 && i < p->rows; i++) {
        read_values(row, l, kind, data, source_row(&l->config, p, i) * p->cols, p->cols);
        rc = slt_checkpoint_write(writer, row, (size_t)p->cols * sizeof *row, err);
    }
    free(row);
    return rc;
}

bool slt_convert_is_llama2c(const void *data, uint64_t bytes)
{
    struct layout l;
    return is_wide(data, bytes) || has_header(&l, data, bytes);
}

// What is wrong with a file that says it is one.
static int refuse(const char *name, const unsigned char *data, uint64_t bytes,
                  struct slt_error *err)
{
    if (!slt_convert_is_llama2c(data, bytes))
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is no model file of llama2.c", name);
    if (is_wide(data, bytes) && (number(data, 1) < 1 || number(data, 1) > LAST_VERSION))
        return slt_error_set(
            err, SLT_ERR_FORMAT,
            "'%s' is a model file of llama2.c of version %d, and versions 0 to %d are read", name,
            (int)number(data, 1), LAST_VERSION);
    return slt_error_set(err, SLT_ERR_FORMAT,
                         "'%s' is a model file of llama2.c, but not of the size that the numbers "
                         "in its header ask for: it is cut short or damaged",
                         name);
}

int slt_convert_llama2c(struct slt_output *out, const char *name, const void *data, uint64_t bytes,
                        const struct slt_convert_options *options, struct slt_error *err)
{
    struct layout l;
    struct slt_param_info *params = NULL;
    struct slt_checkpoint_writer *writer = NULL;
    size_t count = 0;
    if (!has_header(&l, data, bytes) || !lay_out(&l, bytes))
        return refuse(name, data, bytes, err);
    int rc = options->tokenizer == NULL
                 ? 0
                 : slt_tokenizer_check_size(options->tokenizer, l.config.vocab_size, name, err);
    if (rc == 0)
        rc = slt_checkpoint_start(&writer, &params, &count, out, &l.config,
                                  slt_tokenizer_file(options->tokenizer), err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if ((rc = slt_error_stopped(options->stop, err)) == 0)
            rc = write_param(writer, &l, &params[i], data, err);
    if (rc == 0) {
        rc = slt_checkpoint_finish(writer, options->provenance, err);
        writer = NULL;
    }
    slt_checkpoint_abandon(writer);
    free(params);
    return rc;
}
