// Writing a new checkpoint: values by chunks, as functions of seed, name and element, or from a
// model to start from.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config/linear_kind.h"
#include "core/threads.h"
#include "files/param_tensors.h"
#include "files/provenance.h"
#include "slt/checkpoint.h"
#include "slt/init.h"
#include "slt/random.h"
#include "slt/support.h"
#include "weights/decompose.h"
#include "weights/dense.h"
#include "weights/starts.h"

#define CHUNK ((int64_t)1 << 18) // values made at once
#define BLOCK 4096               // values of one thread's share: a multiple of the four of a block

struct maker {
    struct slt_config config;
    struct slt_checkpoint_writer *writer;
    slt_stop_flag *stop;
    int threads; // 0: all
    float *chunk;
    struct slt_init_start start;
    // To start from, and its parameters, of which next are behind us.
    const struct slt_init_from *from;
    struct slt_param_info *source;
    size_t next;
    // The linear that is being written.
    struct slt_decomposition parts;
    float *w; // merged, (out, in), or what is left of it
};

// values (count): elements [first, first + count) of a tensor.
static void make_values(float *values, const struct maker *k, const struct slt_param_info *p,
                        int64_t first, int64_t count)
{
    const struct slt_config *c = &k->config;
    const struct slt_random_key key = slt_random_key("slt-init-1", p->name, c->seed);
    const struct slt_kind_tensor *tensor = slt_kind_tensor(p->form.method, p->role);
    enum slt_start start = tensor != NULL             ? tensor->start
                           : p->role == SLT_ROLE_NORM ? SLT_START_ONE
                                                      : SLT_START_NORMAL;
    if (start == SLT_START_B)
        start = c->lora_b_zero ? SLT_START_ZERO : SLT_START_UNIFORM;
    if (p->role == SLT_ROLE_SPARSE && k->start.sparse_scale == 0)
        start = SLT_START_ZERO;
    for (int64_t i = 0; i < count; i++)
        values[i] = start == SLT_START_ONE ? 1.0f : 0.0f;
    if (start == SLT_START_ONE || start == SLT_START_ZERO)
        return;
    const double fan_in = p->role == SLT_ROLE_LORA_B ? (double)p->form.rank : (double)p->in;
    const double scale = p->role == SLT_ROLE_SPARSE ? k->start.sparse_scale : 1;
    const bool uniform = start == SLT_START_UNIFORM;
    const float bound = uniform ? (float)(scale / sqrt(fan_in)) : 0;
#pragma omp parallel for schedule(static) num_threads(slt_thread_count(k->threads))
    for (int64_t at = 0; at < count; at += BLOCK) {
        const size_t n = (size_t)(count - at < BLOCK ? count - at : BLOCK);
        if (uniform)
            slt_random_uniform(values + at, key, (uint64_t)(first + at), n, bound);
        else
            slt_random_normal(values + at, key, (uint64_t)(first + at), n,
                              (float)c->initializer_range);
    }
}

static int write_new(struct maker *k, const struct slt_param_info *p, struct slt_error *err)
{
    const int64_t total = p->rows * p->cols;
    int rc = 0;
    for (int64_t at = 0; rc == 0 && at < total; at += CHUNK) {
        const int64_t count = total - at < CHUNK ? total - at : CHUNK;
        if ((rc = slt_error_stopped(k->stop, err)) != 0)
            return rc;
        make_values(k->chunk, k, p, at, count);
        rc = slt_checkpoint_write(k->writer, k->chunk, (size_t)count * sizeof *k->chunk, err);
    }
    return rc;
}

// ---- From another model ----

// Copies an embedding, a norm or the head.
static int copy_tensor(struct maker *k, const struct slt_param_info *p, struct slt_error *err)
{
    int rc = slt_param_expect(k->from->reader, p, err);
    k->next++;
    if (rc != 0)
        return rc;
    return slt_values_copy(k->writer, k->from->reader, p->rows * p->cols, k->stop, err);
}

// Reads the linear that p is the first parameter of, and makes what the new model has of it.
static int take_linear(struct maker *k, const struct slt_param_info *p, struct slt_error *err)
{
    struct slt_dense_linear l;
    size_t taken;
    // A kind with a weight of its own starts from the whole matrix, with new factors.
    const bool splits = !slt_method_has(p->form.method, SLT_ROLE_WEIGHT);
    int rc = slt_error_stopped(k->stop, err);
    if (rc != 0 ||
        (rc = slt_dense_read(&l, &taken, &k->source[k->next], k->from->reader, err)) != 0)
        return rc;
    k->next += taken;
    slt_decomposition_free(&k->parts);
    free(k->w);
    k->w = malloc((size_t)(p->out * p->in) * sizeof *k->w);
    if (k->w == NULL)
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the weights of '%s'", l.name);
    if (rc == 0)
        slt_dense_merge(k->w, &l, SLT_DENSE_ALL);
    if (rc == 0 && splits) {
        const struct slt_support support =
            slt_config_support(&k->config, &p->form, l.name, p->out, p->in);
        rc = slt_decompose(&k->parts, k->w, &p->form, &support, err);
    }
    slt_dense_free(&l);
    return rc;
}

static int write_linear(struct maker *k, const struct slt_param_info *p, struct slt_error *err)
{
    const bool is_new = slt_method_has(p->form.method, SLT_ROLE_WEIGHT);
    const float *values = p->role == SLT_ROLE_WEIGHT   ? k->w
                          : is_new                     ? NULL
                          : p->role == SLT_ROLE_LORA_A ? k->parts.a
                          : p->role == SLT_ROLE_LORA_B ? k->parts.b
                                                       : k->parts.values;
    if (p->role == SLT_ROLE_INDEX)
        return slt_positions_store(k->writer, k->parts.position, p, err);
    if (p->role == SLT_ROLE_SPARSE && k->from->sparse == SLT_INIT_RANDOM)
        values = NULL;
    if (p->role == SLT_ROLE_SPARSE && k->from->sparse == SLT_INIT_ZERO)
        memset(k->parts.values, 0, (size_t)k->parts.nnz * sizeof *k->parts.values);
    if (values == NULL)
        return write_new(k, p, err);
    return slt_checkpoint_write(k->writer, values, (size_t)(p->rows * p->cols) * sizeof *values,
                                err);
}

// Parameter i of the new model.
static int write_from(struct maker *k, const struct slt_param_info *p, bool first_of_linear,
                      struct slt_error *err)
{
    if (p->group < 0)
        return copy_tensor(k, p, err);
    int rc = first_of_linear ? take_linear(k, p, err) : 0;
    return rc == 0 ? write_linear(k, p, err) : rc;
}

// ---- By decompositions ----

// Makes the factors of the linear that p is the first parameter of.
static int start_linear(struct maker *k, const struct slt_param_info *p, struct slt_error *err)
{
    char name[100];
    const struct slt_start_linear l = {
        .config = &k->config,
        .name = slt_linear_name(name, sizeof name, &k->config, p->layer, p->group, p->member),
        .form = p->form,
        .out = p->out,
        .in = p->in};
    int rc = slt_error_stopped(k->stop, err);
    if (rc != 0)
        return rc;
    slt_decomposition_free(&k->parts);
    if (k->start.factors == SLT_FACTORS_ORTHOGONAL)
        return slt_start_orthogonal(&k->parts, &l, err);
    free(k->w);
    k->w = malloc((size_t)(p->out * p->in) * sizeof *k->w);
    if (k->w == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the weights of '%s'", name);
    return slt_start_svd(&k->parts, k->w, &l, err);
}

// What a decomposition gives of the tensor; NULL where it is drawn like others.
static const float *started_values(const struct maker *k, const struct slt_param_info *p)
{
    switch (p->role) {
    case SLT_ROLE_LORA_A:
        return k->parts.a;
    case SLT_ROLE_LORA_B:
        return k->parts.b;
    case SLT_ROLE_WEIGHT: // beside factors
        return k->start.factors == SLT_FACTORS_SVD ? k->w : NULL;
    default:
        return NULL;
    }
}

static int write_started(struct maker *k, const struct slt_param_info *p, bool first_of_linear,
                         struct slt_error *err)
{
    if (k->start.factors == SLT_FACTORS_KAIMING || p->form.rank == 0)
        return write_new(k, p, err);
    int rc = first_of_linear ? start_linear(k, p, err) : 0;
    if (rc != 0)
        return rc;
    const float *values = started_values(k, p);
    if (values == NULL)
        return write_new(k, p, err);
    return slt_checkpoint_write(k->writer, values, (size_t)(p->rows * p->cols) * sizeof *values,
                                err);
}

// ---- The whole ----

// Verifies what was read, writes provenance and manifest, and frees the writer.
static int finish(struct maker *k, const char *provenance, struct slt_error *err)
{
    struct slt_checkpoint_reader *from = k->from != NULL ? k->from->reader : NULL;
    char *text = NULL;
    int rc = from != NULL ? slt_checkpoint_verify(from, err) : 0;
    const char *before = from != NULL ? slt_checkpoint_provenance(from) : NULL;
    if (provenance == NULL)
        provenance = before;
    else if (rc == 0 && before != NULL)
        rc = slt_provenance_join(&text, before, provenance, err);
    if (rc == 0) {
        rc = slt_checkpoint_finish(k->writer, text != NULL ? text : provenance, err);
        k->writer = NULL;
    }
    free(text);
    return rc;
}

static bool same_linear(const struct slt_param_info *a, const struct slt_param_info *b)
{
    return a->layer == b->layer && a->group == b->group && a->member == b->member;
}

static int write_all(struct maker *k, const struct slt_param_info *params, size_t count,
                     struct slt_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const bool first = i == 0 || !same_linear(&params[i], &params[i - 1]);
        rc = k->from == NULL ? write_started(k, &params[i], first, err)
                             : write_from(k, &params[i], first, err);
    }
    return rc;
}

int slt_init_write(struct slt_output *out, const struct slt_config *config,
                   const struct slt_tokenizer *tokenizer, const struct slt_init_from *from,
                   const struct slt_init_start *start, const char *provenance, int threads,
                   slt_stop_flag *stop, struct slt_error *err)
{
    const struct slt_init_start usual = {SLT_FACTORS_KAIMING, 1};
    struct maker k = {.config = *config,
                      .from = from,
                      .start = start != NULL ? *start : usual,
                      .stop = stop,
                      .threads = threads};
    struct slt_param_info *params = NULL;
    size_t count, source_count;
    int rc = slt_support_crc(&k.config.support_crc, &k.config, err);
    if (rc != 0 || (from != NULL && (rc = slt_config_params(slt_checkpoint_config(from->reader),
                                                            &k.source, &source_count, err)) != 0))
        goto out;
    k.chunk = malloc((size_t)CHUNK * sizeof *k.chunk);
    if (k.chunk == NULL) {
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a buffer for new values");
        goto out;
    }
    if ((rc = slt_checkpoint_start(&k.writer, &params, &count, out, &k.config,
                                   slt_tokenizer_file(tokenizer), err)) != 0 ||
        (rc = write_all(&k, params, count, err)) != 0)
        goto out;
    rc = finish(&k, provenance, err);
out:
    slt_checkpoint_abandon(k.writer);
    slt_decomposition_free(&k.parts);
    free(params);
    free(k.source);
    free(k.w);
    free(k.chunk);
    return rc;
}
