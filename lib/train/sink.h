// The gradient sink: where the parts' gradients accumulate, and what happens when they are
// complete.
//
// Usually every part has a buffer of its own. Shared buffers hold the gradients of one unit of
// parts at a time (a linear group, a norm): they are only right where each unit is used up when it
// is committed. Those of the linears' matrices, W, A and B, may be BF16: one product writes them
// and the optimizer reads them, as long as no other micro-batch adds to them. With an optimizer
// that works in a subspace (GaLore) weights may have their projected gradients here instead: those
// of a part are whole only in the updates that work out one of its projectors anew, of which the
// first update has all, from its first micro-batch.
#ifndef SLT_TRAIN_SINK_H
#define SLT_TRAIN_SINK_H

#include "model/model.h"
#include "optim/projected.h"
#include "train/shares.h"

struct slt_grads {
    struct slt_sink sink; // first member: the model sees only this
    // (parts): where the gradient of this step accumulates; no buffer where a part is frozen
    struct slt_tensor *grad;
    bool *begun; // (parts): has a contribution of this group of sequences
    bool shared;
    enum slt_dtype matrices; // the type of the linears' matrices
    struct slt_projected projected;
    struct slt_reduction reduction;
    struct slt_shares shares;
    int64_t group;   // of this rank, whose micro-batches come now
    bool ends_group; // with this micro-batch
    // Called when parts [first, first + count) are complete; NULL: nothing happens.
    void (*on_commit)(void *user, int first, int count);
    void *user;
};

// matrices: the type of gradients of the linears' matrices and of projected ones, where their rows
// are multiples of 8 values; all others, whole ones of projected parts too, have the model's.
// optimizer: whose subspace gradients are accumulated in, or NULL.
int slt_grads_init(struct slt_grads *grads, const struct slt_model *model, bool shared,
                   enum slt_dtype matrices, struct slt_optimizer *optimizer, struct slt_error *err)
    SLT_CHECK_RESULT;
// Lays out the buffers in the gradients region (runs in both passes of the model's layout, after
// the optimizer's), and with several groups of sequences on this rank their partial sums. Tied embeddings contribute at both ends of the backward pass and keep a buffer
// of their own.
void slt_grads_layout(struct slt_grads *grads, struct slt_model *model, int64_t groups,
                      int64_t ranks);
// Bytes of the gradients of a step, but for one in which whole gradients are needed.
uint64_t slt_grads_bytes(const struct slt_grads *grads, const struct slt_model *model);
// Starts a step after update updates, then each further group: what the buffers hold is forgotten.
void slt_grads_begin(struct slt_grads *grads, int parts, int64_t update);
void slt_grads_begin_group(struct slt_grads *grads, int parts, int64_t group);
void slt_grads_free(struct slt_grads *grads);

#endif
