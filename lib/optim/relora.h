// ReLoRA's restarts (Lialin et al. 2023): every so many updates the low-rank product is merged into
// the frozen weight, the factors start anew, and the optimizer forgets most of their moments.
#ifndef SLT_OPTIM_RELORA_H
#define SLT_OPTIM_RELORA_H

#include "optim/optimizer.h"

// Whether a restart follows after this many updates.
bool slt_relora_is_due(const struct slt_optimizer *optimizer, int64_t updates);

// W += (alpha/r) B A; A = uniform(+-1/sqrt(in)), a function of (seed, name, updates, element); B =
// 0; moments of A and B pruned by options.relora_prune: random zeroes each element with
// probability relora_prune_fraction, magnitude those whose magnitude is not above that quantile
// of the tensor, each moment by itself, none nothing. Waits for the device.
int slt_relora_restart(struct slt_optimizer *optimizer, int64_t updates,
                       struct slt_error *err) SLT_CHECK_RESULT;

#endif
