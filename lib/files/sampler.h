// Sequences from token files: which windows or documents make a step's batch.
#ifndef SLT_FILES_SAMPLER_H
#define SLT_FILES_SAMPLER_H

#include "slt/random.h"
#include "slt/tokens.h"

// Gives sequences of seq tokens and their targets. A mapped file is shuffled anew for every
// epoch by a keyed permutation; a stream is taken in order, once; so is a mapped file in an
// evaluation.
struct slt_sampler {
    struct slt_tokens *tokens;
    int64_t seq;
    enum slt_packing packing;
    bool shuffle;
    uint64_t seed;
    uint64_t sequences; // in one epoch of a mapped file, else 0
    uint64_t next;      // sequences given so far: all of the sampler's state on a mapped file
    int32_t *window;    // (seq + 1): scratch; of a stream it keeps the last window's last token
    bool started;       // of a stream: window holds that token
};

// tokens stay the caller's. Errors: SLT_ERR_RANGE if there is not one sequence in a mapped file.
int slt_sampler_init(struct slt_sampler *sampler, struct slt_tokens *tokens, int64_t seq,
                     enum slt_packing packing, bool shuffle, uint64_t seed,
                     struct slt_error *err) SLT_CHECK_RESULT;
void slt_sampler_free(struct slt_sampler *sampler);

// The next count sequences: ids, targets (count, seq), target -1 where nothing is predicted. *got
// is less than count only when a stream, or the single pass of an unshuffled file, is at its end;
// the last packed sequence of such a pass may be short: the rest is EOS or 0 with targets -1.
int slt_sampler_next(struct slt_sampler *sampler, int32_t *ids, int32_t *targets, int64_t count,
                     int64_t *got, struct slt_error *err) SLT_CHECK_RESULT;

// The number of targets (n) that are not -1.
uint64_t slt_count_targets(const int32_t *targets, int64_t n);

#endif
