// AdamW with decoupled weight decay (Loshchilov, Hutter 2019), as PyTorch computes it: one
// multi-tensor step over the parts.
#include "optim/optimizer.h"

static void step(struct slt_optimizer *o, const struct slt_tensor *grad, int first, int count)
{
    const struct slt_model *m = o->model;
    for (int i = first; i < first + count; i++)
        o->item[i] =
            (struct slt_adamw_item){m->part[i].value, grad[i], o->state[i][0], o->state[i][1]};
    m->ops->adamw_step(m->ctx, o->item + first, count, &o->hyper, m->scalars);
}

const struct slt_optimizer_kind slt_optimizer_adamw = {"adamw", 2, {"exp_avg", "exp_avg_sq"}, step};
