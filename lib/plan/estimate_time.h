// What a step moves and computes, for the prediction of its time (slt/estimate.h).
#ifndef SLT_PLAN_ESTIMATE_TIME_H
#define SLT_PLAN_ESTIMATE_TIME_H

#include "model/model.h"
#include "slt/estimate.h"

// Of a step of so many micro-batches, each of the model's shape.
void slt_work_count(struct slt_work *work, const struct slt_model *model,
                    const struct slt_plan *plan, int64_t micro_batches);

#endif
