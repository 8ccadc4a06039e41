// AdamW with decoupled weight decay (Loshchilov, Hutter 2019), as PyTorch computes it, and with
// 8-bit moments as bitsandbytes does (Dettmers et al. 2021): one multi-tensor step over the
// parameters.
#include "optim/optimizer.h"

static void plan(const struct slt_optimizer *o, struct slt_slot *slot)
{
    slt_slot_add_moments(o, slot, slot->info.rows, slot->info.cols);
}

const struct slt_optimizer_kind slt_optimizer_adamw = {.eps = 1e-8,
                                                       .traits = SLT_TRAIT_SECOND_MOMENT,
                                                       .with_codes = SLT_OPTIMIZER_ADAM8BIT,
                                                       .plan = plan,
                                                       .step = slt_optimizer_step_moments};
const struct slt_optimizer_kind slt_optimizer_adam8bit = {.eps = 1e-8,
                                                          .traits = SLT_TRAIT_SECOND_MOMENT |
                                                                    SLT_TRAIT_CODES,
                                                          .with_codes = SLT_OPTIMIZER_ADAM8BIT,
                                                          .decay_last = true,
                                                          .plan = plan,
                                                          .step = slt_optimizer_step_moments};
