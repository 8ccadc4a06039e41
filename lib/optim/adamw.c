// AdamW with decoupled weight decay (Loshchilov, Hutter 2019), as PyTorch computes it, and with
// 8-bit moments as bitsandbytes does (Dettmers et al. 2021): one multi-tensor step over the
// parameters.
#include "optim/optimizer.h"

static void plan(const struct slt_optimizer *o, struct slt_slot *slot)
{
    slt_slot_add_moments(o, slot, slot->info.rows, slot->info.cols);
}

static int step(struct slt_optimizer *o, int first, int count, int64_t done, struct slt_error *err)
{
    const struct slt_model *m = o->model;
    int64_t items = 0;
    (void)err;
    for (size_t i = 0; i < o->slots; i++) {
        const struct slt_slot *slot = &o->slot[i];
        if (slot->states == 0 || !slt_slot_in(slot, first, count))
            continue;
        const struct slt_adam_item item = slt_slot_item(slot, slot->param, slot->grad);
        if (slt_slot_is_converted(o, slot))
            slt_optimizer_adam(o, slot, &item, &o->hyper, done);
        else
            o->item[items++] = item;
    }
    m->ops->adam_step(m->ctx, o->item, items, &o->hyper, m->scalars);
    return 0;
}

const struct slt_optimizer_kind slt_optimizer_adamw = {
    .eps = 1e-8, .with_codes = SLT_OPTIMIZER_ADAM8BIT, .plan = plan, .step = step};
const struct slt_optimizer_kind slt_optimizer_adam8bit = {.eps = 1e-8,
                                                          .coded = true,
                                                          .with_codes = SLT_OPTIMIZER_ADAM8BIT,
                                                          .decay_last = true,
                                                          .plan = plan,
                                                          .step = step};
