// The exact token-weighted loss of a model, and what the published evaluators would print.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "files/sampler.h"
#include "model/evaluate.h"
#include "ranks/ranks.h"
#include "slt/digest.h"
#include "slt/tokenizer.h"

#define BLOCK 512 // losses that ranks exchange at once

int slt_tokens_match(const struct slt_tokens *tokens, const struct slt_checkpoint_reader *reader,
                     struct slt_error *err)
{
    static const unsigned char unknown[SLT_SHA256_BYTES];
    const struct slt_tokens_header *h = slt_tokens_header(tokens);
    const struct slt_config *c = slt_checkpoint_config(reader);
    if ((int64_t)h->vocab_size > c->vocab_size)
        return slt_error_set(err, SLT_ERR_MISMATCH,
                             "'%s' has a vocabulary of %u, but '%s' only of %lld",
                             slt_tokens_name(tokens), h->vocab_size, slt_checkpoint_name(reader),
                             (long long)c->vocab_size);
    size_t bytes;
    const char *member;
    const void *tokenizer = slt_checkpoint_tokenizer(reader, &bytes, &member);
    if (tokenizer == NULL || memcmp(h->digest, unknown, sizeof unknown) == 0)
        return 0;
    unsigned char digest[SLT_SHA256_BYTES];
    slt_tokenizer_digest(digest, tokenizer, bytes);
    if (memcmp(digest, h->digest, sizeof digest) != 0)
        return slt_error_set(err, SLT_ERR_MISMATCH,
                             "'%s' was made with another tokenizer than '%s' carries",
                             slt_tokens_name(tokens), slt_checkpoint_name(reader));
    return 0;
}

// A batch, whose loss one of the ranks works out.
struct batch {
    uint64_t predicted;
    double loss;
};

struct batches {
    struct batch *batch; // (count)
    size_t count, room;
};

static int add_batch(struct batches *b, uint64_t predicted, struct slt_error *err)
{
    if (b->count == b->room) {
        const size_t room = b->room > 0 ? 2 * b->room : 64;
        struct batch *more = realloc(b->batch, room * sizeof *more);
        if (more == NULL)
            return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the losses of %zu batches",
                                 room);
        b->batch = more;
        b->room = room;
    }
    b->batch[b->count++] = (struct batch){predicted, 0};
    return 0;
}

// One batch of count sequences.
static int evaluate_batch(struct batch *batch, struct slt_model *m, const int32_t *ids,
                          const int32_t *targets, int64_t count, int64_t seq, struct slt_error *err)
{
    if (count * seq != m->tokens.cols)
        slt_model_resize(m, count, seq);
    slt_model_set_batch(m, ids, targets);
    slt_model_set_scalar(m, SLT_SCALAR_LOSS, 0);
    slt_model_forward(m);
    slt_model_loss(m, NULL);
    batch->loss = slt_model_get_scalar(m, SLT_SCALAR_LOSS);
    return m->ops->synchronize(m->ctx, err);
}

// Every rank gets the losses that the others have, of batches in turn: rank r has number r, r + size,
// and so on. A block of them at a time.
static int exchange_losses(struct batches *b, struct slt_ranks *ranks, struct slt_error *err)
{
    const size_t size = (size_t)slt_ranks_size(ranks), rank = (size_t)slt_ranks_rank(ranks);
    double *all = calloc(size * BLOCK, sizeof *all), mine[BLOCK];
    int rc = all != NULL ? 0 : slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate losses");
    rc = slt_ranks_settle(ranks, rc, err);
    for (size_t at = 0; rc == 0 && at < b->count; at += size * BLOCK) {
        for (size_t i = 0; i < BLOCK; i++) {
            const size_t k = at + i * size + rank;
            mine[i] = k < b->count ? b->batch[k].loss : 0;
        }
        rc = slt_ranks_gather(ranks, all, mine, sizeof mine, err);
        for (size_t i = 0; rc == 0 && i < size * BLOCK; i++)
            if (at + i < b->count)
                b->batch[at + i].loss = all[i % size * BLOCK + i / size];
    }
    free(all);
    return rc;
}

// In the order of batches, whoever had them.
static void add_losses(struct slt_eval_result *r, const struct batches *b)
{
    for (size_t i = 0; i < b->count; i++) {
        const struct batch *batch = &b->batch[i];
        r->loss_sum += batch->loss;
        if (batch->predicted > 0) {
            r->batches++;
            r->batch_loss_sum += batch->loss / (double)batch->predicted;
        }
    }
}

static void conclude(struct slt_eval_result *r, const struct slt_tokens *tokens, bool whole)
{
    const uint64_t bytes = slt_tokens_totals(tokens).text_bytes;
    r->loss = r->loss_sum / (double)r->tokens;
    r->perplexity = exp(r->loss);
    r->bits_per_byte = whole && bytes > 0 ? r->loss_sum / log(2) / (double)bytes : NAN;
    r->galore_loss = r->batch_loss_sum / (double)(r->batches + 1);
    r->galore_perplexity = exp(r->galore_loss);
}

struct evaluation {
    const struct slt_eval_options *options;
    struct slt_model *model;
    struct slt_sampler sampler;
    int32_t *ids, *targets; // (batch, seq)
    struct batches batches;
    uint64_t tokens; // of all batches so far
    uint64_t sum;    // of their targets, and where batches end (FNV-1a, by words)
    double own_loss; // of those that this rank had
    uint64_t own_tokens;
};

static int start(struct evaluation *e, struct slt_tokens *tokens, struct slt_error *err)
{
    const struct slt_eval_options *o = e->options;
    const size_t values = (size_t)(o->batch * o->seq);
    e->ids = malloc(values * sizeof *e->ids);
    e->targets = malloc(values * sizeof *e->targets);
    if (e->ids == NULL || e->targets == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a batch of %zu tokens", values);
    return slt_sampler_init(&e->sampler, tokens, o->seq, o->packing, false, 0, err);
}

// The batch of got sequences that has been read, if it is this rank's turn.
static int take_batch(struct evaluation *e, int64_t got, struct slt_error *err)
{
    const struct slt_eval_options *o = e->options;
    const uint64_t predicted = slt_count_targets(e->targets, got * o->seq);
    int rc = add_batch(&e->batches, predicted, err);
    if (rc != 0)
        return rc;
    for (int64_t i = 0; i < got * o->seq; i++)
        e->sum = (e->sum ^ (uint32_t)e->targets[i]) * 0x100000001b3u;
    e->sum = (e->sum ^ (uint64_t)got) * 0x100000001b3u;
    const size_t number = e->batches.count - 1;
    e->tokens += predicted;
    if (number % (size_t)slt_ranks_size(o->ranks) != (size_t)slt_ranks_rank(o->ranks))
        return 0;
    struct batch *batch = &e->batches.batch[number];
    rc = evaluate_batch(batch, e->model, e->ids, e->targets, got, o->seq, err);
    e->own_loss += batch->loss;
    e->own_tokens += predicted;
    slt_ranks_tick(o->ranks);
    if (rc == 0) // that batch may have ended early
        rc = slt_error_stopped(o->stop, err);
    if (rc == 0 && o->progress != NULL)
        o->progress(o->user, e->tokens, e->own_loss / (double)e->own_tokens);
    return rc;
}

// All batches. *whole: they were the whole file.
static int take_all(struct evaluation *e, bool *whole, struct slt_error *err)
{
    const struct slt_eval_options *o = e->options;
    int64_t got = o->batch;
    int rc = 0;
    while (rc == 0 && got == o->batch && (o->limit == 0 || e->tokens < o->limit)) {
        if ((rc = slt_error_stopped(o->stop, err)) == 0)
            rc = slt_sampler_next(&e->sampler, e->ids, e->targets, o->batch, &got, err);
        if (rc == 0 && got > 0)
            rc = take_batch(e, got, err);
    }
    *whole = got < o->batch && o->packing == SLT_PACKED;
    return rc;
}

// All ranks must have read the same, since its losses come from all of them.
static int check_alike(const struct evaluation *e, struct slt_error *err)
{
    uint64_t first = e->sum;
    int rc = slt_ranks_broadcast(e->options->ranks, &first, sizeof first, 0, err);
    if (rc == 0 && first != e->sum)
        rc = slt_error_set(err, SLT_ERR_MISMATCH, "its data are not those of rank 0");
    return slt_ranks_settle(e->options->ranks, rc, err);
}

int slt_evaluate_model(struct slt_eval_result *result, struct slt_model *model,
                       struct slt_tokens *tokens, const struct slt_eval_options *o,
                       struct slt_error *err)
{
    struct evaluation e = {.options = o, .model = model, .sum = 0xcbf29ce484222325u};
    bool whole = false;
    model->stop = o->stop;
    int rc = start(&e, tokens, err);
    if (rc == 0)
        rc = take_all(&e, &whole, err);
    if ((rc = slt_ranks_settle(o->ranks, rc, err)) == 0 && (rc = check_alike(&e, err)) == 0)
        rc = exchange_losses(&e.batches, o->ranks, err);
    if (rc == 0 && e.tokens == 0)
        rc = slt_error_set(err, SLT_ERR_RANGE, "'%s' has no token to predict",
                           slt_tokens_name(tokens));
    if (rc == 0) {
        *result = (struct slt_eval_result){.tokens = e.tokens};
        add_losses(result, &e.batches);
        conclude(result, tokens, whole);
    }
    model->stop = NULL;
    slt_sampler_free(&e.sampler);
    free(e.batches.batch);
    free(e.ids);
    free(e.targets);
    return rc;
}

int slt_evaluate(struct slt_eval_result *result, struct slt_device *device,
                 struct slt_checkpoint_reader *reader, struct slt_tokens *tokens,
                 const struct slt_eval_options *options, struct slt_error *err)
{
    const struct slt_model_shape shape = {
        .batch = options->batch, .seq = options->seq, .route = options->route};
    struct slt_model *model = NULL;
    int more, rc;
    if ((rc = slt_tokens_match(tokens, reader, err)) == 0 &&
        (rc = slt_model_create(&model, device, slt_checkpoint_config(reader), SLT_F32, &shape, NULL,
                               NULL, err)) == 0 &&
        (rc = slt_model_load(model, reader, &more, err)) == 0)
        rc = slt_checkpoint_verify(reader, err);
    if ((rc = slt_ranks_settle(options->ranks, rc, err)) == 0)
        rc = slt_evaluate_model(result, model, tokens, options, err);
    slt_model_free(model);
    return rc;
}
