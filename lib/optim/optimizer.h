// Optimizers over a model's parameters. One is a file and a row in SLT_OPTIMIZERS.
//
// An optimizer keeps for every parameter a slot with as many state tensors as it asks for, in
// whatever type and shape: moments, 8-bit codes and their maxima, projectors. Files hold them as
// "<parameter>.<suffix>".
#ifndef SLT_OPTIM_OPTIMIZER_H
#define SLT_OPTIM_OPTIMIZER_H

#include "model/model.h"
#include "slt/compute.h"
#include "slt/optimizer.h"

#define SLT_OPTIMIZER_STATES    6 // the most states of a parameter
#define SLT_OPTIMIZER_SCRATCHES 5 // the most scratches of a kind

struct slt_state {
    const char *suffix;
    int64_t rows, cols;       // of the whole
    bool everywhere;          // all ranks have the whole, even where they share the others
    struct slt_tensor tensor; // the part that this rank has
};

struct slt_slot {
    struct slt_param_info info;
    struct slt_tensor param; // (info.rows, info.cols); set by slt_optimizer_bind
    struct slt_tensor grad;  // in the same shape, or projected
    bool projected;
    int part;            // of the model, that holds the parameter
    int states, moments; // the first states are moments, one or two
    struct slt_state state[SLT_OPTIMIZER_STATES];
    struct slt_tensor master;       // F32: what BF16 weights are roundings of; absent without
    // Of ranks that share the optimizer's state (owners.c) this one steps elements [own, own + owned)
    // of the parameter. What cannot be cut has one owner.
    bool whole; // it cannot: set by the kind
    int owner;  // of what cannot be cut
    int64_t own, owned;
    double rate;                    // its learning rate over the run's
    bool steps_apart;               // its kind steps it by itself (slt_optimizer_step_moments)
    struct slt_random_key rounding; // of values that are stored in BF16
};

struct slt_optimizer;

// The subspaces of an optimizer that has some, for what accumulates gradients there (projected.h).
struct slt_optimizer_subspace {
    // slt_optimizer_projects.
    int64_t (*accumulates)(const struct slt_optimizer_options *options,
                           const struct slt_config *config, bool whole_norm);
    // The slot's projector, its side, and in low, which has no memory yet, the shape of the
    // projected gradient. False if the slot has no projector.
    bool (*projection)(const struct slt_optimizer *optimizer, const struct slt_slot *slot,
                       struct slt_projection *projection);
    // The first update after the first one, from 1 to the gap, in which the projector is worked out
    // anew, from the whole gradient; then again every gap updates.
    int64_t (*due_at)(const struct slt_optimizer *optimizer, const struct slt_slot *slot);
    int64_t (*gap)(const struct slt_optimizer *optimizer);
    int (*refresh)(struct slt_optimizer *optimizer, const struct slt_slot *slot,
                   struct slt_tensor gradient, int64_t update, struct slt_error *err);
    // projection->low = the projection of a whole gradient, F32.
    void (*project)(struct slt_optimizer *optimizer, const struct slt_projection *projection,
                    struct slt_tensor gradient);
};

struct slt_optimizer_kind {
    double eps;                       // the default
    unsigned traits;                  // enum slt_optimizer_trait
    enum slt_optimizer_id with_codes; // the same optimizer with 8-bit moments
    bool decay_last;                  // see struct slt_adam
    // Lists the states of a slot: suffix, and dtype, rows and cols of the tensor.
    void (*plan)(const struct slt_optimizer *optimizer, struct slt_slot *slot);
    // Lays out scratch of its own; may be NULL. Runs after the slots are planned, in both passes.
    void (*layout)(struct slt_optimizer *optimizer, struct slt_memory *memory);
    // Fills the states that do not start as zeros; may be NULL.
    void (*start)(struct slt_optimizer *optimizer);
    // Updates the slots of parts [first, first + count) from their gradients, reading the model's
    // scalars. update counts the updates done before, from 0.
    int (*step)(struct slt_optimizer *optimizer, int first, int count, int64_t update,
                struct slt_error *err);
    const struct slt_optimizer_subspace *subspace; // NULL: gradients are needed whole
};

struct slt_optimizer {
    const struct slt_optimizer_kind *kind;
    enum slt_optimizer_id id;
    struct slt_optimizer_options options; // a copy
    double lr;                            // the run's peak learning rate
    enum slt_precision precision;
    uint64_t seed;
    struct slt_model *model;
    int ranks, rank; // that share the state; 1 and 0 where each has all of it
    uint64_t *load;  // (ranks): bytes of whole matrices that each has; NULL where nothing is shared
    struct slt_adam hyper;
    size_t slots;                 // one for each parameter, in the order of files
    struct slt_slot *slot;        // (slots)
    struct slt_adam_item *item;   // (slots): of the next multi-tensor step
    int64_t items;                // how many it has so far
    struct slt_tensor scratch[SLT_OPTIMIZER_SCRATCHES]; // of the kind's layout
    // F32: some elements of a BF16 parameter and of its moments, where the backend does not take
    // them as they are
    struct slt_tensor unpacked[3];
};

// Whose learning rate parameters of a role have.
enum slt_rate_role slt_rate_role(enum slt_role role);
const struct slt_optimizer_kind *slt_optimizer_kind(enum slt_optimizer_id id);
// Slots for every parameter of the model. lr is the peak learning rate; seed is of rounding,
// projectors and restarts. Errors: SLT_ERR_RANGE where the optimizer cannot train such a model.
int slt_optimizer_init(struct slt_optimizer *optimizer, const struct slt_optimizer_options *options,
                       double lr, enum slt_precision precision, uint64_t seed,
                       struct slt_model *model, struct slt_error *err) SLT_CHECK_RESULT;
// Lays out the states in the moments region (runs in both passes of the model's layout).
void slt_optimizer_layout(struct slt_optimizer *optimizer);
// The most rows of a projector, if gradients are to be accumulated in the optimizer's subspace,
// else 0: they are where that is all that the step reads of them, and not if the norm of the whole
// gradient is to clip (whole_norm).
int64_t slt_optimizer_projects(const struct slt_optimizer_options *options,
                               const struct slt_config *config, bool whole_norm);
// The slot's own share of a tensor over its part.
struct slt_tensor slt_slot_view(const struct slt_optimizer *optimizer, const struct slt_slot *slot,
                                struct slt_tensor part);
// Points the slots at the parameters and at the gradients of their parts, grad (parts).
void slt_optimizer_bind(struct slt_optimizer *optimizer, const struct slt_tensor *grad);
// The weights have been loaded and no state has: masters start as the weights, other states as
// their kind has it.
void slt_optimizer_start(struct slt_optimizer *optimizer);
void slt_optimizer_free(struct slt_optimizer *optimizer);

// ---- What kinds share ----

// Whether a slot's part is among [first, first + count).
static inline bool slt_slot_in(const struct slt_slot *slot, int first, int count)
{
    return slot->part >= first && slot->part < first + count;
}

static inline bool slt_slot_is_factor(const struct slt_slot *slot)
{
    return slot->info.role == SLT_ROLE_LORA_A || slot->info.role == SLT_ROLE_LORA_B;
}

// Whether this rank steps the slot, or a part of it.
static inline bool slt_slot_is_own(const struct slt_slot *slot)
{
    return slot->states > 0 && slot->owned > 0;
}

// ---- Ranks that share the state (owners.c) ----

// From now on the optimizer has rank's part of the state that ranks share; before it is laid out.
int slt_optimizer_share(struct slt_optimizer *optimizer, int ranks, int rank, struct slt_error *err)
    SLT_CHECK_RESULT;
// Who owns what, once the states of all slots are planned: parts begin at multiples of SLT_NORM_BLOCK
// elements and of a block of 8-bit moments, and are as large for all ranks as that allows.
void slt_optimizer_find_owners(struct slt_optimizer *optimizer);
// Where a rank's part begins, and the one before it ends (rank 0 to ranks), of total things, each of
// which stands for so many elements of the parameter; of what has one owner any total may be cut.
int64_t slt_slot_edge(const struct slt_optimizer *optimizer, const struct slt_slot *slot, int rank,
                      int64_t total, int64_t each);
// The same of state k, in its own elements.
int64_t slt_state_edge(const struct slt_optimizer *optimizer, const struct slt_slot *slot, int k,
                       int rank);
// This rank's part of a tensor in the shape of the slot's parameter.
struct slt_tensor slt_slot_own(const struct slt_slot *slot, struct slt_tensor whole);

// Adds a state to a slot's list.
void slt_slot_add(struct slt_slot *slot, const char *suffix, enum slt_dtype dtype, int64_t rows,
                  int64_t cols);
// Whether the moments of so many elements are codes.
bool slt_slot_has_codes(const struct slt_optimizer *optimizer, int64_t elements);
// Adds the one moment of SGD: momentum_buffer in the type of moments, or as codes (state1,
// absmax1).
void slt_slot_add_momentum(const struct slt_optimizer *optimizer, struct slt_slot *slot,
                           int64_t rows, int64_t cols);
// Adds Adam's moments of a (rows, cols) gradient: exp_avg and exp_avg_sq in the type of moments or,
// of a kind with codes where the matrix has at least 4096 elements, as codes (state1, state2,
// absmax1, absmax2).
void slt_slot_add_moments(const struct slt_optimizer *optimizer, struct slt_slot *slot,
                          int64_t rows, int64_t cols);
// Whether the run keeps all in BF16 that serves in it, on a device that computes with it.
bool slt_optimizer_is_half(const struct slt_optimizer *optimizer);
// The type of a slot's moments that are no codes.
enum slt_dtype slt_slot_moment_dtype(const struct slt_optimizer *optimizer,
                                     const struct slt_slot *slot);
// Zeroes the moments of a slot.
void slt_slot_reset_moments(const struct slt_optimizer *optimizer, const struct slt_slot *slot);
// The state with this suffix; absent (buffer NULL) if the slot has none.
struct slt_tensor slt_slot_state(const struct slt_slot *slot, const char *suffix);
// F32 weights of a slot to compute with, and their way back after update updates: the parameter
// itself, its master, or a copy that is good until the next group or parameter is unpacked.
struct slt_tensor slt_optimizer_open(struct slt_optimizer *optimizer, const struct slt_slot *slot);
void slt_optimizer_close(struct slt_optimizer *optimizer, const struct slt_slot *slot,
                         struct slt_tensor weights, int64_t update);
// Overwrites a parameter, and its master, with rows * cols values.
void slt_optimizer_set(struct slt_optimizer *optimizer, const struct slt_slot *slot,
                       const float *values);
// One Adam step of an item of the slot. What of param, m, v is BF16 is given to the backend as it
// is, or converted to F32 run by run, and back; both alike, stochastically with --precision
// bf16-sr; a slot's master stands for its param. update is the number of updates before.
void slt_optimizer_adam(struct slt_optimizer *optimizer, const struct slt_slot *slot,
                        const struct slt_adam_item *item, const struct slt_adam *hyper,
                        int64_t update);
// The items of the next multi-tensor step, one of a slot at most: add collects them, or takes the
// step at once where slt_optimizer_adam converts; flush takes it, with optimizer->hyper.
void slt_optimizer_add(struct slt_optimizer *optimizer, const struct slt_slot *slot,
                       const struct slt_adam_item *item, int64_t update);
void slt_optimizer_flush(struct slt_optimizer *optimizer);
// One multi-tensor step over the slots of parts [first, first + count) that do not step apart.
int slt_optimizer_step_moments(struct slt_optimizer *optimizer, int first, int count,
                               int64_t update, struct slt_error *err) SLT_CHECK_RESULT;
// The item of a step: param and grad as given, the moments from the slot's first
// states, its rate; with the slot's master where param is the slot's own.
struct slt_adam_item slt_slot_item(const struct slt_slot *slot, struct slt_tensor param,
                                   struct slt_tensor grad);

#endif
