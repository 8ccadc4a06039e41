// The one table of operations: everything slt asks of a device. A backend fills one struct slt_ops;
// model, optimizer and trainer code calls nothing else.
//
// Conventions
//  - Buffers are opaque. A tensor is a view of one with a shape; an activation is (tokens,
//    features), and its layout belongs to the backend (the CPU keeps tokens contiguous: element
//    (t, f) at (first + f) * ld + t).
//  - Operations are asynchronous in one order per context, allocate nothing and return nothing;
//    what goes wrong is kept in the context and returned by synchronize. Workspace is asked for
//    with work_bytes and set once.
//  - Outputs come first, shapes are in comments in the paper's letters: T tokens, d hidden size,
//    f intermediate size, V vocabulary, r rank, x (T, in), W (out, in). With beta the output is
//    multiplied by it first, and beta = 0 overwrites whatever was there, NaN included.
//  - A position is a place in a sparse matrix that may have a value; in attention it is where a
//    token stands in its sequence.
//  - Values that change from step to step (learning rate, clip scale, ...) are read from a tensor
//    of scalars in device memory, so that a step can be captured once and replayed.
#ifndef SLT_KERNELS_OPS_H
#define SLT_KERNELS_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slt/dtype.h"
#include "slt/error.h"
#include "slt/random.h"

#define SLT_OPS_VERSION 9u

struct slt_ctx;    // a device, its stream, workspace and first error
struct slt_buffer; // device memory of one region
struct slt_graph;  // recorded operations

struct slt_tensor {
    struct slt_buffer *buffer; // NULL: no tensor
    uint64_t offset;           // bytes
    enum slt_dtype dtype;
    int64_t rows, cols, ld; // row-major, ld elements from row to row; what lies between a row's
                            // last and the next one is nobody's, and any operation may write it
    // Of weights in I8 only, which have no gaps (ld = cols): codes, each of which stands for
    // code / 127 times the F32 of its block of consecutive elements. Element i is in block
    // (lead + i) / block of those at absmax.
    uint64_t absmax;     // bytes
    int64_t block, lead; // elements
};

struct slt_act {
    struct slt_buffer *buffer; // NULL: no activation
    uint64_t offset;           // bytes, of the whole allocation
    enum slt_dtype dtype;
    int64_t tokens;          // T
    int64_t width;           // features of the whole allocation
    int64_t first, features; // this view's features: [first, first + features)
};

// The positions of a sparse matrix (rows, cols), by rows with ascending columns.
struct slt_csr {
    int64_t rows, cols, nnz;
    struct slt_tensor row_start; // I64 (1, rows + 1), row_start[0] = 0
    struct slt_tensor column;    // U16 if cols <= 65536, else I32, (1, nnz)
    // Where positions lie in bands of SLT_BAND_ROWS rows with the same columns, and the backend
    // supports SLT_OP_BANDS; else absent:
    struct slt_tensor band_row; // I32 (1, bands): the first row of each band, -1 for none
    // What group g of SLT_BAND_COLUMNS columns has of the bands: the parts
    // group_start[g] ... group_start[g + 1] - 1.
    struct slt_tensor group_start; // I32 (1, groups + 1)
    // Of each part: the first row of its band, which of a row's positions is the first one there,
    // how many there are.
    struct slt_tensor group_part; // I32 (parts, 3)
};

#define SLT_BAND_ROWS    16
#define SLT_BAND_COLUMNS 16 // of a group

// Whether its positions come with their bands.
static inline bool slt_csr_has_bands(const struct slt_csr *s)
{
    return s->group_start.cols > 0;
}

// Indices of the F64 scalars (1, SLT_SCALARS).
enum slt_scalar {
    SLT_SCALAR_LR,         // learning rate of this step
    SLT_SCALAR_C1,         // 1 - beta1^t
    SLT_SCALAR_C2,         // 1 - beta2^t
    SLT_SCALAR_LOSS_SCALE, // 1 / predicted tokens of the global batch
    SLT_SCALAR_CLIP,       // largest gradient norm, 0: no clipping
    SLT_SCALAR_LAST_NORM,  // norm that clips instead of the gradients' own, 0: none
    SLT_SCALAR_UPDATE,     // updates before this one: the lanes of stochastic rounding
    SLT_SCALAR_NORM,       // out of grad_norm: norm of the gradients before clipping
    SLT_SCALAR_GRAD_SCALE, // out of grad_norm: factor that clips, 1 if the norm is within bounds
    SLT_SCALAR_SKIP,       // out of grad_norm: 1 if the norm or the loss is not finite: then the
                           // optimizer changes nothing
    SLT_SCALAR_SQUARES,    // accumulated by grad_norm: squares of the norms of all its calls
    SLT_SCALAR_SKIPPED,    // set by grad_norm: 1 once a call of it has set SKIP
    SLT_SCALAR_LOSS,       // accumulated by head_loss: sum of the losses of predicted tokens
    SLT_SCALARS
};

struct slt_attention {
    int64_t batch, seq; // T = batch * seq, sequences one after the other
    int64_t heads, kv_heads, head_dim;
    // attention_cached only: of the first new token; in a shape, as many as there will ever be.
    int64_t position;
};

// One tensor of a multi-tensor optimizer step. param, grad, m, v have the same shape. The moments
// are F32, or U8 codes of the dynamic maps (core/codes.h), relative to the largest magnitude of
// their block of elements. Where v is absent, the step is that of SGD with momentum. Where
// direction is given beside grad, param is not touched: direction = scale * the step that would
// have been subtracted, and may lie in the place of grad. Where grad is absent, direction is read:
// it is the step over the learning rate; without it only weight decay happens. The items of a step
// share no other memory, so that a backend may take them in any order, or all at once.
//
// A backend that supports SLT_OP_ADAM in BF16 also takes param, grad, m, v and a direction beside
// grad in BF16. It computes with them in F32 and rounds what it stores: to nearest even, or, but for
// directions, with hyper.stochastic as convert does under the item's key, from first on, in the
// lanes 4 scalars[UPDATE] + 0, 1, 2 (param, m, v).
// With a master (F32) the step is taken on that, and param becomes it rounded.
struct slt_adam_item {
    struct slt_tensor param, grad, m, v;
    struct slt_tensor m_max, v_max; // (1, blocks): of 8-bit moments, else absent
    struct slt_tensor direction;    // absent: param is updated
    struct slt_tensor master;       // or absent
    double rate;                    // the item's learning rate over scalars[LR]
    uint64_t first;             // which element of its parameter the first one is, a multiple of 8
    struct slt_tensor divisors; // F32 (1, n): their sum divides a direction that is read; or absent
    struct slt_random_key rounding;
};

#define SLT_NORM_BLOCK 2048 // elements of a tensor whose squares are added up before others'

struct slt_adam {
    double beta1, beta2, eps, weight_decay;
    bool eps_corrected; // eps is added to sqrt(v / c2) (PyTorch, bitsandbytes) and not to sqrt(v)
                        // (GaLore)
    bool decay_last;    // decay follows the step (bitsandbytes, GaLore) and does not go before it
                        // (PyTorch)
    bool nesterov;      // SGD steps along g + beta1 m, and not along m
    double scale;       // of directions
    int64_t block;      // elements of a block of 8-bit moments
    bool stochastic;    // how BF16 is rounded
};

// Stochastic rounding: the random bits of element i of a conversion are 16-bit word (first + i) % 8
// of Philox block (first + i) / 8 under key and lane (slt/random.h), lower halves first.
struct slt_rounding {
    struct slt_random_key key;
    uint64_t lane, first;
};

// What supports and work_bytes are asked about: operations with their backward passes.
enum slt_op {
    SLT_OP_EMBEDDING,
    SLT_OP_RMSNORM,
    SLT_OP_ATTENTION,
    SLT_OP_SWIGLU,
    SLT_OP_HEAD_LOSS,
    SLT_OP_LINEAR,
    SLT_OP_SPARSE,
    SLT_OP_BANDS, // the sparse products of positions in bands
    SLT_OP_GRAD_NORM,
    SLT_OP_ADAM,
};

// A shape for supports, work_bytes and slt_op_describe; fields that an operation does not have are
// 0, and so may be those that are not known yet where supports is asked.
struct slt_op_shape {
    enum slt_dtype dtype;
    int64_t tokens; // T
    // linear, sparse, bands: x (T, in), W (out, in). Embedding, head: in = d, out = V. RMSNorm: in
    // = d. SwiGLU: in = f. grad_norm: out = tensors. Adam: in = elements of a block of 8-bit
    // moments.
    int64_t in, out;
    // Sparse, bands: positions. grad_norm, Adam: values in all tensors. Linear: values of a factor
    // of another type than the activations', rows padded to multiples of 8, or of a weight in I8.
    int64_t nnz;
    // Linear: a common divisor of all that is wide, and of where views begin: in, out, those of
    // members, the rank. Only work_bytes goes by it.
    int64_t step;
    struct slt_attention attention;
};

struct slt_ops_options {
    int threads; // CPU: 0 means all
    // Of several GPUs: number chosen - 1 or, where chosen is 0, the one whose turn it is.
    int chosen, turn;
    // Only supports, work_bytes, act_bytes and describe will be called: the device need not be
    // there.
    bool to_plan;
};

// What the choice between the routes of a sparse plus low-rank group goes by: constants of a
// backend, in multiply-adds of a GEMM at its full rate, for forward and backward together.
struct slt_route_cost {
    double position;      // the sparse products at one position, for one token
    double order;         // sorting a position by columns
    double element;       // an element of a dense scratch, which passes through memory a few times
    double band_position; // as position, of bands
};

#define SLT_COMM_ID 128 // bytes that name a communicator

struct slt_comm_options {
    void *nccl; // the library that exchanges, from dlopen
    int rank, size;
    // Asked between two looks of whoever waits for a device that other ranks may keep from going on;
    // false: it is given up. What fails for the sake of others fails with SLT_ERR_RANKS.
    bool (*keep_waiting)(void *user);
    void *user;
};

struct slt_ops {
    uint32_t version; // SLT_OPS_VERSION
    const char *name; // "cpu", "cpu-reference", "cuda"
    struct slt_route_cost route_cost;
    int64_t micro_tokens; // of a micro-batch: with more the backend is hardly faster
    // Where SwiGLU's up is to begin in gu: at a multiple of this many features; 0: anywhere.
    int64_t up_align;

    // ---- Device and memory ----
    int (*open)(struct slt_ctx **ctx, const struct slt_ops_options *options, struct slt_error *err)
        SLT_CHECK_RESULT;
    void (*close)(struct slt_ctx *ctx);
    // One line for people: device, instruction set, threads. Returns text.
    char *(*describe)(struct slt_ctx *ctx, char *text, size_t size);
    // Whether the backend can do it, forward and backward, in this type and shape; where only
    // shape.dtype is set, whether it can in this type at all: F32; BF16 for weights and
    // activations, beside gains, sums and tables in F32 and gradients in F32 or, where it is said,
    // either; or F64 in the double-precision reference. I8: whether its forward pass takes weights
    // in I8 beside activations in F32 (embedding, linear).
    bool (*supports)(struct slt_ctx *ctx, enum slt_op op, const struct slt_op_shape *shape);
    uint64_t (*work_bytes)(struct slt_ctx *ctx, enum slt_op op, const struct slt_op_shape *shape);
    // The workspace of all operations; the caller keeps the buffer.
    void (*set_workspace)(struct slt_ctx *ctx, struct slt_buffer *buffer, uint64_t offset,
                          uint64_t bytes);
    // Bytes that can be allocated, and that there are in all. Absent (NULL) where that is not known.
    void (*available)(struct slt_ctx *ctx, uint64_t *available, uint64_t *all);
    // region names the memory in messages ("weights"). Memory is zeroed, and aligned to 64 bytes or
    // more.
    int (*buffer_create)(struct slt_ctx *ctx, struct slt_buffer **buffer, const char *region,
                         uint64_t bytes, struct slt_error *err) SLT_CHECK_RESULT;
    void (*buffer_free)(struct slt_ctx *ctx, struct slt_buffer *buffer);
    // Where the buffer lies, for what works on it between two operations after synchronize; absent
    // (NULL) where buffers are not in the host's memory.
    void *(*address)(struct slt_buffer *buffer);
    // Host memory to device and back; read waits for all earlier operations.
    void (*write)(struct slt_ctx *ctx, struct slt_buffer *buffer, uint64_t offset, const void *data,
                  uint64_t bytes);
    void (*read)(struct slt_ctx *ctx, void *data, struct slt_buffer *buffer, uint64_t offset,
                 uint64_t bytes);
    void (*zero)(struct slt_ctx *ctx, struct slt_buffer *buffer, uint64_t offset, uint64_t bytes);
    // Waits and returns the first error since the last call.
    int (*synchronize)(struct slt_ctx *ctx, struct slt_error *err) SLT_CHECK_RESULT;
    // Between begin and end operations are recorded and not run; nothing may be created, written or
    // read meanwhile. launch runs what was recorded, in order with all else. NULL from capture_end:
    // it could not be recorded, and synchronize says why. All four are absent (NULL) where a
    // backend gains nothing by them.
    void (*capture_begin)(struct slt_ctx *ctx);
    struct slt_graph *(*capture_end)(struct slt_ctx *ctx) SLT_CHECK_RESULT;
    void (*graph_launch)(struct slt_ctx *ctx, struct slt_graph *graph);
    void (*graph_free)(struct slt_ctx *ctx, struct slt_graph *graph);

    // From now on dense products may round their factors to a faster format of the device (TF32,
    // 10 bits of mantissa, more than bfloat16 has), or not; at first they may not. Sums stay in
    // F32.
    void (*allow_reduced)(struct slt_ctx *ctx, bool allow);

    // to = from for as many contiguous elements, each F32 or BF16 (F64 in the double-precision
    // reference). To BF16 as rounding says; NULL: to nearest even.
    void (*convert)(struct slt_ctx *ctx, struct slt_tensor to, struct slt_tensor from,
                    const struct slt_rounding *rounding);

    // ---- Activations ----
    uint64_t (*act_bytes)(struct slt_ctx *ctx, enum slt_dtype dtype, int64_t tokens,
                          int64_t features);
    // values (tokens, features), row-major floats, also for BF16 (doubles for F64 activations).
    void (*act_write)(struct slt_ctx *ctx, struct slt_act act, const void *values);
    void (*act_read)(struct slt_ctx *ctx, void *values, struct slt_act act);
    void (*act_copy)(struct slt_ctx *ctx, struct slt_act y, struct slt_act x);

    // ---- Embedding ----
    // y (T, d) = w[token]; w (V, d), F32, BF16 or I8; tokens I32 (1, T).
    void (*embedding_forward)(struct slt_ctx *ctx, struct slt_act y, struct slt_tensor w,
                              struct slt_tensor tokens);
    // dw (V, d) = beta dw + sum over t of dy[t] at token t, in the order of t.
    void (*embedding_backward)(struct slt_ctx *ctx, struct slt_tensor dw, double beta,
                               struct slt_act dy, struct slt_tensor tokens);

    // ---- Residual + RMSNorm (Zhang, Sennrich 2019) ----
    // z = x + r; r may be absent: then z is x itself and not written
    // rstd = 1 / sqrt(mean(z^2) + eps), in F32 or better
    // y = z * rstd * g
    // x, r, z, y (T, d), z may be x; rstd (1, T); g (1, d).
    void (*rmsnorm_forward)(struct slt_ctx *ctx, struct slt_act y, struct slt_act z,
                            struct slt_tensor rstd, struct slt_act x, struct slt_act r,
                            struct slt_tensor g, double eps);
    // dx (T, d) += the gradient through the norm; dx holds that of the residual stream
    // dg (1, d) = beta dg + sum over t of dy * z * rstd, unless absent
    // z, dy (T, d).
    void (*rmsnorm_backward)(struct slt_ctx *ctx, struct slt_act dx, struct slt_tensor dg,
                             double beta, struct slt_act dy, struct slt_act z,
                             struct slt_tensor rstd, struct slt_tensor g);
    // y += x. (T, n)
    void (*add)(struct slt_ctx *ctx, struct slt_act y, struct slt_act x);

    // ---- Causal attention with rotate-half RoPE ----
    // o (T, heads head_dim) = softmax(q k^T / sqrt(head_dim)) v
    // lse (heads, T) = log of the softmax's denominator
    // qkv (T, (heads + 2 kv_heads) head_dim): features of q, then k, then v, head after head; q and
    // k may be left rotated there, or as they came. Query head h reads kv head
    // h / (heads / kv_heads).
    // rope (head_dim, positions), F32 (F64): rows i < head_dim/2 are the cosines of
    // p theta^(-2i/head_dim) for each position p, the others the sines.
    void (*attention_forward)(struct slt_ctx *ctx, struct slt_act o, struct slt_tensor lse,
                              struct slt_act qkv, struct slt_tensor rope,
                              struct slt_attention shape);
    // dqkv (as qkv) = the gradient at qkv before the rotation
    // do_, o (T, heads head_dim); qkv as forward left it.
    void (*attention_backward)(struct slt_ctx *ctx, struct slt_act dqkv, struct slt_act do_,
                               struct slt_act qkv, struct slt_act o, struct slt_tensor lse,
                               struct slt_tensor rope, struct slt_attention shape);
    // Generation, one sequence: rotates q and k of the T new tokens, which stand at positions
    // [position, position + T), puts k and v into those rows of the cache and attends to all
    // positions so far. cache (capacity, 2 kv_heads head_dim): features of k, then v.
    void (*attention_cached)(struct slt_ctx *ctx, struct slt_act o, struct slt_act qkv,
                             struct slt_act cache, struct slt_tensor rope,
                             struct slt_attention shape);

    // ---- SwiGLU ----
    // y (T, f) = silu(gate) * up
    // gu (T, 2g), g >= f: features of gate, then, from g on, of up. The g - f behind both are not
    // read.
    void (*swiglu_forward)(struct slt_ctx *ctx, struct slt_act y, struct slt_act gu);
    // dgu (T, 2g) = the gradient at gu, zeros behind both, and may be gu itself. dy (T, f).
    void (*swiglu_backward)(struct slt_ctx *ctx, struct slt_act dgu, struct slt_act dy,
                            struct slt_act gu);

    // ---- LM head and cross-entropy, chunk by chunk: no (T, V) matrix is kept ----
    // scalars[LOSS] += sum over predicted t of -log softmax(w x[t])[target[t]]
    // and, unless dx is absent, the gradients of that sum times scalars[LOSS_SCALE]:
    // dx (T, d) = the gradient at x
    // dw (V, d) = beta dw + the gradient at w, unless absent
    // x (T, d), w (V, d), targets I32 (1, T); a token whose target is below 0 is not predicted.
    void (*head_loss)(struct slt_ctx *ctx, struct slt_tensor scalars, struct slt_act dx,
                      struct slt_tensor dw, double beta, struct slt_act x, struct slt_tensor w,
                      struct slt_tensor targets);

    // ---- Linear ----
    // y (T, out) = beta y + alpha x w^T. x (T, in), w (out, in), which may be I8.
    void (*linear_forward)(struct slt_ctx *ctx, struct slt_act y, double beta, struct slt_act x,
                           struct slt_tensor w, double alpha);
    // dx (T, in) = beta dx + alpha dy w.
    void (*linear_backward_input)(struct slt_ctx *ctx, struct slt_act dx, double beta,
                                  struct slt_act dy, struct slt_tensor w, double alpha);
    // dw (out, in) = beta dw + alpha dy^T x. Beside activations in BF16 dw is that or F32.
    void (*linear_backward_weight)(struct slt_ctx *ctx, struct slt_tensor dw, double beta,
                                   struct slt_act dy, struct slt_act x, double alpha);
    // c (m, n) = beta c + alpha op(a) op(b); op transposes if its flag is set. Where a or b is
    // BF16, both are factors in BF16 and c is that or F32.
    void (*matmul)(struct slt_ctx *ctx, struct slt_tensor c, double beta, struct slt_tensor a,
                   bool transpose_a, struct slt_tensor b, bool transpose_b, double alpha);

    // ---- Sparse products: S (out, in) with fixed positions and values (1, nnz) ----
    // y (T, out) += x S^T. x (T, in).
    void (*sparse_forward)(struct slt_ctx *ctx, struct slt_act y, struct slt_act x,
                           struct slt_csr s, struct slt_tensor values);
    // dx (T, in) += dy S
    // dvalues (1, nnz) = beta dvalues + dy^T x at the positions
    // Both come from one walk; either of them may be absent. dy (T, out), x (T, in).
    void (*sparse_backward)(struct slt_ctx *ctx, struct slt_act dx, struct slt_tensor dvalues,
                            double beta, struct slt_act dy, struct slt_act x, struct slt_csr s,
                            struct slt_tensor values);
    // w (out, in) = S, zeros elsewhere.
    void (*sparse_scatter)(struct slt_ctx *ctx, struct slt_tensor w, struct slt_csr s,
                           struct slt_tensor values);
    // dvalues (1, nnz) = beta dvalues + g at the positions. g (out, in).
    void (*sparse_gather)(struct slt_ctx *ctx, struct slt_tensor dvalues, double beta,
                          struct slt_tensor g, struct slt_csr s);

    // ---- Optimizer ----
    // scalars[NORM] = sqrt of the sum of squares of all grads, in double and in a fixed order
    // scalars[GRAD_SCALE] = CLIP > 0 && n > CLIP ? CLIP / (n + 1e-6) : 1,
    //     n = LAST_NORM > 0 ? LAST_NORM : NORM
    // scalars[SKIP] = NORM or LOSS is not finite
    // scalars[SQUARES] += NORM^2, or if SKIP is set scalars[SKIPPED] = 1
    // grads (count): those of a whole step or, call after call, some of them; empty ones are passed
    // over. In F32 or, where SLT_OP_GRAD_NORM is supported in it, BF16.
    void (*grad_norm)(struct slt_ctx *ctx, struct slt_tensor scalars,
                      const struct slt_tensor *grads, int64_t count);
    // grad_norm in two steps, for gradients of which several processes have parts each. sums F64
    // (1, blocks), one for each block of SLT_NORM_BLOCK elements of a tensor, or of a part of one that
    // begins with a block.
    // sums = sum of squares of each block of grad
    void (*grad_squares)(struct slt_ctx *ctx, struct slt_tensor sums, struct slt_tensor grad);
    // As grad_norm, from the sums of all blocks of all tensors, added in their order.
    void (*norm_of_squares)(struct slt_ctx *ctx, struct slt_tensor scalars, struct slt_tensor sums);
    // Adam with decoupled weight decay; nothing happens if scalars[SKIP] is set.
    // g = grad scalars[GRAD_SCALE], lr = scalars[LR] rate
    // m = beta1 m + (1 - beta1) g
    // v = beta2 v + (1 - beta2) g^2
    // step = lr sqrt(c2) / c1 * m / (sqrt(v) + e), e = eps_corrected ? eps sqrt(c2) : eps
    // p -= step, and before or after that p *= 1 - lr weight_decay
    // Without v (SGD with momentum): m = beta1 m + g, step = lr (nesterov ? g + beta1 m : m)
    // Without grad: step = lr / (sum of divisors) direction, 0 if they are all 0
    // 8-bit moments are decoded, used in F32, and stored as the nearest codes relative to the new
    // maxima of their blocks; the code of m keeps its sign.
    void (*adam_step)(struct slt_ctx *ctx, const struct slt_adam_item *items, int64_t count,
                      const struct slt_adam *hyper, struct slt_tensor scalars);
    // x (m, n) = x / |x|, zeros if |x| = 0; norm (1, 1) = |x|, unless absent. |x| is the root of the
    // sum of all squares, added in double and in a fixed order. F32.
    void (*normalize)(struct slt_ctx *ctx, struct slt_tensor x, struct slt_tensor norm);

    // ---- Ranks, each on a device of its own ----
    // All of them absent (NULL) where buffers are in the host's memory, and in a backend that was
    // built without the library for it. All ranks call them alike. Exchanges take what earlier
    // operations have left, and go on beside later ones until comm_wait.

    // Which device of all machines this is.
    char *(*comm_place)(struct slt_ctx *ctx, char *text, size_t size);
    // A name for a communicator, which rank 0 makes and gives the others.
    int (*comm_id)(void *nccl, char id[SLT_COMM_ID], struct slt_error *err) SLT_CHECK_RESULT;
    // Joins the ranks until close, before which all have waited for what they exchange.
    int (*comm_open)(struct slt_ctx *ctx, const char id[SLT_COMM_ID],
                     const struct slt_comm_options *options, struct slt_error *err)
        SLT_CHECK_RESULT;
    // t (F32, BF16, F64) = its sum over ranks, the same on all, in an order that depends on their
    // number.
    void (*all_reduce)(struct slt_ctx *ctx, struct slt_tensor t);
    // Rank i gets the sum of elements [cut[i], cut[i + 1]); the rest of t is left as it is. cut
    // (ranks + 1) is read at once.
    void (*reduce_parts)(struct slt_ctx *ctx, struct slt_tensor t, const int64_t *cut);
    // Everybody gets elements [cut[i], cut[i + 1]) of rank i; of any type.
    void (*give_parts)(struct slt_ctx *ctx, struct slt_tensor t, const int64_t *cut);
    // What follows finds everything exchanged.
    void (*comm_wait)(struct slt_ctx *ctx);
};

// The functions of the table by name. All backends make their declarations and the rows of their
// tables of these lists, so that an operation is added by its signature above, its name here, and
// its function in each backend. open is in none of them: each table says itself what a context
// starts with.

// clang-format off

// Who the backend is and what it can do.
#define SLT_OPS_OF_BACKEND(op) op(describe) op(supports) op(work_bytes)
// The device, its memory, what is moved about in it and the norm of what ranks have parts of: the same
// for all backends of one device.
#define SLT_OPS_OF_DEVICE(op)                                                                      \
    op(close) op(set_workspace) op(buffer_create) op(buffer_free) op(write) op(read) op(zero)      \
    op(synchronize) op(allow_reduced) op(convert) op(act_bytes) op(act_write) op(act_read)         \
    op(act_copy) op(norm_of_squares)
// What a backend may leave out: NULL.
#define SLT_OPS_OPTIONAL(op)                                                                       \
    op(available) op(capture_begin) op(capture_end) op(graph_launch) op(graph_free)
// What there is only where buffers are in the host's memory, NULL elsewhere.
#define SLT_OPS_OF_HOST(op) op(address)
// What ranks exchange on devices; NULL in the host's memory, and where a backend was built without.
#define SLT_OPS_OF_COMM(op)                                                                        \
    op(comm_place) op(comm_id) op(comm_open) op(all_reduce) op(reduce_parts) op(give_parts)        \
    op(comm_wait)
// What is computed element by element, token by token or head by head.
#define SLT_OPS_OF_ELEMENTS(op)                                                                    \
    op(embedding_forward) op(embedding_backward) op(rmsnorm_forward) op(rmsnorm_backward) op(add)  \
    op(attention_forward) op(attention_backward) op(attention_cached) op(swiglu_forward)           \
    op(swiglu_backward) op(head_loss) op(grad_norm) op(grad_squares) op(adam_step) op(normalize)
// Products with matrices.
#define SLT_OPS_OF_PRODUCTS(op)                                                                    \
    op(linear_forward) op(linear_backward_input) op(linear_backward_weight) op(matmul)             \
    op(sparse_forward) op(sparse_backward) op(sparse_scatter) op(sparse_gather)
// clang-format on

// Whether a backend keeps its buffers in the host's memory.
static inline bool slt_ops_on_host(const struct slt_ops *ops)
{
    return ops->address != NULL;
}

// The type of an operation, to declare the function that implements it.
#define SLT_OP_TYPE(op) __typeof__(*((struct slt_ops *)0)->op)

// The backends on a CPU: plain C in the order of the formulas, and the fast one for an instruction
// set: "avx512", "avx2", "plain", or NULL for the best one; NULL if this machine lacks it. All keep
// activations alike.
extern const struct slt_ops slt_cpu_reference_ops;
const struct slt_ops *slt_cpu_ops(const char *isa);

// The operation and its shape for messages, without an article: "attention with 4 heads of 512 in
// F32", "RMSNorm of 16384 features in BF16". Fields that are 0 are left out. Returns text.
char *slt_op_describe(char *text, size_t size, enum slt_op op, const struct slt_op_shape *shape);

// ---- Views ----

static inline struct slt_tensor slt_tensor_view(struct slt_buffer *buffer, uint64_t offset,
                                                enum slt_dtype dtype, int64_t rows, int64_t cols)
{
    return (struct slt_tensor){buffer, offset, dtype, rows, cols, cols, 0, 0, 0};
}

// Rows [first, first + rows) of a tensor.
static inline struct slt_tensor slt_tensor_rows(struct slt_tensor t, int64_t first, int64_t rows)
{
    t.offset += (uint64_t)first * (uint64_t)t.ld * slt_dtype_size(t.dtype);
    t.lead += first * t.ld;
    t.rows = rows;
    return t;
}

static inline struct slt_act slt_act_view(struct slt_buffer *buffer, uint64_t offset,
                                          enum slt_dtype dtype, int64_t tokens, int64_t features)
{
    return (struct slt_act){buffer, offset, dtype, tokens, features, 0, features};
}

// Features [first, first + features) of an activation.
static inline struct slt_act slt_act_slice(struct slt_act act, int64_t first, int64_t features)
{
    act.first += first;
    act.features = features;
    return act;
}

#endif
