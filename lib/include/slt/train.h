// Training: options, one call that runs it with checkpoints and validation, and what it reports.
#ifndef SLT_TRAIN_H
#define SLT_TRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "slt/checkpoint.h"
#include "slt/compute.h"
#include "slt/device.h"
#include "slt/optimizer.h"
#include "slt/plan.h"
#include "slt/ranks.h"
#include "slt/tokens.h"

enum slt_train_only { SLT_TRAIN_ALL, SLT_TRAIN_SPARSE, SLT_TRAIN_FACTORS };

// The options of a run that decide what is computed. All but recompute, ranks, rank and shard_state change numbers:
// they are recorded in trainer.json and in the provenance, and a resumed run must be given the same
// ones.
struct slt_train_options {
    int64_t steps;       // optimizer steps
    int64_t batch;       // sequences per optimizer step
    int64_t micro_batch; // sequences per forward and backward pass; divides batch; 0: the device's
    int64_t seq;         // tokens of a sequence
    enum slt_packing packing;
    double lr; // peak learning rate
    struct slt_schedule schedule;
    struct slt_optimizer_options optimizer;
    double clip;                    // largest global gradient norm, 0: no clipping
    enum slt_train_only train_only; // everything else is frozen
    enum slt_route route;
    enum slt_precision precision;
    enum slt_recompute recompute;
    bool per_layer;  // update each group as soon as its gradient is complete
    bool clip_exact; // with it: clip by this step's norm, not by the last one's
    uint64_t seed;   // of the data order, rounding, projectors and restarts
    int64_t ranks;   // that share the batch; 0: one
    int64_t rank;    // this one, which decides what it has of a shared state
    bool shard_state; // each rank has a part of the optimizer's state only; changes no numbers
    // Groups of sequences whose gradients are summed in a fixed tree, so that as many ranks as divide
    // them give the same numbers; 0: as many as there were ranks when the run was started.
    int64_t reduce_groups;
};

// The defaults: packed, cosine to 0.1, AdamW (0.9, 0.999, 1e-8), no decay, no clipping.
SLT_API void slt_train_defaults(struct slt_train_options *options);
// Chooses what options leave open (eps, relora_prune_fraction, but not micro_batch, which depends on
// the device) and checks all of them and their combination, once, before they are given to any
// other function; SLT_ERR_RANGE names the one that is wrong.
SLT_API int slt_train_resolve(struct slt_train_options *options, struct slt_error *err)
    SLT_CHECK_RESULT;

// Takes what the configuration recommends (slt.training) for options that is_given denies, by their
// names; text gets them as they would be typed, empty if there are none. SLT_ERR_FORMAT where it
// names no option, or gives one a value of another type. Before slt_train_resolve.
SLT_API int slt_train_adopt(struct slt_train_options *options, const struct slt_config *config,
                            bool (*is_given)(const char *name), char *text, size_t size,
                            struct slt_error *err) SLT_CHECK_RESULT;

// ---- The table of options, for programs and their --help ----

enum slt_option_kind {
    SLT_OPTION_WHOLE,  // int64_t (or uint64_t) in [min, max]
    SLT_OPTION_REAL,   // double in [min, max]
    SLT_OPTION_FLAG,   // bool that is set
    SLT_OPTION_CLEAR,  // bool that is cleared
    SLT_OPTION_CHOICE, // an enum: the position among choices
    SLT_OPTION_SCALES, // double for each of choices, one after the other, in [min, max]
};

struct slt_train_option {
    const char *name; // as typed after the dashes
    int letter;       // 0: none
    const char *key;  // in trainer.json; NULL: changes no numbers and is not there
    enum slt_option_kind kind;
    size_t offset; // of the field in struct slt_train_options
    double min, max;
    double standard;     // the default, of a choice its position; outside [min, max]: left open
    const char *choices; // "a|b|c", of scales what each is of
    const char *section; // the heading that it stands under
    const char *shown;   // the default in words; NULL: as it is, "": none
    const char *help;
    bool plans; // decides memory or arithmetic
    // In which runs it has a say, in words and as a question; NULL: in all.
    const char *owner;
    bool (*has_say)(const struct slt_train_options *options);
};

// Row number index, or NULL behind the last one.
SLT_API const struct slt_train_option *slt_train_option(size_t index);

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
};

struct slt_train_validation {
    int64_t step;
    double loss, perplexity;
    uint64_t tokens;
    double seconds;
};

// How a run goes about it; these options change no numbers.
struct slt_train_run {
    const char *tool;       // name for the provenance line; NULL: none is added
    const char *valid;      // path of a validation token file, or NULL
    int64_t valid_every;    // steps; 0: only at the end
    uint64_t valid_limit;   // tokens; 0: all
    const char *checkpoint; // PREFIX of state checkpoints PREFIX-<step>.slt, or NULL for none
    const char *result;     // where out will be published, to be looked at when resuming, or NULL
    const char *extend;     // a state of a run with another number of steps to go on from, or NULL
    int64_t checkpoint_every;        // steps; 0: only when stopped
    double checkpoint_every_seconds; // 0: not by time
    int64_t keep;                    // newest state checkpoints to keep, at least 1
    bool resume;             // go on from the newest whole state of this run, if there is one
    bool keep_state;         // write optimizer state into the final checkpoint
    bool eager;              // a GPU runs each operation by itself (no CUDA graphs)
    double max_seconds;      // stop as if by a signal after so long; 0: no limit
    int64_t nonfinite_limit; // stop with SLT_ERR_NUMERIC after so many skipped steps in a row
    slt_stop_flag *stop;
    const char *stop_file;   // stop as if by a signal once there is a file of this name, or NULL
    struct slt_ranks *ranks; // that share the run, or NULL: this process alone
    // For the callbacks, each of which may be NULL. Of several ranks 0 alone calls them, but for
    // on_plan and on_warning.
    void *user;
    // What will be allocated, before it is. An error keeps the run from starting.
    int (*on_plan)(void *user, const struct slt_config *config, const struct slt_plan *plan,
                   struct slt_error *err);
    // validation_is_due: the one after resumed_step was not finished, and comes now.
    void (*on_start)(void *user, int64_t resumed_step, bool validation_is_due);
    // Instead of all others but on_plan, where result is what this run ends with.
    void (*on_finished)(void *user);
    int (*on_step)(void *user, const struct slt_train_record *record, struct slt_error *err);
    int (*on_validation)(void *user, const struct slt_train_validation *validation,
                         struct slt_error *err);
    void (*on_checkpoint)(void *user, const char *path, int64_t step);
    // At the end of the steps, of several ranks: bytes that they have sent each other for updates in
    // this many steps.
    void (*on_traffic)(void *user, uint64_t bytes, int64_t steps);
    // A sentence about what does not keep the run from going on: a state that is passed over, one
    // that could not be written, a prefix that cannot be locked.
    void (*on_warning)(void *user, const char *sentence);
    // One line about each kind of group with factors, for -v: its name, and how it is computed
    // (compute.h, SLT_ROUTE_TEXT).
    void (*on_route)(void *user, const char *group, const char *route);
};

// Trains the model of reader (owned by the caller) on tokens, with options as slt_train_resolve
// left them, and publishes the result in out, which is gone afterwards in any case. Returns 0 when
// all steps are done, or with nothing published after on_finished; SLT_ERR_STOPPED after a stop
// flag or max_seconds, with a state written, as after any other error between two steps;
// SLT_ERR_MISMATCH if the data do not fit the model or only states of other runs lie under the
// prefix; SLT_ERR_IO if another process has it.
//
// Where seq is above the model's max_position_embeddings, states and result have seq there.
//
// extend is used where resume finds no state of the run itself: a state of a run that differs in
// steps and decay_steps alone, from before its learning rate, and that of this run, falls
// (slt_schedule_common). SLT_ERR_MISMATCH otherwise. The state of that step is written and stays,
// whatever keep says.
//
// A run is known by the model it starts from, the options that change numbers and the data; its
// states and its result carry that identity (trainer.json, provenance).
SLT_API int slt_train(struct slt_output *out, struct slt_device *device,
                      struct slt_checkpoint_reader *reader, struct slt_tokens *tokens,
                      const struct slt_train_options *options, const struct slt_train_run *run,
                      struct slt_error *err) SLT_CHECK_RESULT;

// What slt_train would allocate, with options as slt_train_resolve left them. SLT_ERR_RANGE where
// they do not fit the model or the device cannot do what they ask for.
SLT_API int slt_train_plan(struct slt_plan *plan, struct slt_device *device,
                           const struct slt_config *config, const struct slt_train_options *options,
                           struct slt_error *err) SLT_CHECK_RESULT;

#endif
