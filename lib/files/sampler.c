// Sampling sequences: packed windows or whole documents, shuffled by a permutation that needs no
// table.
#include <stdio.h>
#include <stdlib.h>

#include "files/sampler.h"

uint64_t slt_tokens_sequences(const struct slt_tokens *tokens, int64_t seq,
                              enum slt_packing packing)
{
    const struct slt_tokens_totals totals = slt_tokens_totals(tokens);
    if (packing == SLT_DOCUMENTS)
        return totals.documents;
    return totals.tokens < 2 ? 0 : (totals.tokens - 1) / (uint64_t)seq;
}

int slt_sampler_init(struct slt_sampler *d, struct slt_tokens *tokens, int64_t seq,
                     enum slt_packing packing, bool shuffle, uint64_t seed, struct slt_error *err)
{
    *d = (struct slt_sampler){.tokens = tokens,
                              .seq = seq,
                              .packing = packing,
                              .shuffle = shuffle && slt_tokens_is_mapped(tokens),
                              .seed = seed};
    if (slt_tokens_is_mapped(tokens)) {
        d->sequences = slt_tokens_sequences(tokens, seq, packing);
        // A single pass also takes the short window at the end.
        const uint64_t left = slt_tokens_totals(tokens).tokens;
        if (!d->shuffle && packing == SLT_PACKED && left > 1 && (left - 1) % (uint64_t)seq != 0)
            d->sequences++;
        if (d->sequences == 0)
            return slt_error_set(err, SLT_ERR_RANGE,
                                 "'%s' has %llu tokens in %llu documents, which is less than one "
                                 "sequence of %lld",
                                 slt_tokens_name(tokens), (unsigned long long)left,
                                 (unsigned long long)slt_tokens_totals(tokens).documents,
                                 (long long)seq);
    } else if (packing == SLT_DOCUMENTS) {
        return slt_error_set(err, SLT_ERR_RANGE,
                             "document layout needs a plain token file, and '%s' is a stream",
                             slt_tokens_name(tokens));
    }
    d->window = malloc((size_t)(seq + 1) * sizeof *d->window);
    if (d->window == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a window of %lld tokens",
                             (long long)seq);
    return 0;
}

void slt_sampler_free(struct slt_sampler *d)
{
    free(d->window);
    d->window = NULL;
}

// Spreads count tokens of a window (at most seq + 1) over ids and targets (seq).
static void spread_window(const struct slt_sampler *d, int32_t *ids, int32_t *targets,
                          int64_t count)
{
    const uint32_t eos = slt_tokens_header(d->tokens)->eos;
    for (int64_t i = 0; i < d->seq; i++) {
        ids[i] = i < count ? d->window[i] : eos == SLT_TOKEN_NONE ? 0 : (int32_t)eos;
        targets[i] = i + 1 < count ? d->window[i + 1] : -1;
    }
}

// A document as Hugging Face's tokenizer would pad or truncate it: truncation keeps EOS last.
static int sample_document(const struct slt_sampler *d, int32_t *ids, int32_t *targets,
                           uint64_t number, struct slt_error *err)
{
    const struct slt_tokens_header *h = slt_tokens_header(d->tokens);
    const int32_t pad = h->pad != SLT_TOKEN_NONE   ? (int32_t)h->pad
                        : h->eos != SLT_TOKEN_NONE ? (int32_t)h->eos
                                                   : 0;
    uint64_t position, length;
    int rc = slt_tokens_document(d->tokens, number, &position, &length, err);
    if (rc != 0)
        return rc;
    const int64_t count = length < (uint64_t)d->seq ? (int64_t)length : d->seq;
    if ((rc = slt_tokens_read_at(d->tokens, ids, position, (size_t)count, err)) != 0)
        return rc;
    if (length > (uint64_t)d->seq && h->eos != SLT_TOKEN_NONE)
        ids[count - 1] = (int32_t)h->eos;
    for (int64_t i = 0; i < d->seq; i++) {
        if (i >= count)
            ids[i] = pad;
        targets[i] = -1;
    }
    for (int64_t i = 0; i + 1 < count; i++)
        targets[i] = ids[i + 1];
    return 0;
}

// Sequence number n of a mapped file's endless order.
static int sample_mapped(const struct slt_sampler *d, int32_t *ids, int32_t *targets, uint64_t n,
                         struct slt_error *err)
{
    uint64_t index = n % d->sequences;
    if (d->shuffle) {
        char epoch[32];
        snprintf(epoch, sizeof epoch, "%llu", (unsigned long long)(n / d->sequences));
        index =
            slt_random_permute(slt_random_key("slt-order-1", epoch, d->seed), index, d->sequences);
    }
    if (d->packing == SLT_DOCUMENTS)
        return sample_document(d, ids, targets, index, err);
    const uint64_t first = index * (uint64_t)d->seq, total = slt_tokens_totals(d->tokens).tokens;
    const uint64_t left = total - first;
    const int64_t count = left < (uint64_t)d->seq + 1 ? (int64_t)left : d->seq + 1;
    int rc = slt_tokens_read_at(d->tokens, d->window, first, (size_t)count, err);
    if (rc == 0)
        spread_window(d, ids, targets, count);
    return rc;
}

// The next window of a stream; *got is 0 at its end. Neighbouring windows share one token.
static int sample_stream(struct slt_sampler *d, int32_t *ids, int32_t *targets, bool *got,
                         struct slt_error *err)
{
    size_t kept = 0, read;
    if (d->started) {
        d->window[0] = d->window[d->seq];
        kept = 1;
    }
    int rc = slt_tokens_read(d->tokens, d->window + kept, (size_t)d->seq + 1 - kept, &read, err);
    if (rc != 0)
        return rc;
    *got = read > 0 && kept + read > 1;
    d->started = true;
    if (*got)
        spread_window(d, ids, targets, (int64_t)(kept + read));
    return 0;
}

int slt_sampler_next(struct slt_sampler *d, int32_t *ids, int32_t *targets, int64_t count,
                     int64_t *got, struct slt_error *err)
{
    int64_t i;
    for (i = 0; i < count; i++) {
        int32_t *to = ids + i * d->seq, *want = targets + i * d->seq;
        bool there = true;
        int rc;
        if (d->sequences > 0) {
            if (!d->shuffle && d->next >= d->sequences)
                break;
            rc = sample_mapped(d, to, want, d->next, err);
        } else {
            rc = sample_stream(d, to, want, &there, err);
        }
        if (rc != 0)
            return rc;
        if (!there)
            break;
        d->next++;
    }
    *got = i;
    return 0;
}

uint64_t slt_count_targets(const int32_t *targets, int64_t n)
{
    uint64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        count += targets[i] >= 0;
    return count;
}
