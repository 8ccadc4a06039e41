// AdamW with decoupled weight decay (Loshchilov, Hutter 2019), as PyTorch computes it, and with
// 8-bit moments as bitsandbytes does (Dettmers et al. 2021): one multi-tensor step over the
// parameters.
#include "optim/optimizer.h"

static void plan(const struct slt_optimizer *o, struct slt_slot *slot)
{
    slt_slot_add_moments(o, slot, slot->info.rows, slot->info.cols, false);
}

static void plan_coded(const struct slt_optimizer *o, struct slt_slot *slot)
{
    slt_slot_add_moments(o, slot, slot->info.rows, slot->info.cols, true);
}

static int update(struct slt_optimizer *o, int first, int count, int64_t done, bool decay_last)
{
    const struct slt_model *m = o->model;
    struct slt_adam hyper = o->hyper;
    int64_t items = 0;
    hyper.decay_last = decay_last;
    for (size_t i = 0; i < o->slots; i++) {
        const struct slt_slot *slot = &o->slot[i];
        if (slot->states == 0 || !slt_slot_in(slot, first, count))
            continue;
        const struct slt_adam_item item = slt_slot_item(slot, slot->param, slot->grad);
        if (slt_slot_is_converted(o, slot))
            slt_optimizer_adam(o, slot, &item, &hyper, done);
        else
            o->item[items++] = item;
    }
    m->ops->adam_step(m->ctx, o->item, items, &hyper, m->scalars);
    return 0;
}

static int step(struct slt_optimizer *o, int first, int count, int64_t done, struct slt_error *err)
{
    (void)err;
    return update(o, first, count, done, false);
}

static int step_coded(struct slt_optimizer *o, int first, int count, int64_t done,
                      struct slt_error *err)
{
    (void)err;
    return update(o, first, count, done, true);
}

const struct slt_optimizer_kind slt_optimizer_adamw = {"adamw", plan, NULL, step, NULL};
const struct slt_optimizer_kind slt_optimizer_adam8bit = {"adam8bit", plan_coded, NULL, step_coded,
                                                          NULL};
