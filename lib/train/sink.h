// The gradient sink of a whole step: every part has a buffer in which micro-batches accumulate.
#ifndef SLT_TRAIN_SINK_H
#define SLT_TRAIN_SINK_H

#include "model/model.h"

struct slt_grads {
    struct slt_sink sink;    // first member: the model sees only this
    struct slt_tensor *grad; // (parts)
    bool *begun;             // (parts): has a contribution of this step
};

int slt_grads_init(struct slt_grads *grads, int parts, struct slt_error *err);
// Lays out the buffers in the gradients region (runs in both passes of the model's layout).
void slt_grads_layout(struct slt_grads *grads, struct slt_model *model);
// Starts a step: what the buffers hold is forgotten.
void slt_grads_begin(struct slt_grads *grads, int parts);
void slt_grads_free(struct slt_grads *grads);

#endif
