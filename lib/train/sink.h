// The gradient sink: where the parts' gradients accumulate, and what happens when they are
// complete.
//
// Usually every part has a buffer of its own. Shared buffers hold the gradients of one unit of
// parts at a time (a linear group, a norm): they are only right where each unit is used up when it
// is committed.
#ifndef SLT_TRAIN_SINK_H
#define SLT_TRAIN_SINK_H

#include "model/model.h"

struct slt_grads {
    struct slt_sink sink;    // first member: the model sees only this
    struct slt_tensor *grad; // (parts); no buffer where a part is frozen
    bool *begun;             // (parts): has a contribution of this step
    bool shared;
    // Called when parts [first, first + count) are complete; NULL: nothing happens.
    void (*on_commit)(void *user, int first, int count);
    void *user;
};

int slt_grads_init(struct slt_grads *grads, int parts, bool shared, struct slt_error *err);
// Lays out the buffers in the gradients region (runs in both passes of the model's layout). Tied
// embeddings contribute at both ends of the backward pass and keep a buffer of their own.
void slt_grads_layout(struct slt_grads *grads, struct slt_model *model);
// Starts a step: what the buffers hold is forgotten.
void slt_grads_begin(struct slt_grads *grads, int parts);
void slt_grads_free(struct slt_grads *grads);

#endif
