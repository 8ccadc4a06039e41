// A model on a device: parameters as stacked parts, forward and backward of a micro-batch.
//
// A *part* is what computation and optimizers see: one tensor, for linears the stacked parameters
// of a group. A *parameter* is what files see (slt_config_params): contiguous elements of a part.
#ifndef SLT_MODEL_MODEL_H
#define SLT_MODEL_MODEL_H

#include "device/memory.h"
#include "model/linear.h"
#include "model/sink.h"
#include "slt/checkpoint.h"
#include "slt/config.h"

struct slt_part {
    enum slt_role role;
    int unit;    // the first of the parts that are lent and committed together
    bool frozen; // not trained: nothing is lent or committed for it
    struct slt_tensor value;
};

struct slt_param {
    struct slt_param_info info;
    int part;
    int64_t first; // element of the part where it starts; it has info.rows * info.cols elements
};

struct slt_layer {
    int norm_part[SLT_NORM_FINAL]; // gains (1, d)
    struct slt_group group[SLT_GROUP_KINDS];
};

// What one layer leaves behind for its backward pass.
struct slt_layer_acts {
    struct slt_act z1, n1, qkv, o, z2, n2, gu, a; // (T, d | d | (h+2kv)hd | h hd | d | d | 2g | f)
    struct slt_tensor rstd1, rstd2;               // (1, T)
    struct slt_tensor lse;                        // (heads, T)
    struct slt_act h[SLT_GROUP_KINDS];            // (T, members r) of the factored route
};

struct slt_model;
typedef int slt_model_layout_fn(struct slt_model *model, void *user, struct slt_error *err);

struct slt_model_shape {
    int64_t batch, seq;           // T = batch * seq tokens at once
    bool training;                // keep what backward needs
    enum slt_route route;         // auto, or forced for all groups
    enum slt_recompute recompute; // in training
    bool bf16;                    // weights but those of norms are kept in BF16; dtype is F32
    bool codes;                   // without training: weights of a model in int8 stay in its codes,
                                  // where the device computes with them
    bool unpacks;                 // weights in BF16 are asked for in F32 (slt_model_unpack)
    unsigned trains;              // bits 1 << role that are trained; 0: all
    int64_t projected;            // the most rows of a projector that a gradient is lent with, or 0
    int64_t cache;  // generation: positions of the key-value cache (then batch is 1), else 0
    int64_t logits; // the most tokens that slt_model_logits is asked for
};

// How an architecture computes. One is a file and a row in model.c.
struct slt_stack {
    // Lays out the activations (runs in both passes), and changes them to t tokens.
    void (*layout)(struct slt_model *model, const struct slt_model_shape *shape);
    void (*resize)(struct slt_model *model, int64_t t);
    // From tokens to nf, the output of the last norm; and from dn, its gradient, to the gradients
    // of all parts but the head's.
    void (*forward)(struct slt_model *model);
    void (*backward)(struct slt_model *model, struct slt_sink *sink);
};
extern const struct slt_stack slt_stack_llama;
const struct slt_stack *slt_stack(const struct slt_config *config);

struct slt_model {
    const struct slt_ops *ops;
    struct slt_ctx *ctx;
    const struct slt_stack *stack;
    int threads; // of the host
    struct slt_config config;
    enum slt_dtype dtype;        // of norms, sums and most gradients (train/sink.h)
    enum slt_dtype weight_dtype; // of all other weights: dtype, or BF16
    bool coded;                  // weights that can be are in I8
    enum slt_dtype act_dtype;    // of activations: dtype, or BF16 where the backend computes with
                                 // BF16 weights as they are
    struct slt_memory memory;

    int part_count;
    struct slt_part *part;
    size_t param_count;
    struct slt_param *param;
    int embedding_part, head_part, norm_part; // head_part is the embedding's when tied
    struct slt_layer *layer;                  // (num_hidden_layers)

    struct slt_model_shape shape; // that it was created for
    slt_model_layout_fn *extra;
    void *extra_user;

    // What the shape asks for, and what is laid out for it.
    struct slt_attention attention;
    bool training;
    unsigned trains; // bits 1 << role
    enum slt_route route_wish;
    enum slt_recompute recompute;
    struct slt_layer_acts *acts;  // (num_hidden_layers) in training, else 1 shared by all layers;
                                  // what is recomputed lies in the same place for all of them
    struct slt_act zf, nf;        // (T, d): the last residual stream and its norm
    struct slt_tensor rstd_f;     // (1, T)
    struct slt_act branch;        // (T, d): output of the o or down linears
    struct slt_act dres, dn;      // (T, d): gradients of the residual stream and of a norm's output
    struct slt_act dqkv, dbranch; // (T, (h+2kv)hd), (T, max(h hd, f))
    struct slt_scratch scratch;
    struct slt_tensor unpacked;        // F32 copies of a group's BF16 weights, or of the head's,
                                       // to compute with or where the shape asks for them
    struct slt_group bound;            // the group that points at them
    struct slt_tensor rope;            // (head_dim, positions)
    struct slt_tensor tokens, targets; // I32 (1, T)
    struct slt_tensor scalars;         // F64 (1, SLT_SCALARS)
    uint64_t work_offset, work_bytes;
    struct slt_act cache;  // generation: (capacity, layers 2 kv hd)
    struct slt_act logits; // (shape's logits, V)
    // Looked at between the layers of a forward pass; once it is set, the pass ends early and what
    // it computes is undefined. NULL where every pass is to be completed.
    slt_stop_flag *stop;
};

// A model is laid out in two passes of the same code: prepare counts, and everything is known but
// nothing allocated; allocate makes the regions and hands out views. extra (may be NULL) is called
// in both after the model's own regions, for gradients and moments. Then the supports are drawn and
// the rope table is written; the weights' values are undefined. Errors of prepare: SLT_ERR_RANGE
// where the device cannot do an operation in its shape.
int slt_model_prepare(struct slt_model **model, const struct slt_device *device,
                      const struct slt_config *config, enum slt_dtype dtype,
                      const struct slt_model_shape *shape, slt_model_layout_fn *extra, void *user,
                      struct slt_error *err) SLT_CHECK_RESULT;
struct slt_plan slt_model_plan(const struct slt_model *model);
int slt_model_allocate(struct slt_model *model, struct slt_error *err) SLT_CHECK_RESULT;
// Both steps.
int slt_model_create(struct slt_model **model, const struct slt_device *device,
                     const struct slt_config *config, enum slt_dtype dtype,
                     const struct slt_model_shape *shape, slt_model_layout_fn *extra, void *user,
                     struct slt_error *err) SLT_CHECK_RESULT;
void slt_model_free(struct slt_model *model);

// All groups of linears, layer by layer, and group i of them.
static inline int64_t slt_model_groups(const struct slt_model *model)
{
    return model->config.num_hidden_layers * SLT_GROUP_KINDS;
}
static inline struct slt_group *slt_model_group(const struct slt_model *model, int64_t i)
{
    return &model->layer[i / SLT_GROUP_KINDS].group[i % SLT_GROUP_KINDS];
}
// How a kind of group is computed (slt/compute.h, SLT_ROUTE_TEXT).
char *slt_model_route(char text[SLT_ROUTE_TEXT], const struct slt_model *model,
                      enum slt_group_kind group);

// Whether a kind of group has factors, in any layer.
bool slt_model_has_factors(const struct slt_model *model, enum slt_group_kind group);

// Whether the device has an operation for values of this type.
bool slt_model_computes_in(const struct slt_model *model, enum slt_op op, enum slt_dtype dtype);

// tokens, targets (T): the micro-batch, sequences one after the other; target < 0 is not predicted.
// targets may be NULL where no loss is asked for.
void slt_model_set_batch(struct slt_model *model, const int32_t *tokens, const int32_t *targets);
// Forward up to the final norm; then adds the loss sum to scalars[LOSS], with gradients of the head
// if sink is given.
void slt_model_forward(struct slt_model *model);
void slt_model_loss(struct slt_model *model, struct slt_sink *sink);
// The rest of backward after slt_model_loss with the same sink.
void slt_model_backward(struct slt_model *model, struct slt_sink *sink);
// logits (T, V), row-major floats (doubles for F64), of the last forward; the shape must ask for
// them.
int slt_model_logits(struct slt_model *model, void *logits, struct slt_error *err) SLT_CHECK_RESULT;

// From now on micro-batches have batch sequences of seq tokens, in all at most as many as the model
// was created for.
void slt_model_resize(struct slt_model *model, int64_t batch, int64_t seq);
// Generation: position of the next micro-batch's first token in the cache.
void slt_model_set_position(struct slt_model *model, int64_t position);

// Reads the model section of a checkpoint, which must hold exactly the model's parameters, into the
// weights. On return the reader stands at the first optimizer tensor (*more = 1) or at its end.
int slt_model_load(struct slt_model *model, struct slt_checkpoint_reader *reader, int *more,
                   struct slt_error *err) SLT_CHECK_RESULT;
// An F32 view of a tensor's values to compute with: itself, or a copy of a BF16 one that is good
// until the next group is bound.
struct slt_tensor slt_model_unpack(struct slt_model *model, struct slt_tensor t);
// The group with all its weights unpacked; good until the next call.
const struct slt_group *slt_model_unpack_group(struct slt_model *model,
                                               const struct slt_group *group);
// Host copies of elements [first, first + count) of a tensor: values in F32, or F64 for F64
// tensors.
void slt_tensor_write(struct slt_model *model, struct slt_tensor t, int64_t first,
                      const void *values, int64_t count);
void slt_tensor_read(struct slt_model *model, void *values, struct slt_tensor t, int64_t first,
                     int64_t count);

// Host copy of the positions row * in + column of an explicit support, whose parameter p is.
int slt_positions_read(struct slt_model *model, int64_t *position, const struct slt_param *p,
                       struct slt_error *err) SLT_CHECK_RESULT;

struct slt_tensor slt_model_scalar(const struct slt_model *model, enum slt_scalar which);
void slt_model_set_scalar(struct slt_model *model, enum slt_scalar which, double value);
double slt_model_get_scalar(struct slt_model *model, enum slt_scalar which);
void slt_model_set_scalars(struct slt_model *model, const double values[SLT_SCALARS]);
void slt_model_get_scalars(struct slt_model *model, double values[SLT_SCALARS]);

#endif
