// How a model computes: words that several programs know by the same names.
#ifndef SLT_COMPUTE_H
#define SLT_COMPUTE_H

// How W = s B A + S is applied: build W and compute as a full-rank linear, or by the factors; both
// are exact. Auto: the cheaper one for the shape.
enum slt_route { SLT_ROUTE_AUTO, SLT_ROUTE_DENSE, SLT_ROUTE_FACTORED };
#define SLT_ROUTES "auto|dense|factored"

// The bytes of a text that says how a kind of group is computed in all layers: "full" without
// factors, "dense" or "factored", or, where layers differ, ranges of them, "0:full 1-3:factored".
#define SLT_ROUTE_TEXT 1400

// What the backward pass works out again instead of finding it kept: nothing; the outputs of norms
// and of SwiGLU; everything but each layer's input.
enum slt_recompute { SLT_RECOMPUTE_NONE, SLT_RECOMPUTE_CHEAP, SLT_RECOMPUTE_BLOCK };
#define SLT_RECOMPUTES "none|cheap|block"

// How weights and moments are stored: F32; BF16, rounded to nearest even or stochastically; BF16
// weights beside F32 masters and moments.
enum slt_precision {
    SLT_PRECISION_F32,
    SLT_PRECISION_BF16,
    SLT_PRECISION_BF16_SR,
    SLT_PRECISION_BF16_MASTER
};
#define SLT_PRECISIONS "f32|bf16|bf16-sr|bf16-master"

#endif
