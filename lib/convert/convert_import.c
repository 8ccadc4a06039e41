// Hugging Face directories, and those of the published SLTrain code, to checkpoints.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/linear_kind.h"
#include "convert/foreign.h"
#include "core/bfloat.h"
#include "core/bytes.h"
#include "core/half.h"
#include "core/json.h"
#include "files/param_tensors.h"
#include "files/tensor_directory.h"
#include "slt/convert.h"

#define CONFIG_MAX           (1 << 20)
#define TOKENIZER_CONFIG_MAX (16 << 20)
#define CHUNK                ((int64_t)1 << 16) // values that are converted at once

struct import {
    const char *directory;
    const struct slt_convert_options *options;
    struct slt_tensor_directory tensors;
    struct slt_config config;
    struct slt_checkpoint_writer *writer;
    float *chunk;
    int64_t *order; // of the positions that are being written, sorted
    int64_t *position;
};

// ---- What the model is ----

static struct slt_directory_tensor *find(const struct import *m, const char *linear,
                                         const char *suffix)
{
    char name[SLT_TENSOR_NAME + 32];
    snprintf(name, sizeof name, "%s.%s", linear, suffix);
    return slt_tensor_directory_find(&m->tensors, name);
}

// The kind of linears, and their rank, by the tensors of the first one. Weights beside factors are
// those of a merged model.
static int find_method(struct import *m, struct slt_error *err)
{
    static const struct {
        const char *suffix;
        enum slt_role role;
    } parts[] = {{"weight", SLT_ROLE_WEIGHT},
                 {"lora_A", SLT_ROLE_LORA_A},
                 {"lora_B", SLT_ROLE_LORA_B},
                 {"sparse_value", SLT_ROLE_SPARSE}};
    struct slt_config *c = &m->config;
    char linear[100];
    unsigned roles = 0;
    slt_linear_name(linear, sizeof linear, c, 0, SLT_GROUP_QKV, 0);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (find(m, linear, parts[i].suffix) != NULL)
            roles |= 1u << parts[i].role;
    if ((roles & 1u << SLT_ROLE_WEIGHT) != 0 || !slt_kind_of_roles(&c->method, roles)) {
        slt_config_make_full(c);
        return 0;
    }
    const struct slt_directory_tensor *a = find(m, linear, "lora_A");
    c->rank = a->file.info.dims == 2 ? a->file.info.shape[0] : 0;
    c->alpha = m->options->alpha > 0 ? m->options->alpha : c->alpha;
    if (!(c->alpha > 0))
        return slt_error_set(err, SLT_ERR_RANGE, "'%s' does not say its alpha: give it",
                             m->directory);
    if (!slt_method_has(c->method, SLT_ROLE_SPARSE)) {
        c->density = 0;
        c->support = (struct slt_support_spec){0};
        return 0;
    }
    c->support = (struct slt_support_spec){SLT_SUPPORT_EXPLICIT, 0, 0};
    c->support_crc = 0;
    c->density = m->options->density > 0 ? m->options->density : c->density;
    if (!(c->density > 0))
        return slt_error_set(err, SLT_ERR_RANGE, "'%s' does not say its density: give it",
                             m->directory);
    return 0;
}

static int read_config(struct import *m, struct slt_error *err)
{
    char path[PATH_MAX];
    void *text;
    size_t bytes;
    snprintf(path, sizeof path, "%s/config.json", m->directory);
    int rc = slt_file_read(&text, &bytes, path, CONFIG_MAX, m->options->stop, err);
    if (rc != 0)
        return rc;
    rc = slt_config_parse(&m->config, path, text, bytes, err);
    free(text);
    if (rc != 0)
        return rc;
    if (m->config.quantization.type != SLT_QUANT_NONE)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' is quantized, which is not read", path);
    return 0;
}

// The configuration comes first: of what is no LLaMA nothing else need be looked at.
static int open_directory(struct import *m, struct slt_error *err)
{
    int rc = slt_foreign_check_adapter(m->directory, err);
    if (rc == 0 && (rc = read_config(m, err)) == 0)
        rc = slt_foreign_check_pickles(m->directory, err);
    return rc;
}

int slt_convert_check_directory(const char *directory, slt_stop_flag *stop, struct slt_error *err)
{
    const struct slt_convert_options options = {.stop = stop};
    struct import m = {.directory = directory, .options = &options};
    return open_directory(&m, err);
}

static int open_model(struct import *m, struct slt_error *err)
{
    int rc = open_directory(m, err);
    if (rc != 0 ||
        (rc = slt_tensor_directory_open(&m->tensors, m->directory, m->options->stop, err)) != 0 ||
        (rc = find_method(m, err)) != 0)
        return rc;
    return slt_config_check(&m->config, err);
}

// ---- Values ----

// Element i of a tensor of F32, F64, F16 or BF16; mapped data has no alignment.
static float value_at(const struct slt_directory_tensor *t, int64_t i)
{
    float value;
    double wide;
    uint16_t half;
    switch (t->file.info.dtype) {
    case SLT_F32:
        memcpy(&value, t->data + (size_t)i * sizeof value, sizeof value);
        return value;
    case SLT_F64:
        memcpy(&wide, t->data + (size_t)i * sizeof wide, sizeof wide);
        return (float)wide;
    default:
        memcpy(&half, t->data + (size_t)i * sizeof half, sizeof half);
        return t->file.info.dtype == SLT_BF16 ? slt_bf16_value(half) : slt_f16_value(half);
    }
}

// Whether the tensor's type is one of these (count), which what lists in the sentence.
static int check_type(const struct import *m, const struct slt_directory_tensor *t,
                      const enum slt_dtype *types, int count, const char *what,
                      struct slt_error *err)
{
    for (int i = 0; t->file.is_known && i < count; i++)
        if (t->file.info.dtype == types[i])
            return 0;
    return slt_error_set(err, SLT_ERR_FORMAT, "'%s': tensor '%s' has type %s, and only %s",
                         m->directory, t->name, t->file.type, what);
}

// Whether the parameter's values can be made of the tensor.
static int check_tensor(const struct import *m, const struct slt_directory_tensor *t,
                        const struct slt_param_info *p, struct slt_error *err)
{
    static const enum slt_dtype floats[] = {SLT_F32, SLT_F16, SLT_BF16, SLT_F64};
    static const enum slt_dtype wholes[] = {SLT_I64, SLT_I32};
    int rc = p->role == SLT_ROLE_INDEX
                 ? check_type(m, t, wholes, 2, "I64 and I32 are read as positions", err)
                 : check_type(m, t, floats, 4, "F32, F16, BF16 and F64 are read", err);
    if (rc != 0)
        return rc;
    rc = slt_param_check_shape(p, &t->file.info, m->directory, err);
    if (rc != 0 && p->role == SLT_ROLE_INDEX) // the density decides how many positions there are
        return slt_error_set(err, SLT_ERR_RANGE, "%s", err->message);
    return rc;
}

// order: the elements are those at these places of the tensor; NULL: all in turn.
static int write_values(struct import *m, const struct slt_directory_tensor *t, int64_t count,
                        const int64_t *order, struct slt_error *err)
{
    int rc = 0;
    for (int64_t at = 0; rc == 0 && at < count; at += CHUNK) {
        const int64_t n = count - at < CHUNK ? count - at : CHUNK;
        if ((rc = slt_error_stopped(m->options->stop, err)) != 0)
            return rc;
        for (int64_t i = 0; i < n; i++)
            m->chunk[i] = value_at(t, order != NULL ? order[at + i] : at + i);
        rc = slt_checkpoint_write(m->writer, m->chunk, (size_t)n * sizeof *m->chunk, err);
    }
    return rc;
}

// ---- Supports ----

struct place {
    int64_t position, at;
};

static int compare_places(const void *a, const void *b)
{
    const int64_t x = ((const struct place *)a)->position, y = ((const struct place *)b)->position;
    return (x > y) - (x < y);
}

// Sorts the positions of a linear; the published code keeps them as they were drawn.
static int write_positions(struct import *m, const struct slt_directory_tensor *t,
                           const struct slt_param_info *p, struct slt_error *err)
{
    const int64_t n = p->cols;
    struct place *place = malloc((size_t)n * sizeof *place + 1);
    free(m->order);
    free(m->position);
    m->order = malloc((size_t)n * sizeof *m->order + 1);
    m->position = malloc((size_t)n * sizeof *m->position + 1);
    if (place == NULL || m->order == NULL || m->position == NULL) {
        free(place);
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the support of '%s'", p->name);
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t position = t->file.info.dtype == SLT_I64
                                     ? (int64_t)slt_load_u64(t->data + (size_t)i * 8)
                                     : (int32_t)slt_load_u32(t->data + (size_t)i * 4);
        place[i] = (struct place){position, i};
    }
    qsort(place, (size_t)n, sizeof *place, compare_places);
    int rc = 0;
    for (int64_t i = 0; i < n; i++) {
        m->position[i] = place[i].position;
        m->order[i] = place[i].at;
        if (place[i].position < 0 || place[i].position >= p->out * p->in ||
            (i > 0 && place[i].position == place[i - 1].position))
            rc = slt_error_set(err, SLT_ERR_FORMAT,
                               "'%s': tensor '%s' has position %lld twice, or beyond %lld x %lld",
                               m->directory, p->name, (long long)place[i].position,
                               (long long)p->out, (long long)p->in);
    }
    free(place);
    return rc == 0 ? slt_positions_store(m->writer, m->position, p, err) : rc;
}

// ---- Parameters ----

static int write_param(struct import *m, const struct slt_param_info *p, struct slt_error *err)
{
    struct slt_directory_tensor *t = slt_tensor_directory_find(&m->tensors, p->name);
    if (t == NULL)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             p->role == SLT_ROLE_HEAD
                                 ? "'%s': tensor '%s' is missing: the model was saved without its "
                                   "head, and config.json does not tie that to the embedding "
                                   "(tie_word_embeddings)"
                                 : "'%s': tensor '%s' is missing",
                             m->directory, p->name);
    if (slt_tensor_directory_has_other(&m->tensors, t))
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' has tensor '%s' twice", m->directory,
                             p->name);
    t->used = true;
    int rc = check_tensor(m, t, p, err);
    if (rc != 0)
        return rc;
    if (p->role == SLT_ROLE_INDEX)
        return write_positions(m, t, p, err);
    return write_values(m, t, p->rows * p->cols, p->role == SLT_ROLE_SPARSE ? m->order : NULL, err);
}

// ---- Tokens with a meaning ----

// The id of a piece, or -1.
static int64_t id_of(const struct slt_tokenizer *t, const char *text)
{
    const uint32_t count = slt_tokenizer_info(t)->vocab_size;
    uint32_t id = 0;
    while (text != NULL && id < count && strcmp(slt_tokenizer_piece(t, id).text, text) != 0)
        id++;
    return text != NULL && id < count ? (int64_t)id : -1;
}

// Sets an id that config.json lacks: that of the token which tokenizer_config.json (NULL: there is
// none) has under key, as a text or as an object with it, else the tokenizer's own.
static void set_id(int64_t *id, const struct import *m, const struct slt_tokenizer *t,
                   const json_t *json, const char *key, uint32_t own)
{
    const json_t *token = json_object_get(json, key);
    if (json_is_object(token))
        token = json_object_get(token, "content");
    if (*id < 0)
        *id = id_of(t, json_string_value(token));
    if (*id < 0 && own != SLT_TOKEN_NONE)
        *id = own;
    if (*id >= m->config.vocab_size)
        *id = -1;
}

static int find_ids(struct import *m, struct slt_error *err)
{
    const struct slt_tokenizer *t = m->options->tokenizer;
    const struct slt_tokenizer_info *info = slt_tokenizer_info(t);
    char path[PATH_MAX];
    struct stat st;
    json_t *json = NULL;
    void *data;
    size_t bytes;
    snprintf(path, sizeof path, "%s/tokenizer_config.json", m->directory);
    if (stat(path, &st) == 0) {
        int rc = slt_file_read(&data, &bytes, path, TOKENIZER_CONFIG_MAX, m->options->stop, err);
        if (rc != 0)
            return rc;
        rc = slt_json_parse_python(&json, path, data, bytes, err);
        free(data);
        if (rc != 0)
            return rc;
    }
    set_id(&m->config.bos_token_id, m, t, json, "bos_token", info->bos);
    set_id(&m->config.eos_token_id, m, t, json, "eos_token", info->eos);
    set_id(&m->config.pad_token_id, m, t, json, "pad_token", info->pad);
    json_decref(json);
    return 0;
}

// ---- The whole ----

static int write_all(struct import *m, struct slt_output *out, struct slt_error *err)
{
    struct slt_param_info *params;
    size_t count = 0;
    m->chunk = malloc((size_t)CHUNK * sizeof *m->chunk);
    if (m->chunk == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a buffer for values");
    int rc = slt_checkpoint_start(&m->writer, &params, &count, out, &m->config,
                                  slt_tokenizer_file(m->options->tokenizer), err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = write_param(m, &params[i], err);
    if (rc == 0) {
        rc = slt_checkpoint_finish(m->writer, m->options->provenance, err);
        m->writer = NULL;
    }
    free(params);
    return rc;
}

// What was done with the tensors that a reader of the directory would not expect.
static void tell(const struct import *m)
{
    const struct slt_convert_options *o = m->options;
    bool is_told = o->on_renamed == NULL;
    for (size_t i = 0; i < m->tensors.tensors; i++) {
        const struct slt_directory_tensor *t = &m->tensors.tensor[i];
        if (!t->used && o->on_ignored != NULL)
            o->on_ignored(o->user, t->file.name);
        if (t->used && !is_told && strcmp(t->name, t->file.name) != 0) {
            o->on_renamed(o->user, t->file.name, t->name);
            is_told = true;
        }
    }
}

int slt_convert_import(struct slt_output *out, const char *directory,
                       const struct slt_convert_options *options, struct slt_error *err)
{
    struct import m = {.directory = directory, .options = options};
    int rc = open_model(&m, err);
    if (rc == 0 && options->tokenizer != NULL)
        rc = find_ids(&m, err);
    if (rc == 0)
        rc = write_all(&m, out, err);
    if (rc == 0)
        tell(&m);
    slt_checkpoint_abandon(m.writer);
    slt_tensor_directory_close(&m.tensors);
    free(m.chunk);
    free(m.order);
    free(m.position);
    return rc;
}
