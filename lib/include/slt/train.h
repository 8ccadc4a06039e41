// Training: options, one call that runs it with checkpoints and validation, and what it reports.
#ifndef SLT_TRAIN_H
#define SLT_TRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "slt/checkpoint.h"
#include "slt/device.h"
#include "slt/evaluate.h"
#include "slt/plan.h"
#include "slt/tokens.h"

enum slt_schedule {
    SLT_SCHEDULE_COSINE,
    SLT_SCHEDULE_LINEAR,
    SLT_SCHEDULE_CONSTANT,
    SLT_SCHEDULE_JAGGED, // cosine that restarts every relora_every updates with a warm-up of its
                         // own
};

// Options that change numbers: they are recorded in trainer.json and in the provenance, and a
// resumed run must be given the same ones.
struct slt_train_options {
    int64_t steps;       // optimizer steps
    int64_t batch;       // sequences per optimizer step
    int64_t micro_batch; // sequences per forward and backward pass; divides batch; 0: chosen
    int64_t seq;         // tokens of a sequence
    enum slt_packing packing;
    double lr;           // peak learning rate
    double min_lr_ratio; // the schedule's floor over lr
    int64_t warmup;      // steps of linear warm-up
    enum slt_schedule schedule;
    const char *optimizer; // "adamw", "adam8bit", "galore", "galore8bit"
    double weight_decay, beta1, beta2;
    double eps;               // below 0: the optimizer's default, 1e-8, GaLore's 1e-6
    int64_t adam_block;       // elements that share a maximum in 8-bit moments
    int64_t galore_rank;      // 0: a quarter of the hidden size
    int64_t galore_gap;       // updates from one projector to the next
    double galore_scale;      // of projected steps
    const char *galore_svd;   // "randomized", "exact"
    bool galore_stagger;      // spread the refreshes over the gap
    int64_t relora_every;     // updates from one restart of --method relora to the next; 0: none
    int64_t relora_warmup;    // updates of warm-up after a restart, of the jagged schedule
    const char *relora_prune; // "random", "magnitude", "none": how moments are pruned at a restart
    double relora_prune_fraction; // of them
    double clip;                  // largest global gradient norm, 0: no clipping
    const char *train_only;       // "all", "sparse", "factors": everything else is frozen
    const char *route;            // "auto", "dense", "factored"
    const char *precision;        // "f32", "bf16", "bf16-sr": how weights and moments are stored
    const char *recompute;        // "none", "cheap", "block": what backward works out again
    bool per_layer;               // update each group as soon as its gradient is complete
    bool clip_exact;              // with it: clip by this step's norm, not by the last one's
    uint64_t seed;                // of the data order
};

// The defaults: packed, cosine to 0.1, AdamW (0.9, 0.999, 1e-8), no decay, no clipping.
SLT_API void slt_train_defaults(struct slt_train_options *options);

// The multiplier of lr at step t = 1..steps: t/warmup during warm-up, then from 1 down to the
// floor m at t = steps; cosine: m + (1-m)/2 (1 + cos(pi (t-warmup)/(steps-warmup))).
// jagged: with j = t mod K, K = relora_every, u = relora_warmup and c(t) the cosine: t/warmup
// during warm-up; after the first restart, t >= K, and while j < u: (j/u) c(t-j+u); else c(t).
SLT_API double slt_schedule_factor(const struct slt_train_options *options, int64_t t);

// What one optimizer step did.
struct slt_train_record {
    int64_t step;         // 1..steps, just done
    uint64_t tokens;      // predicted so far
    double loss;          // mean over this step's predicted tokens; NAN if it was not finite
    double lr, grad_norm; // norm before clipping
    bool skipped;         // the update was skipped (non-finite loss or gradient)
    uint64_t skipped_losses, skipped_updates; // so far
    double seconds;                           // of this step, in total
    double data_seconds;                      // of it, waiting for data
    double tokens_per_second;                 // of this step
    double elapsed;                           // seconds since this process started training
};

struct slt_train_validation {
    int64_t step;
    double loss, perplexity;
    uint64_t tokens;
    double seconds;
};

// How a run goes about it; these options change no numbers.
struct slt_train_run {
    const char *tool;         // name for the provenance line; NULL: none is added
    const char *valid;        // path of a validation token file, or NULL
    int64_t valid_every;      // steps; 0: only at the end
    uint64_t valid_limit;     // tokens; 0: all
    const char *checkpoint;   // PREFIX of state checkpoints PREFIX-<step>.slt, or NULL for none
    int64_t checkpoint_every; // steps; 0: only when stopped
    double checkpoint_every_seconds; // 0: not by time
    int64_t keep;                    // newest state checkpoints to keep, at least 1
    bool resume;                     // start from the newest whole PREFIX-*.slt, if there is one
    bool keep_state;                 // write optimizer state into the final checkpoint
    bool eager;                      // a GPU runs each operation by itself (no CUDA graphs)
    double max_seconds;              // stop as if by a signal after so long; 0: no limit
    int64_t nonfinite_limit; // stop with SLT_ERR_NUMERIC after so many skipped steps in a row
    slt_stop_flag *stop;
    void *user; // for the callbacks, each of which may be NULL
    void (*on_start)(void *user, const struct slt_config *config, const struct slt_plan *plan,
                     int64_t resumed_step);
    int (*on_step)(void *user, const struct slt_train_record *record, struct slt_error *err);
    int (*on_validation)(void *user, const struct slt_train_validation *validation,
                         struct slt_error *err);
    void (*on_checkpoint)(void *user, const char *path, int64_t step);
    // A newer state was passed over when resuming, and why.
    void (*on_damaged)(void *user, const char *why);
    // One line about each group's route, for -v: name, route.
    void (*on_route)(void *user, const char *group, const char *route);
};

// Trains the model of reader (owned by the caller; may be NULL with resume if a state checkpoint
// exists) on tokens and writes the result to out, which the caller publishes. Returns 0 when all
// steps are done; SLT_ERR_STOPPED after a stop flag or max_seconds, with a state checkpoint written
// (and nothing in out); SLT_ERR_MISMATCH if a resumed run's options or data differ, naming them.
SLT_API int slt_train(struct slt_output *out, struct slt_device *device,
                      struct slt_checkpoint_reader *reader, struct slt_tokens *tokens,
                      const struct slt_train_options *options, const struct slt_train_run *run,
                      struct slt_error *err);

// What slt_train would allocate.
SLT_API int slt_train_plan(struct slt_plan *plan, struct slt_device *device,
                           const struct slt_config *config, const struct slt_train_options *options,
                           struct slt_error *err);
#endif
