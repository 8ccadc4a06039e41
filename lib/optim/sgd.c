// Stochastic gradient descent with momentum, as PyTorch computes it (Sutskever et al. 2013):
// m = beta1 m + g, W -= lr m. Weight decay is decoupled and goes before the step.
#include "optim/optimizer.h"

static void plan(const struct slt_optimizer *o, struct slt_slot *slot)
{
    slt_slot_add_momentum(o, slot, slot->info.rows, slot->info.cols);
}

const struct slt_optimizer_kind slt_optimizer_sgd = {
    .with_codes = SLT_OPTIMIZER_SGD, .plan = plan, .step = slt_optimizer_step_moments};
