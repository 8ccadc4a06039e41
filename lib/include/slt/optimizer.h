// Optimizers and learning-rate schedules: their options.
#ifndef SLT_OPTIMIZER_H
#define SLT_OPTIMIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "slt/error.h"

// The optimizers: enumerator and name. Each is a file of lib/optim with the row slt_optimizer_NAME.
#define SLT_OPTIMIZERS(row)                                                                        \
    row(ADAMW, adamw) row(ADAM8BIT, adam8bit) row(GALORE, galore) row(GALORE8BIT, galore8bit)      \
        row(SGD, sgd) row(MUON, muon) row(MUON8BIT, muon8bit) row(SPECTRAL, spectral)              \
            row(SPECTRAL8BIT, spectral8bit)

enum slt_optimizer_id {
#define SLT_ROW(id, name) SLT_OPTIMIZER_##id,
    SLT_OPTIMIZERS(SLT_ROW)
#undef SLT_ROW
        SLT_OPTIMIZER_COUNT
};

enum slt_galore_svd { SLT_GALORE_RANDOMIZED, SLT_GALORE_EXACT };
enum slt_relora_prune { SLT_PRUNE_RANDOM, SLT_PRUNE_MAGNITUDE, SLT_PRUNE_NONE };

// What has a learning rate of its own, as a multiple of the run's.
enum slt_rate_role {
    SLT_RATE_EMBEDDING,
    SLT_RATE_HEAD, // without tied embeddings
    SLT_RATE_NORMS,
    SLT_RATE_WEIGHTS, // W of linears
    SLT_RATE_FACTORS, // A and B
    SLT_RATE_SPARSE,  // S
    SLT_RATE_ROLES
};
#define SLT_RATE_ROLE_NAMES "embedding|head|norms|weights|factors|sparse"

struct slt_optimizer_options {
    enum slt_optimizer_id kind;
    double weight_decay, beta1, beta2;
    double lr_scale[SLT_RATE_ROLES]; // multiples of the learning rate
    double eps;                     // below 0: the optimizer's default, 1e-8, GaLore's 1e-6
    int64_t adam_block;             // elements that share a maximum in 8-bit moments
    double spectral_lr;             // peak learning rate of orthogonalised steps
    double momentum;                // of orthogonalised steps
    int64_t galore_rank;            // 0: a quarter of the hidden size
    int64_t galore_gap;             // updates from one projector to the next
    double galore_scale;            // of projected steps
    enum slt_galore_svd galore_svd; // how projectors are found
    bool galore_stagger;            // spread the refreshes over the gap
    int64_t refactor_every; // updates from one set of factors of a product to the next; 0: none
    int64_t relora_every; // updates from one restart of --method relora to the next; 0: none
    enum slt_relora_prune relora_prune; // how moments are pruned at a restart
    double relora_prune_fraction;       // of them; below 0: 0.999, by magnitude 0.9
};

enum slt_schedule_kind {
    SLT_SCHEDULE_COSINE,
    SLT_SCHEDULE_LINEAR,
    SLT_SCHEDULE_CONSTANT,
    SLT_SCHEDULE_WSD,    // warm-up, stable, decay: constant but for the last decay_steps
    SLT_SCHEDULE_JAGGED, // cosine that restarts every restart_every updates with a warm-up of its
                         // own
};

struct slt_schedule {
    enum slt_schedule_kind kind;
    double min_lr_ratio;    // the floor over the peak
    int64_t warmup;         // steps of linear warm-up
    double warmup_ratio;    // them as a share of all steps, where they are not given; 0: none
    int64_t decay_steps;    // the last ones, in which the learning rate of wsd falls
    int64_t restart_warmup; // updates of warm-up after a restart, of the jagged schedule
};
#define SLT_SCHEDULE_NAMES "cosine|linear|constant|wsd|jagged"

// The name of an optimizer; NULL behind the last one.
SLT_API const char *slt_optimizer_name(enum slt_optimizer_id id);
// The same optimizer with 8-bit moments, or id where there is none.
SLT_API enum slt_optimizer_id slt_optimizer_with_codes(enum slt_optimizer_id id);
enum slt_optimizer_trait {
    SLT_TRAIT_CODES = 1,         // moments are 8-bit codes
    SLT_TRAIT_SUBSPACE = 2,      // it works in a subspace of the gradients
    SLT_TRAIT_SECOND_MOMENT = 4, // steps are divided by the root of one
    SLT_TRAIT_ORTHOGONAL = 8,    // steps of matrices are orthogonalised
};
SLT_API bool slt_optimizer_has(enum slt_optimizer_id id, enum slt_optimizer_trait trait);

// The multiplier of the learning rate at step t = 1..steps: t/warmup during warm-up, then from 1
// down to the floor m at t = steps; cosine: m + (1-m)/2 (1 + cos(pi (t-warmup)/(steps-warmup))).
// wsd: 1, and in the last D = decay_steps m + (1-m) (1 - sqrt((t-(steps-D))/D)) (Hagele et al.
// 2024, arXiv 2405.18392).
// jagged: with j = t mod K, K = restart_every, u = restart_warmup and c(t) the cosine: t/warmup
// during warm-up; after the first restart, t >= K, and while j < u: (j/u) c(t-j+u); else c(t).
SLT_API double slt_schedule_factor(const struct slt_schedule *schedule, int64_t steps,
                                   int64_t restart_every, int64_t t);
// The last step after which a longer run could go on: up to it the multipliers are the same for any
// larger number of steps. 0 where all of them depend on it.
SLT_API int64_t slt_schedule_common(const struct slt_schedule *schedule, int64_t steps);

#endif
