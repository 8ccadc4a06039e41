// The stage of the gradient sink that accumulates in an optimizer's subspace: it says in which form
// the gradient of a part is wanted, has projectors made in the first update, and gives every slot
// the gradient of its step, projected or whole.
#ifndef SLT_OPTIM_PROJECTED_H
#define SLT_OPTIM_PROJECTED_H

#include "optim/optimizer.h"
#include "ranks/ranks.h"

struct slt_projected {
    struct slt_optimizer *optimizer; // NULL: nothing is projected
    struct slt_ranks *ranks;         // that have the same projectors, NULL: one
    enum slt_dtype dtype;            // of projected gradients whose rows are multiples of 8
    struct slt_projected_part *part; // (parts)
    struct slt_projection *low;      // (slots)
    int64_t *due;                    // (slots): slt_optimizer_subspace.due_at
    uint64_t area;                   // of whole gradients, in the gradients region
    int64_t update, group;
    bool has_projectors;      // of the part that was committed last in the first update
    struct slt_error failure; // of working out a projector, code 0 if none
};

// Whether the slot's projector is worked out anew in this update; all are in the first one, 0.
bool slt_projector_is_due(const struct slt_optimizer *optimizer, const struct slt_slot *slot,
                          int64_t update);

int slt_projected_init(struct slt_projected *projected, const struct slt_model *model,
                       struct slt_optimizer *optimizer, enum slt_dtype dtype, struct slt_error *err)
    SLT_CHECK_RESULT;
void slt_projected_free(struct slt_projected *projected);
// Whether the gradient of this part is projected.
bool slt_projected_has(const struct slt_projected *projected, int part);
// Where the projected gradients of a part that slt_projected_has accumulate, all together.
struct slt_tensor slt_projected_low(const struct slt_projected *projected, int part);
// Finds the projected slots of every part, once the optimizer is laid out.
void slt_projected_find(struct slt_projected *projected, const struct slt_model *model);
// Lays out the projected gradients; whole ones, where they are needed, share an area of their own,
// or lie at whole (parts), as they do in shared buffers.
void slt_projected_layout(struct slt_projected *projected, struct slt_model *model,
                          const struct slt_tensor *whole);
// Says where the gradients of this update accumulate, in grad (parts) and in the optimizer's slots.
void slt_projected_begin(struct slt_projected *projected, int64_t update, struct slt_tensor *grad);
// The micro-batches of a group come next.
void slt_projected_begin_group(struct slt_projected *projected, int64_t group);
// The loan of a part that slt_projected_has.
struct slt_loan slt_projected_lend(struct slt_projected *projected, int part,
                                   struct slt_tensor grad, double beta);
// In the first update: a part's first gradient is complete.
void slt_projected_commit(struct slt_projected *projected, int part);

#endif
