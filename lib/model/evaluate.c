// The exact token-weighted loss of a model, and what the published evaluators would print.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "files/sampler.h"
#include "model/evaluate.h"
#include "slt/digest.h"
#include "slt/tokenizer.h"

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

// One batch of count sequences: adds to result.
static int evaluate_batch(struct slt_eval_result *result, struct slt_model *m, const int32_t *ids,
                          const int32_t *targets, int64_t count, int64_t seq, struct slt_error *err)
{
    const uint64_t predicted = slt_count_targets(targets, count * seq);
    if (count * seq != m->tokens.cols)
        slt_model_resize(m, count, seq);
    slt_model_set_batch(m, ids, targets);
    slt_model_set_scalar(m, SLT_SCALAR_LOSS, 0);
    slt_model_forward(m);
    slt_model_loss(m, NULL);
    const double loss = slt_model_get_scalar(m, SLT_SCALAR_LOSS);
    result->loss_sum += loss;
    result->tokens += predicted;
    if (predicted > 0) {
        result->batches++;
        result->batch_loss_sum += loss / (double)predicted;
    }
    return m->ops->synchronize(m->ctx, err);
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

int slt_evaluate_model(struct slt_eval_result *result, struct slt_model *model,
                       struct slt_tokens *tokens, const struct slt_eval_options *o,
                       struct slt_error *err)
{
    struct slt_eval_result r = {0};
    struct slt_sampler sampler;
    const size_t values = (size_t)(o->batch * o->seq);
    int32_t *ids = malloc(values * sizeof *ids), *targets = malloc(values * sizeof *targets);
    int64_t got = o->batch;
    bool whole = false;
    model->stop = o->stop;
    int rc = slt_sampler_init(&sampler, tokens, o->seq, o->packing, false, 0, err);
    if (rc == 0 && (ids == NULL || targets == NULL))
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a batch of %zu tokens", values);
    while (rc == 0 && got == o->batch && (o->limit == 0 || r.tokens < o->limit)) {
        if ((rc = slt_error_stopped(o->stop, err)) == 0)
            rc = slt_sampler_next(&sampler, ids, targets, o->batch, &got, err);
        if (rc == 0 && got > 0)
            rc = evaluate_batch(&r, model, ids, targets, got, o->seq, err);
        if (rc == 0) // that batch may have ended early
            rc = slt_error_stopped(o->stop, err);
        whole = got < o->batch && o->packing == SLT_PACKED;
        if (rc == 0 && o->progress != NULL)
            o->progress(o->user, r.tokens, r.loss_sum / (double)r.tokens);
    }
    if (rc == 0 && r.tokens == 0)
        rc = slt_error_set(err, SLT_ERR_RANGE, "'%s' has no token to predict",
                           slt_tokens_name(tokens));
    if (rc == 0) {
        conclude(&r, tokens, whole);
        *result = r;
    }
    model->stop = NULL;
    slt_sampler_free(&sampler);
    free(ids);
    free(targets);
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
    if ((rc = slt_tokens_match(tokens, reader, err)) != 0 ||
        (rc = slt_model_create(&model, device, slt_checkpoint_config(reader), SLT_F32, &shape, NULL,
                               NULL, err)) != 0)
        return rc;
    if ((rc = slt_model_load(model, reader, &more, err)) == 0 &&
        (rc = slt_checkpoint_verify(reader, err)) == 0)
        rc = slt_evaluate_model(result, model, tokens, options, err);
    slt_model_free(model);
    return rc;
}
