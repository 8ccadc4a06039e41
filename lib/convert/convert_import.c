// Hugging Face directories, and those of the published SLTrain code, to checkpoints: step by step,
// so that a program may read a directory as if it were a checkpoint.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/architecture.h"
#include "config/linear_kind.h"
#include "convert/foreign.h"
#include "convert/import_tokens.h"
#include "core/bfloat.h"
#include "core/bytes.h"
#include "core/half.h"
#include "files/made_streams.h"
#include "files/param_tensors.h"
#include "files/tensor_directory.h"
#include "files/tokenizer_directory.h"
#include "slt/convert.h"
#include "text/buffer.h"

#define CONFIG_MAX           (1 << 20)
#define TOLD_MAX             10                 // tensors left out that are named
#define CHUNK                ((int64_t)1 << 16) // values that are converted at once

struct import {
    char *directory, *provenance;
    struct slt_convert_options options;
    struct slt_tokenizer *own; // of the directory, where the options bring none
    struct slt_tensor_directory tensors;
    struct slt_config config;
    struct slt_checkpoint_writer *writer; // NULL once all is written
    struct slt_param_info *params;
    size_t count, next; // parameters, and the one that is due
    int64_t done;       // values of it that are written
    float *chunk;
    int64_t *order; // of the positions that are being written, sorted
    int64_t *position;
    // Where the checkpoint is read instead of written: its bytes that nobody has taken yet.
    struct slt_output *out;
    struct text_buffer made;
    size_t taken;
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
    c->layers_count = 0; // they are all alike here
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
    c->alpha = m->options.alpha > 0 ? m->options.alpha : c->alpha;
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
    c->density = m->options.density > 0 ? m->options.density : c->density;
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
    int rc = slt_file_read(&text, &bytes, path, CONFIG_MAX, m->options.stop, err);
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

// The configuration comes first: what is no LLaMA need not be read further.
static int open_model(struct import *m, struct slt_error *err)
{
    int rc = slt_foreign_check_adapter(m->directory, err);
    if (rc != 0 || (rc = read_config(m, err)) != 0 ||
        (rc = slt_foreign_check_pickles(m->directory, err)) != 0 ||
        (rc = slt_tensor_directory_open(&m->tensors, m->directory, m->options.stop, err)) != 0 ||
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

// The next values of a tensor. order: the elements are those at these places; NULL: all in turn.
static int write_values(struct import *m, const struct slt_directory_tensor *t, int64_t count,
                        const int64_t *order, struct slt_error *err)
{
    const int64_t at = m->done, n = count - at < CHUNK ? count - at : CHUNK;
    const int rc = slt_error_stopped(m->options.stop, err);
    if (rc != 0)
        return rc;
    for (int64_t i = 0; i < n; i++)
        m->chunk[i] = value_at(t, order != NULL ? order[at + i] : at + i);
    m->done += n;
    return slt_checkpoint_write(m->writer, m->chunk, (size_t)n * sizeof *m->chunk, err);
}

// ---- Heads that are tied ----

static bool is_same(const struct slt_directory_tensor *a, const struct slt_directory_tensor *b)
{
    const int64_t n = a->file.info.shape[0] * a->file.info.shape[1];
    if (a->file.info.dtype == b->file.info.dtype)
        return memcmp(a->data, b->data, (size_t)a->file.info.bytes) == 0;
    for (int64_t i = 0; i < n; i++)
        if (value_at(a, i) != value_at(b, i))
            return false;
    return true;
}

// A copy of the embedding says nothing. Versions of transformers differ over whether a head that
// is another one, in a model that ties them, is used.
static int check_tied(struct import *m, struct slt_error *err)
{
    const struct slt_config *c = &m->config;
    const char *const head_name = slt_architecture(c)->head, *const embedding_name =
                                                                 slt_architecture(c)->embedding;
    struct slt_directory_tensor *head = slt_tensor_directory_find(&m->tensors, head_name);
    const struct slt_directory_tensor *embedding =
        slt_tensor_directory_find(&m->tensors, embedding_name);
    struct slt_param_info p = {
        .role = SLT_ROLE_HEAD, .rows = c->vocab_size, .cols = c->hidden_size};
    if (!c->tie_word_embeddings || head == NULL || embedding == NULL)
        return 0;
    snprintf(p.name, sizeof p.name, "%s", embedding_name);
    int rc = check_tensor(m, embedding, &p, err);
    if (rc != 0)
        return rc;
    if (check_tensor(m, head, &p, NULL) != 0 || !is_same(head, embedding))
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s': config.json ties the head to the embedding "
                             "(tie_word_embeddings), but '%s' and '%s' differ",
                             m->directory, head_name, embedding_name);
    head->used = true;
    return 0;
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

static int say_missing(const struct import *m, const struct slt_param_info *p,
                       struct slt_error *err)
{
    if (p->role == SLT_ROLE_HEAD)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "'%s': tensor '%s' is missing: the model was saved without its head, "
                             "and config.json does not tie that to the embedding "
                             "(tie_word_embeddings)",
                             m->directory, p->name);
    if (m->tensors.tensors == 0)
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' has no tensors", m->directory);
    return slt_error_set(err, SLT_ERR_FORMAT,
                         "'%s': tensor '%s' is missing: found names such as '%.200s'", m->directory,
                         p->name, m->tensors.tensor[0].file.name);
}

// The next values of a parameter, or all of its positions.
static int write_param(struct import *m, const struct slt_param_info *p, struct slt_error *err)
{
    struct slt_directory_tensor *t = slt_tensor_directory_find(&m->tensors, p->name);
    if (t == NULL)
        return say_missing(m, p, err);
    if (slt_tensor_directory_has_other(&m->tensors, t))
        return slt_error_set(err, SLT_ERR_FORMAT, "'%s' has tensor '%s' twice", m->directory,
                             p->name);
    t->used = true;
    int rc = check_tensor(m, t, p, err);
    if (rc != 0)
        return rc;
    if (p->role == SLT_ROLE_INDEX) {
        m->done = p->cols;
        return write_positions(m, t, p, err);
    }
    return write_values(m, t, p->rows * p->cols, p->role == SLT_ROLE_SPARSE ? m->order : NULL, err);
}

// ---- The whole ----

static void free_import(void *user)
{
    struct import *m = user;
    slt_checkpoint_abandon(m->writer);
    slt_output_abandon(m->out);
    slt_tensor_directory_close(&m->tensors);
    slt_tokenizer_free(m->own);
    free(m->params);
    free(m->chunk);
    free(m->order);
    free(m->position);
    free(m->made.data);
    free(m->directory);
    free(m->provenance);
    free(m);
}

static void pass_note(void *user, const char *sentence)
{
    import_note(&((struct import *)user)->options, "%s", sentence);
}

static int open_import(struct import **import, const char *directory,
                       const struct slt_convert_options *options, struct slt_error *err)
{
    struct import *m = calloc(1, sizeof *m);
    if (m == NULL || (m->directory = strdup(directory)) == NULL ||
        (m->provenance = strdup(options->provenance != NULL ? options->provenance : "")) == NULL ||
        (m->chunk = malloc((size_t)CHUNK * sizeof *m->chunk)) == NULL) {
        if (m != NULL)
            free_import(m);
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate what reading '%s' needs",
                             directory);
    }
    m->options = *options;
    int rc = open_model(m, err);
    if (rc == 0)
        rc = check_tied(m, err);
    if (rc == 0 && options->tokenizer == NULL) {
        const struct slt_tokenizer_listener listener = {pass_note, m};
        rc = slt_tokenizer_of_directory(&m->own, directory, &listener, options->stop, err);
        m->options.tokenizer = m->own;
    }
    if (rc == 0)
        rc = import_find_ids(&m->config, directory, &m->options, err);
    if (rc != 0)
        free_import(m);
    else
        *import = m;
    return rc;
}

static int start(struct import *m, struct slt_output *out, struct slt_error *err)
{
    return slt_checkpoint_start(&m->writer, &m->params, &m->count, out, &m->config,
                                slt_tokenizer_file(m->options.tokenizer), err);
}

// What was done with the tensors that a reader of the directory would not expect.
static void tell(const struct import *m)
{
    size_t left_out = 0;
    bool is_told = false;
    for (size_t i = 0; i < m->tensors.tensors; i++) {
        const struct slt_directory_tensor *t = &m->tensors.tensor[i];
        if (!t->used && left_out++ < TOLD_MAX)
            import_note(&m->options, "tensor '%.200s' is not of this model, and left out",
                        t->file.name);
        if (t->used && !is_told && strcmp(t->name, t->file.name) != 0) {
            import_note(&m->options,
                        "tensors have other names: '%.200s' is taken as '%.200s', and so on",
                        t->file.name, t->name);
            is_told = true;
        }
    }
    if (left_out > TOLD_MAX)
        import_note(&m->options, "%zu more tensors are not of this model, and left out",
                    left_out - TOLD_MAX);
}

static int finish(struct import *m, struct slt_error *err)
{
    const int rc = slt_checkpoint_finish(m->writer, m->provenance, err);
    m->writer = NULL;
    if (rc == 0)
        tell(m);
    return rc;
}

// Writes what comes next of the checkpoint.
static int step(struct import *m, struct slt_error *err)
{
    if (m->next == m->count)
        return finish(m, err);
    const struct slt_param_info *p = &m->params[m->next];
    const int rc = write_param(m, p, err);
    if (m->done == p->rows * p->cols) {
        m->done = 0;
        m->next++;
    }
    return rc;
}

int slt_convert_import(struct slt_output *out, const char *directory,
                       const struct slt_convert_options *options, struct slt_error *err)
{
    struct import *m;
    int rc = open_import(&m, directory, options, err);
    if (rc != 0)
        return rc;
    rc = start(m, out, err);
    while (rc == 0 && m->writer != NULL)
        rc = step(m, err);
    free_import(m);
    return rc;
}

// ---- Reading a directory as a checkpoint ----

static int keep(void *user, const void *data, size_t bytes, struct slt_error *err)
{
    return text_buffer_add(&((struct import *)user)->made, data, bytes, err);
}

static int make(void *user, void *data, size_t bytes, size_t *got, struct slt_error *err)
{
    struct import *m = user;
    int rc = 0;
    if (m->taken == m->made.bytes)
        m->taken = m->made.bytes = 0;
    while (rc == 0 && m->made.bytes == 0 && m->writer != NULL) {
        rc = step(m, err);
        if (rc == 0)
            rc = slt_output_flush(m->out, err);
    }
    if (rc != 0)
        return rc;
    const size_t left = m->made.bytes - m->taken;
    *got = left < bytes ? left : bytes;
    if (*got > 0)
        memcpy(data, m->made.data + m->taken, *got);
    m->taken += *got;
    return 0;
}

int slt_convert_open(struct slt_input **in, const char *directory,
                     const struct slt_convert_options *options, struct slt_error *err)
{
    struct import *m;
    int rc = open_import(&m, directory, options, err);
    if (rc != 0)
        return rc;
    if ((rc = slt_output_handed(&m->out, directory, keep, m, err)) != 0 ||
        (rc = start(m, m->out, err)) != 0) {
        free_import(m);
        return rc;
    }
    return slt_input_made(in, directory, make, free_import, m, options->stop, err);
}
