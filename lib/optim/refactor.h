// New factors of the same product: every so many updates (alpha/r) B A of each linear is split anew
// into factors that are balanced and orthogonal, and their moments start again (arXiv 2505.22922).
#ifndef SLT_OPTIM_REFACTOR_H
#define SLT_OPTIM_REFACTOR_H

#include "optim/optimizer.h"

// Whether new factors follow after this many updates.
bool slt_refactor_is_due(const struct slt_optimizer *optimizer, int64_t updates);

// With B A = U Sigma V^T: B = U sqrt(Sigma), A = sqrt(Sigma) V^T, and all their moments 0. Factors
// whose product has not the rank r stay as they are, since a row and a column of zeros would never
// leave that. Waits for the device.
int slt_refactor(struct slt_optimizer *optimizer, struct slt_error *err) SLT_CHECK_RESULT;

#endif
