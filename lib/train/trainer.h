// A model in training: one optimizer step at a time, and its state in checkpoints.
#ifndef SLT_TRAIN_TRAINER_H
#define SLT_TRAIN_TRAINER_H

#include "files/sampler.h"
#include "model/model.h"
#include "optim/optimizer.h"
#include "slt/clock.h"
#include "slt/digest.h"
#include "slt/train.h"
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
    bool validation_is_due; // after the last step, and not done yet
    // What the run was started with where its options leave it open; both decide how sums are rounded.
    int64_t groups, micro_batch;
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
    struct slt_train_options given;   // the run is known by
    struct slt_train_options options; // with what was left open
    struct slt_ranks *ranks;          // NULL: one
    int64_t share;                    // sequences of the batch that this rank has
    int64_t groups;                   // of sequences on this rank
    struct slt_plan plan;
    char start[SLT_SHA256_HEX];    // of the model it starts from
    char identity[SLT_SHA256_HEX]; // of the run; both empty before slt_trainer_identify
    bool extends; // the state that is loaded may be of a run with another number of steps
    struct slt_model *model;
    struct slt_optimizer optimizer;
    struct slt_grads grads;
    struct slt_sampler sampler;
    int32_t *ids, *targets; // (share, seq)
    double *losses;         // (groups + ranks): sums of a step
    struct slt_tensor *summands; // (slots): scratch
    struct slt_progress progress;
    bool eager; // record nothing
    struct slt_recorded recorded[SLT_RECORDINGS];
    bool called;              // the owners of states, in a save
    bool is_stepping;         // in the middle of a step: the state is none that can be saved
    struct slt_error failure; // of an update, or of ranks, code 0 if none
};

// A trainer with its plan and nothing allocated yet; options as slt_train_resolve left them. started:
// how far the run is that is resumed, or NULL: what options leave open is as it has it.
// SLT_ERR_RANGE where the options do not fit the model or the device cannot do what they ask for.
int slt_trainer_prepare(struct slt_trainer **trainer, const struct slt_device *device,
                        const struct slt_config *config, const struct slt_train_options *options,
                        const struct slt_progress *started, enum slt_dtype dtype,
                        struct slt_error *err) SLT_CHECK_RESULT;
// Allocates it. tokens and ranks, as many as the options say, stay the caller's. The weights are
// undefined until slt_model_load.
int slt_trainer_allocate(struct slt_trainer *trainer, struct slt_tokens *tokens,
                         struct slt_ranks *ranks, struct slt_error *err) SLT_CHECK_RESULT;
void slt_trainer_free(struct slt_trainer *trainer);

// One optimizer step. Fills record's numbers but not its times, apart from data_seconds.
// SLT_ERR_STOPPED if stop was set between micro-batches: then the step has not happened. It is not
// looked at where there are several ranks, none of which can leave the others in a step.
// SLT_ERR_RANGE if a stream ended.
int slt_trainer_step(struct slt_trainer *trainer, struct slt_train_record *record,
                     slt_stop_flag *stop, struct slt_error *err) SLT_CHECK_RESULT;
// Mean loss on a token file from where it is (a mapped one from its start), with the training
// model.
int slt_trainer_validate(struct slt_trainer *trainer, struct slt_train_validation *validation,
                         struct slt_tokens *tokens, uint64_t limit, slt_stop_flag *stop,
                         struct slt_error *err) SLT_CHECK_RESULT;

// ---- trainer.json (trainer_json.c) ----

// Gives the trainer the identity of its run: the SHA-256 of what the model is that it starts from
// (reader, read to its end), of the options that change numbers, and of the data.
int slt_trainer_identify(struct slt_trainer *trainer, const struct slt_checkpoint_reader *reader,
                         struct slt_error *err) SLT_CHECK_RESULT;
// The progress that the trainer.json which reader has passed says. SLT_ERR_MISMATCH if it is of
// another run, with a sentence that says how it differs; SLT_ERR_FORMAT if it cannot be read.
int slt_trainer_peek(const struct slt_trainer *trainer, const struct slt_checkpoint_reader *reader,
                     struct slt_progress *progress, struct slt_error *err) SLT_CHECK_RESULT;
// The options that change numbers, and the run's identity, as a JSON object's text; the caller
// frees *json.
int slt_trainer_options_json(const struct slt_trainer *trainer, char **json, struct slt_error *err)
    SLT_CHECK_RESULT;
// The text of trainer.json, which the caller frees.
int slt_trainer_json(const struct slt_trainer *trainer, char **json, struct slt_error *err)
    SLT_CHECK_RESULT;

// ---- State (state.c) ----

// What a checkpoint carries besides the model: copies, owned here.
struct slt_attachments {
    void *tokenizer;
    size_t tokenizer_bytes;
    char tokenizer_member[32];
    char *provenance;
};
int slt_attachments_take(struct slt_attachments *attachments,
                         const struct slt_checkpoint_reader *reader, struct slt_error *err)
    SLT_CHECK_RESULT;
void slt_attachments_free(struct slt_attachments *attachments);

// Writes a checkpoint, with optimizer and trainer state if asked for.
int slt_trainer_save(struct slt_trainer *trainer, struct slt_output *out,
                     const struct slt_attachments *attachments, bool with_state,
                     struct slt_error *err) SLT_CHECK_RESULT;
// Where ranks share the optimizer's state, the other ranks send rank 0 what it writes of theirs: each
// of them calls send_state where rank 0 saves, or tries to, and then calls let_go.
int slt_trainer_send_state(struct slt_trainer *trainer, struct slt_error *err) SLT_CHECK_RESULT;
int slt_trainer_let_go(struct slt_trainer *trainer, struct slt_error *err) SLT_CHECK_RESULT;
// Reads trainer.json and the optimizer's tensors; the reader stands at the first of them.
// SLT_ERR_MISMATCH if it is of another run.
int slt_trainer_load_state(struct slt_trainer *trainer, struct slt_checkpoint_reader *reader,
                           struct slt_error *err) SLT_CHECK_RESULT;

#endif
