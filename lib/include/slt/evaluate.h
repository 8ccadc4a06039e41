// The loss of a checkpoint on a token file.
#ifndef SLT_EVALUATE_H
#define SLT_EVALUATE_H

#include <stdint.h>

#include "slt/checkpoint.h"
#include "slt/compute.h"
#include "slt/device.h"
#include "slt/ranks.h"
#include "slt/tokens.h"

struct slt_eval_options {
    int64_t batch; // sequences at once
    int64_t seq;   // tokens of a sequence
    enum slt_packing packing;
    uint64_t limit; // stop after so many tokens (a whole batch more at most); 0: all
    enum slt_route route;
    slt_stop_flag *stop;
    struct slt_ranks *ranks; // that share the batches, or NULL: this process alone
    // Called after each batch if not NULL.
    void (*progress)(void *user, uint64_t tokens, double loss);
    void *user;
};

struct slt_eval_result {
    double loss_sum;         // over predicted tokens, in nats
    uint64_t tokens;         // predicted tokens
    double loss, perplexity; // exact token-weighted mean, and its exponential
    double bits_per_byte; // loss in bits over the text's bytes; NAN unless the whole file was read
    uint64_t batches;
    double batch_loss_sum; // sum of the batches' mean losses
    // What the published evaluators would have printed: their batch count starts at 1, so the mean
    // is batch_loss_sum / (batches + 1).
    double galore_loss, galore_perplexity;
};

// Reads the model from reader (to its end, verified) and evaluates it on tokens from their current
// position. The tokenizer's digest must match (SLT_ERR_MISMATCH) where both are known.
SLT_API int slt_evaluate(struct slt_eval_result *result, struct slt_device *device,
                         struct slt_checkpoint_reader *reader, struct slt_tokens *tokens,
                         const struct slt_eval_options *options, struct slt_error *err)
    SLT_CHECK_RESULT;

#endif
