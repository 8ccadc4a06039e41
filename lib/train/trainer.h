// A model in training: one optimizer step at a time, and its state in checkpoints.
#ifndef SLT_TRAIN_TRAINER_H
#define SLT_TRAIN_TRAINER_H

#include "model/model.h"
#include "optim/optimizer.h"
#include "slt/train.h"
#include "files/sampler.h"
#include "train/options.h"
#include "train/sink.h"

// Everything that a resumed run must find again, besides weights and moments.
struct slt_progress {
    int64_t step;    // steps done
    int64_t updates; // of them, steps that changed the weights
    uint64_t tokens; // predicted so far
    uint64_t sequences;
    uint64_t skipped_losses, skipped_updates;
    int64_t skipped_in_row;
    double norm; // of the last step's gradients, for clipping with per_layer; 0 before the first
};

// What is alike in every step, and can be recorded: the micro-batch of a step that has one, the
// first, last and other ones of a step that has several, and the update after them.
enum slt_recording {
    SLT_RECORD_ONLY,
    SLT_RECORD_FIRST,
    SLT_RECORD_MIDDLE,
    SLT_RECORD_LAST,
    SLT_RECORD_UPDATE,
    SLT_RECORDINGS
};

struct slt_recorded {
    bool ran;
    struct slt_graph *graph; // NULL: not recorded yet
};

struct slt_trainer {
    struct slt_train_options options; // with micro_batch chosen
    struct slt_model *model;
    struct slt_optimizer optimizer;
    struct slt_grads grads;
    struct slt_sampler sampler;
    int32_t *ids, *targets; // (batch, seq)
    struct slt_progress progress;
    bool eager; // record nothing
    struct slt_recorded recorded[SLT_RECORDINGS];
    bool gave_up;             // this step, since a loss was not finite
    struct slt_error failure; // of an update, code 0 if none
};

// tokens stay the caller's. The weights are undefined until slt_model_load.
int slt_trainer_create(struct slt_trainer **trainer, const struct slt_device *device,
                       const struct slt_config *config, struct slt_tokens *tokens,
                       const struct slt_train_options *options, enum slt_dtype dtype,
                       struct slt_error *err);
void slt_trainer_free(struct slt_trainer *trainer);

// One optimizer step. Fills record's numbers but not its times, apart from data_seconds.
// SLT_ERR_STOPPED if stop was set between micro-batches: then the step has not happened.
// SLT_ERR_RANGE if a stream ended.
int slt_trainer_step(struct slt_trainer *trainer, struct slt_train_record *record,
                     slt_stop_flag *stop, struct slt_error *err);
// Mean loss on a token file from its start, with the training model.
int slt_trainer_validate(struct slt_trainer *trainer, struct slt_train_validation *validation,
                         const char *path, uint64_t limit, slt_stop_flag *stop,
                         struct slt_error *err);

// ---- State (state.c) ----

// What a checkpoint carries besides the model: copies, owned here.
struct slt_luggage {
    void *tokenizer;
    size_t tokenizer_bytes;
    char tokenizer_member[32];
    char *provenance;
};
int slt_luggage_take(struct slt_luggage *luggage, const struct slt_checkpoint_reader *reader,
                     struct slt_error *err);
void slt_luggage_free(struct slt_luggage *luggage);

// The options that change numbers as a JSON object's text; the caller frees *json.
int slt_trainer_options_json(const struct slt_trainer *trainer, char **json, struct slt_error *err);
// Writes a checkpoint, with optimizer and trainer state if asked for.
int slt_trainer_save(struct slt_trainer *trainer, struct slt_output *out,
                     const struct slt_luggage *luggage, bool with_state, struct slt_error *err);
// Reads trainer.json and the optimizer's tensors; the reader stands at the first of them. Compares
// options and data (SLT_ERR_MISMATCH).
int slt_trainer_load_state(struct slt_trainer *trainer, struct slt_checkpoint_reader *reader,
                           struct slt_error *err);

// ---- State checkpoints on disk (resume.c) ----

// PREFIX-<step>.slt into path.
int slt_state_path(char *path, size_t size, const char *prefix, int64_t step,
                   struct slt_error *err);
// The newest of run's PREFIX-<step>.slt that is whole: its path, or path[0] = 0 if there is none.
// What is passed over goes to run's on_damaged.
int slt_state_newest(char *path, size_t size, const struct slt_train_run *run,
                     struct slt_error *err);
// Removes all but the newest keep state checkpoints.
int slt_state_prune(const char *prefix, int64_t keep, struct slt_error *err);

#endif
