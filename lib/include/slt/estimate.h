// Memory and arithmetic by formula: what the published tables count, the same with the formats of
// this library, and the FLOPs of training.
//
// Let N be the trained values of the model that the method trains, N_full and N_low those of the
// full-rank and the low-rank model of the same sizes, nnz the non-zeros of all S. Sums are over the
// linears (m, n) of attention and MLP, and N_base is what is not one of them: embedding, head and
// norms, which GaLore trains without a projection. Bytes with bf16 weights and moments and a 64-bit
// index, as Table 2 of SLTrain (Han et al. 2024, arXiv 2406.02214) counts them:
//
//  full, lowrank  weights 2 N, moments 4 N
//  sltrain        weights 2 N, moments 4 N, index 8 nnz
//  relora         weights 2 (N_full + N_low), moments 4 N_low  (method: Lialin et al. 2023, arXiv
//                 2307.05695; what has no factors is counted twice, as the table does)
//  galore         weights 2 N_full, moments 4 N_base + 4 sum(r max(m, n)),
//                 projectors 2 sum(r min(m, n))  (method: Zhao et al. 2024, arXiv 2403.03507)
//
// Where some layers differ from the model (slt_config_form), N and N_low have them; GaLore then
// projects the linears that are full, and the others count as their method does.
//
// Gradients and activations are not in these numbers.
#ifndef SLT_ESTIMATE_H
#define SLT_ESTIMATE_H

#include <stddef.h>
#include <stdint.h>

#include "slt/compute.h"
#include "slt/config.h"
#include "slt/device.h"
#include "slt/train.h"

// The ways to train that the tables compare.
enum slt_scheme {
    SLT_SCHEME_FULL,
    SLT_SCHEME_LOWRANK,
    SLT_SCHEME_RELORA,
    SLT_SCHEME_GALORE,
    SLT_SCHEME_SLTRAIN,
    SLT_SCHEMES
};

// Bytes of moments and index. Weights and projectors are bf16, 2 bytes, in all of them.
enum slt_accounting {
    SLT_ACCOUNT_PAPER,      // 2 bytes per moment, 8 per position of S
    SLT_ACCOUNT_PAPER_8BIT, // 1 byte per moment, 8 per position
    SLT_ACCOUNT_8BIT,       // ours: 8-bit moments with an fp32 maximum for every 256 values, fp32
                            // moments of tensors under 4096 values (Dettmers et al. 2022, arXiv
                            // 2110.02861); per position of S a column of 2 bytes (4 where in >
                            // 65536), and 8 for the start of each row of a group
    SLT_ACCOUNT_8BIT_NO_INDEX, // the same with S drawn from its seed whenever it is needed
    SLT_ACCOUNTINGS
};

struct slt_estimate {
    uint64_t parameters; // of the trained model: N, or N_full for relora and galore
    uint64_t weights, moments, projectors, index; // bytes
};

// "full", ...; "paper", "paper-8bit", "8bit", "8bit-no-index".
SLT_API const char *slt_scheme_name(enum slt_scheme scheme);
SLT_API const char *slt_accounting_name(enum slt_accounting accounting);

// Evaluates the formulas above for the sizes, rank, density, support and layers of config; its
// method is not looked at, and a support of no kind counts as random.
SLT_API int slt_estimate_memory(struct slt_estimate *estimate, const struct slt_config *config,
                                enum slt_scheme scheme, enum slt_accounting accounting,
                                struct slt_error *err) SLT_CHECK_RESULT;
// The paper's estimate for a configuration's method and an optimizer: one that works in a subspace,
// of galore_rank, is galore, one with 8-bit moments is counted with 1 byte per moment, one without
// second moments with half of them, and one whose steps are orthogonal with half of those of the
// matrices of linears.
SLT_API int slt_estimate_paper(struct slt_estimate *estimate, const struct slt_config *config,
                               enum slt_optimizer_id optimizer, int64_t galore_rank,
                               struct slt_error *err) SLT_CHECK_RESULT;
SLT_API uint64_t slt_estimate_total(const struct slt_estimate *estimate);

// ---- Published numbers ----

enum slt_printed_kind {
    SLT_PRINTED_NOTHING,
    SLT_PRINTED_ESTIMATE,  // by the paper's formula
    SLT_PRINTED_MEASURED,  // a whole process on a GPU, with gradients and activations
    SLT_PRINTED_TARGET,    // no paper's number: what the estimate should not exceed
    SLT_PRINTED_REFERENCE, // no paper's number: what the target is to be compared with
};

struct slt_published {
    const char *source; // "table2", "table4", "figure3" of arXiv 2406.02214; "target"
    enum slt_scheme scheme;
    enum slt_accounting accounting;
    const char *preset;
    double millions; // printed parameters / 1e6, 0: none
    double giga;     // printed bytes / 1e9, 0: none
    enum slt_printed_kind kind;
};

// Row number index, or NULL after the last one: Table 2 with the formula's 7b, Table 4, Figure 3,
// targets.
SLT_API const struct slt_published *slt_published_row(size_t index);
// The estimate that belongs to a row, at the preset's rank, density and vocabulary.
SLT_API int slt_published_estimate(struct slt_estimate *estimate, const struct slt_published *row,
                                   struct slt_error *err) SLT_CHECK_RESULT;
// How the two compare. "deviates": the parameters do not round to the printed millions, or the
// memory differs by more than .02 or 5% of the printed number; "measured" and "reference": not the
// same thing; "met" or "missed": a target; else "-".
SLT_API const char *slt_published_mark(const struct slt_published *row,
                                       const struct slt_estimate *estimate);

// ---- Arithmetic ----

// FLOPs of training per token, forward and backward, a multiply-add being two. Counted are products
// with weights and attention over the causal half; not norms, activations, softmax and optimizer.
struct slt_flops {
    // Of the full-rank model of the same sizes, whatever the method: 6 for each weight of a linear
    // and of the head, and 6 seq heads head_dim for attention in each layer.
    double model;
    // With the route of each group of linears. Full-rank: 6 rows in. Factored: 6 (r (rows + members
    // in) + nnz), and 4 rows in for a frozen W beside it. Dense: 6 rows in + 8 r rows in / T, to
    // build W twice and to read the gradients of A and B off that of W once in T tokens of a
    // micro-batch.
    double computed;
    char route[SLT_GROUP_KINDS][SLT_ROUTE_TEXT];
};

// ---- Time on a GPU ----

// What a step moves and computes, by parts, as the kernels of the CUDA backend do it: each reads
// and writes its operands once, and what is small stays away.
enum slt_step_part {
    SLT_STEP_PRODUCTS,   // dense and low-rank ones, with those of the head
    SLT_STEP_SPARSE,     // S: its own products, or W built and its gradient read off
    SLT_STEP_ATTENTION,  // with the rotation
    SLT_STEP_NORMS,      // with the additions to the residual stream
    SLT_STEP_ACTIVATION, // SwiGLU
    SLT_STEP_LOSS,       // cross-entropy, and the embedding
    SLT_STEP_UPDATE,     // norm of the gradients, and the optimizer's step
    SLT_STEP_PARTS
};

struct slt_work {
    double bytes[SLT_STEP_PARTS], flops[SLT_STEP_PARTS]; // of an optimizer step, on one rank
    int64_t micro_batches;                               // in it
};

struct slt_gpu {
    const char *name;
    double bytes, flops; // per second, as its data sheet has them: memory, dense BF16 products
};

// "products", "sparse", ...
SLT_API const char *slt_step_part_name(enum slt_step_part part);
// Row number index, or NULL after the last one: H100, H200.
SLT_API const struct slt_gpu *slt_gpu_row(size_t index);
// Seconds that a part is predicted to take in BF16: the longer of its bytes at 85% of the memory's
// rate and its FLOPs at 62% of the peak, as large GEMM have it; at 35% in attention.
SLT_API double slt_gpu_seconds(const struct slt_gpu *gpu, const struct slt_work *work,
                               enum slt_step_part part);

// ---- A run ----

// What slt_train would allocate, compute and move, with options as slt_train_resolve left them.
SLT_API int slt_estimate_run(struct slt_plan *plan, struct slt_flops *flops, struct slt_work *work,
                             struct slt_device *device, const struct slt_config *config,
                             const struct slt_train_options *options, struct slt_error *err)
    SLT_CHECK_RESULT;

#endif
