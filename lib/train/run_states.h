// The state checkpoints of a run, PREFIX-<step>.slt, and the validation that belongs to it: one
// place that finds, writes and removes states, and knows what is still due.
//
// A state belongs to a run if its trainer.json has the run's identity. Others under the prefix are
// never written over, removed or resumed from.
#ifndef SLT_TRAIN_RUN_STATES_H
#define SLT_TRAIN_RUN_STATES_H

#include "train/run_lock.h"
#include "train/trainer.h"

struct slt_found_state;

struct slt_run_states {
    const struct slt_train_run *how;
    struct slt_run_lock lock;
    struct slt_found_state *found; // (count): newest first
    size_t count;
    struct slt_tokens *valid; // the validation file, if it is open
    bool valid_is_used;       // a stream that has been read once
    double last_written;      // when the last state was written
    bool is_due;              // a state is, and could not be written at the step it was due
};

// Opens the checkpoint at path, which is read until the run is stopped.
int slt_run_open_checkpoint(struct slt_checkpoint_reader **reader, const struct slt_train_run *how,
                            const char *path, struct slt_error *err) SLT_CHECK_RESULT;

// How far the state at path is, of trainer's run or of the one that it extends: SLT_ERR_MISMATCH if it
// is of another one.
int slt_run_peek(struct slt_progress *progress, const struct slt_train_run *how,
                 const struct slt_trainer *trainer, const char *path, struct slt_error *err)
    SLT_CHECK_RESULT;

// Locks the prefix until close, SLT_ERR_IO if another process has it, and opens the validation
// file, which must fit the model of reader. Both fail where a run could not be saved or validated later.
int slt_run_states_open(struct slt_run_states *states, const struct slt_train_run *how,
                        const struct slt_checkpoint_reader *reader, struct slt_error *err)
    SLT_CHECK_RESULT;
void slt_run_states_close(struct slt_run_states *states);

// Looks at what lies under the prefix, and removes what a process that was killed left of states.
// trainer has its identity. SLT_ERR_MISMATCH if there are states, and only such of other runs: the
// sentence names one and how it differs; or if another file has the name of the last step's state.
int slt_run_states_find(struct slt_run_states *states, const struct slt_trainer *trainer,
                        struct slt_error *err) SLT_CHECK_RESULT;
// The newest state of this run that is whole: its path, or path[0] = 0 if there is none. What is
// passed over goes to how->on_warning.
int slt_run_states_newest(struct slt_run_states *states, char *path, size_t size,
                          struct slt_error *err) SLT_CHECK_RESULT;
// Whether the file at how->result is what this run ends with.
int slt_run_states_is_finished(const struct slt_run_states *states,
                               const struct slt_trainer *trainer, bool *finished,
                               struct slt_error *err) SLT_CHECK_RESULT;

// Whether a state may be written at this step: no file that is not the run's has its name.
bool slt_run_states_has_room(const struct slt_run_states *states, int64_t step);
// Writes a state of the trainer as it is, and removes older ones of this run.
int slt_run_states_write(struct slt_run_states *states, struct slt_trainer *trainer,
                         const struct slt_attachments *attachments, struct slt_error *err)
    SLT_CHECK_RESULT;
// Whether a state is due after the step just done, and may be written.
bool slt_run_states_is_due(struct slt_run_states *states, const struct slt_trainer *trainer);
// Writes the state that is due. A failure is a warning, since the next one may do; only
// SLT_ERR_RANKS is returned.
int slt_run_states_write_due(struct slt_run_states *states, struct slt_trainer *trainer,
                             const struct slt_attachments *attachments, struct slt_error *err)
    SLT_CHECK_RESULT;

// Whether a validation follows the step just done.
bool slt_run_states_validates_at(const struct slt_run_states *states, int64_t step, int64_t steps);
// The validation that trainer's progress says is due; then it no longer is. SLT_ERR_STOPPED leaves
// it due.
int slt_run_states_validate(struct slt_run_states *states, struct slt_trainer *trainer,
                            slt_stop_flag *stop, struct slt_error *err) SLT_CHECK_RESULT;

#endif
