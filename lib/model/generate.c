// Sampling with a key-value cache.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "slt/generate.h"
#include "slt/random.h"

#define PREFILL 64 // prompt tokens that pass through the model at once

struct candidate {
    float logit;
    int32_t id;
};

struct slt_generator {
    struct slt_model *model;
    struct slt_sampling sampling;
    struct slt_random_key key;
    int64_t capacity, position;  // tokens fed so far
    uint64_t drawn;              // tokens sampled so far
    float *logits;               // (V)
    struct candidate *candidate; // (V)
    double *weight;              // (V)
};

int slt_generator_create(struct slt_generator **generator, struct slt_device *device,
                         struct slt_checkpoint_reader *reader, int64_t capacity,
                         const struct slt_sampling *sampling, struct slt_error *err)
{
    const struct slt_config *c = slt_checkpoint_config(reader);
    const struct slt_model_shape shape = {.batch = 1,
                                          .seq = capacity < PREFILL ? capacity : PREFILL,
                                          .cache = capacity,
                                          .logits = 1,
                                          .codes = true};
    struct slt_generator *g = calloc(1, sizeof *g);
    int more, rc;
    if (g == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a generator");
    g->sampling = *sampling;
    g->key = slt_random_key("slt-sample-1", "", sampling->seed);
    g->capacity = capacity;
    const size_t vocab = (size_t)c->vocab_size;
    if ((rc = slt_model_create(&g->model, device, c, SLT_F32, &shape, NULL, NULL, err)) != 0 ||
        (rc = slt_model_load(g->model, reader, &more, err)) != 0 ||
        (rc = slt_checkpoint_verify(reader, err)) != 0)
        goto out;
    g->model->stop = sampling->stop;
    g->logits = malloc(vocab * sizeof *g->logits);
    g->candidate = malloc(vocab * sizeof *g->candidate);
    g->weight = malloc(vocab * sizeof *g->weight);
    if (g->logits == NULL || g->candidate == NULL || g->weight == NULL)
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate logits for %zu pieces", vocab);
out:
    if (rc != 0)
        slt_generator_free(g);
    else
        *generator = g;
    return rc;
}

void slt_generator_free(struct slt_generator *g)
{
    if (g == NULL)
        return;
    slt_model_free(g->model);
    free(g->logits);
    free(g->candidate);
    free(g->weight);
    free(g);
}

// The last token goes alone, so that its logits are the only ones computed.
int slt_generator_feed(struct slt_generator *g, const int32_t *ids, int64_t count,
                       struct slt_error *err)
{
    struct slt_model *m = g->model;
    if (count < 1 || g->position + count > g->capacity)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "%lld tokens do not fit behind the %lld of %lld that are in use",
                             (long long)count, (long long)g->position, (long long)g->capacity);
    for (int64_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= m->config.vocab_size)
            return slt_error_set(err, SLT_ERR_RANGE, "token %d is outside the vocabulary of %lld",
                                 ids[i], (long long)m->config.vocab_size);
    for (int64_t at = 0, n; at < count; at += n) {
        const int64_t left = count - 1 - at;
        int rc = slt_error_stopped(g->sampling.stop, err);
        if (rc != 0)
            return rc;
        n = left == 0 ? 1 : left < PREFILL ? left : PREFILL;
        slt_model_resize(m, 1, n);
        slt_model_set_position(m, g->position);
        slt_model_set_batch(m, ids + at, NULL);
        slt_model_forward(m);
        g->position += n;
    }
    const int rc = slt_error_stopped(g->sampling.stop, err);
    return rc == 0 ? slt_model_logits(m, g->logits, err) : rc;
}

const float *slt_generator_logits(const struct slt_generator *g)
{
    return g->logits;
}

// Higher logits first; ties by id, so that the order is one.
static int by_logit(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

static int32_t most_likely(const struct slt_generator *g, int64_t vocab)
{
    int32_t best = 0;
    for (int64_t i = 1; i < vocab; i++)
        if (g->logits[i] > g->logits[best])
            best = (int32_t)i;
    return best;
}

// Candidates in order, cut by top-k and top-p; weights are unnormalised probabilities. Returns how
// many.
static int64_t cut_candidates(struct slt_generator *g, int64_t vocab)
{
    for (int64_t i = 0; i < vocab; i++)
        g->candidate[i] = (struct candidate){g->logits[i], (int32_t)i};
    qsort(g->candidate, (size_t)vocab, sizeof *g->candidate, by_logit);
    int64_t n = g->sampling.top_k > 0 && g->sampling.top_k < vocab ? g->sampling.top_k : vocab;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const double x = (double)g->candidate[i].logit - (double)g->candidate[0].logit;
        sum += g->weight[i] = exp(x / g->sampling.temperature);
    }
    double kept = 0;
    for (int64_t i = 0; i < n; i++) {
        kept += g->weight[i];
        if (kept >= g->sampling.top_p * sum)
            return i + 1;
    }
    return n;
}

static int32_t sample(struct slt_generator *g, int64_t vocab)
{
    uint32_t word[4];
    const int64_t n = cut_candidates(g, vocab);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += g->weight[i];
    slt_random_block(word, g->key, g->drawn++, 0);
    const double u = ((double)word[0] + 0.5) * 0x1p-32 * sum;
    double below = 0;
    for (int64_t i = 0; i < n; i++) {
        below += g->weight[i];
        if (u < below)
            return g->candidate[i].id;
    }
    return g->candidate[n - 1].id;
}

int slt_generator_next(struct slt_generator *g, int32_t *id, struct slt_error *err)
{
    const int64_t vocab = g->model->config.vocab_size;
    if (g->position == 0)
        return slt_error_set(err, SLT_ERR_RANGE, "nothing was fed to the generator yet");
    const int32_t next = g->sampling.temperature <= 0 ? most_likely(g, vocab) : sample(g, vocab);
    int rc = slt_generator_feed(g, &next, 1, err);
    if (rc == 0)
        *id = next;
    return rc;
}
