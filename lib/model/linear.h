// Groups of linears that share an input, and how the kinds they come in compute. A kind (full,
// lowrank, sltrain, relora) is one file here, slt_linear_NAME, a row in the table of its tensors
// (config/linear_kind.h) and one in SLT_METHODS.
//
// Letters: x (T, in) the shared input; y (T, rows) all outputs side by side, rows = sum of out; r
// the rank; s = alpha / r. Parameters of the members are stacked in memory: W (rows, in), A
// (members r, in), B (rows, r), values of S (1, nnz), so that one product serves the group. Where
// the device wants a member's outputs to begin at multiples, zeros lie behind those of the one
// before it: rows of W and B that are no parameters, and which products alone see.
#ifndef SLT_MODEL_LINEAR_H
#define SLT_MODEL_LINEAR_H

#include "device/memory.h"
#include "config/architecture.h"
#include "model/sink.h"
#include "slt/compute.h"

struct slt_group {
    const struct slt_linear_kind *kind;
    struct slt_group_shape shape;   // shape.out with the rows of zeros
    int64_t own[SLT_GROUP_MEMBERS]; // shape.out without
    int64_t rows;          // sum of shape.out
    int64_t outputs;       // sum of own
    int64_t rank;          // r, 0 for full
    double scale;          // s
    int first_part, parts; // its parts in the model, in the order of the kind's tensors
    int w_part, a_part, b_part, values_part;
    struct slt_tensor w, a, b, values; // what the kind does not have is absent
    struct slt_csr support; // of all members, stacked by rows
    enum slt_route route;
    struct slt_act h; // (T, members r): x A^T, kept for backward by the factored route
};

// Scratch that all groups share, each as large as the largest group needs.
struct slt_scratch {
    struct slt_tensor w; // (rows, slt_dense_ld(in)): W of the dense route
    struct slt_tensor g; // in the same shape: its gradient
    struct slt_act dh;   // (T, members r), or (T, rows of a projector)
};

// Everything a group needs to compute.
struct slt_pass {
    const struct slt_ops *ops;
    struct slt_ctx *ctx;
    struct slt_scratch scratch;
};

struct slt_linear_kind {
    bool routes; // both routes compute it; else the way is its own
    bool merges; // its product is merged into its frozen W from time to time (optim/relora.h)
    // y = x W^T for every member, keeping what backward needs in the group.
    void (*forward)(const struct slt_pass *pass, const struct slt_group *group, struct slt_act y,
                    struct slt_act x);
    // dx = dy W (overwritten) and the gradients of the group's parts, then commits them.
    void (*backward)(const struct slt_pass *pass, const struct slt_group *group, struct slt_act dx,
                     struct slt_act dy, struct slt_act x, struct slt_sink *sink);
    // FLOPs of training per token, forward and backward, with tokens in a micro-batch
    // (slt/estimate.h, struct slt_flops).
    double (*flops)(const struct slt_group *group, double tokens);
};

const struct slt_linear_kind *slt_linear_kind(enum slt_method method);
// Whether its linears have an S, be it without a position.
static inline bool slt_group_has_support(const struct slt_group *group)
{
    return group->support.rows > 0;
}
// The features of h (T, members r) that the group keeps for backward; 0: it keeps none.
static inline int64_t slt_group_kept(const struct slt_group *group)
{
    return group->route == SLT_ROUTE_FACTORED ? group->shape.members * group->rank : 0;
}
// "full" without factors, else the group's route.
const char *slt_group_route_name(const struct slt_group *group);

// The leading dimension of W and its gradient in the scratch of the dense route: rows start where
// vectors of 16 bytes may.
static inline int64_t slt_dense_ld(int64_t in)
{
    return (in + 7) / 8 * 8;
}

// The cheaper route of a group for micro-batches of so many tokens: a pure function of shapes and
// of the backend's constants.
enum slt_route slt_route_choose(const struct slt_group *group, int64_t tokens,
                                const struct slt_route_cost *cost);

// By the group's route; a W that stands beside the factors gets no gradient.
double slt_factors_flops(const struct slt_group *group, double tokens);

// The dense route, shared by lowrank (no support) and sltrain.
void slt_dense_route_forward(const struct slt_pass *pass, const struct slt_group *group,
                             struct slt_act y, struct slt_act x);
void slt_dense_route_backward(const struct slt_pass *pass, const struct slt_group *group,
                              struct slt_act dx, struct slt_act dy, struct slt_act x,
                              struct slt_sink *sink);

// The low-rank part of the factored route: y = beta y + s B A x, dx = beta dx + its share; neither
// commits.
void slt_lowrank_forward(const struct slt_pass *pass, const struct slt_group *group,
                         struct slt_act y, double beta, struct slt_act x);
void slt_lowrank_backward(const struct slt_pass *pass, const struct slt_group *group,
                          struct slt_act dx, double beta, struct slt_act dy, struct slt_act x,
                          struct slt_sink *sink);

#endif
