// Owners of gradients and parameters.
#include <stdlib.h>

#include "optim/projected.h"
#include "train/shares.h"

int slt_shares_init(struct slt_shares *s, struct slt_optimizer *optimizer,
                    struct slt_reduction *reduction, struct slt_error *err)
{
    *s = (struct slt_shares){.optimizer = optimizer, .reduction = reduction};
    s->cut = calloc((size_t)optimizer->ranks + 1, sizeof *s->cut);
    return s->cut != NULL ? 0 : slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate shares");
}

void slt_shares_free(struct slt_shares *s)
{
    free(s->cut);
    s->cut = NULL;
}

static int64_t blocks_of(int64_t elements)
{
    return (elements + SLT_NORM_BLOCK - 1) / SLT_NORM_BLOCK;
}

static int64_t elements_of(struct slt_tensor t)
{
    return t.rows * t.cols;
}

// Blocks of all parameters: no gradient has more.
static int64_t all_blocks(const struct slt_optimizer *o)
{
    int64_t sum = 0;
    for (size_t i = 0; i < o->slots; i++)
        if (o->slot[i].states > 0)
            sum += blocks_of(o->slot[i].info.rows * o->slot[i].info.cols);
    return sum;
}

void slt_shares_layout(struct slt_shares *s)
{
    if (s->optimizer != NULL)
        s->squares = slt_memory_tensor(&s->optimizer->model->memory, SLT_REGION_EXCHANGE, SLT_F64,
                                       1, all_blocks(s->optimizer));
}

// Parameters in the place of summed gradients, and the squares.
uint64_t slt_shares_traffic(const struct slt_shares *s)
{
    const struct slt_optimizer *o = s->optimizer;
    uint64_t bytes = 0;
    if (o == NULL)
        return 0;
    for (size_t i = 0; i < o->slots; i++) {
        const struct slt_slot *slot = &o->slot[i];
        const int64_t n = slot->info.rows * slot->info.cols;
        const struct slt_tensor value = o->model->part[slot->part].value;
        if (slot->states > 0)
            bytes +=
                (uint64_t)n * slt_dtype_size(value.dtype) + (uint64_t)blocks_of(n) * sizeof(double);
    }
    return (uint64_t)(o->ranks - 1) * bytes;
}

// s->cut = the parts of total things that stand for so many elements each.
static const int64_t *cut_of(struct slt_shares *s, const struct slt_slot *slot, int64_t total,
                             int64_t each)
{
    for (int i = 0; i <= s->optimizer->ranks; i++)
        s->cut[i] = slt_slot_edge(s->optimizer, slot, i, total, each);
    return s->cut;
}

void slt_shares_reduce(struct slt_shares *s, int part, int64_t group)
{
    const struct slt_optimizer *o = s->optimizer;
    for (size_t i = 0; i < o->slots; i++) {
        const struct slt_slot *slot = &o->slot[i];
        if (slot->part == part && slot->states > 0)
            slt_reduction_add(s->reduction, slot->grad, group,
                              cut_of(s, slot, elements_of(slot->grad), 1));
    }
}

static void give(struct slt_shares *s, const struct slt_slot *slot, struct slt_tensor t,
                 int64_t each)
{
    const int64_t n = elements_of(t);
    slt_reduction_give(s->reduction, t, cut_of(s, slot, n, each));
}

// The sums of this rank's blocks of a gradient, beginning with block at of all.
static void add_squares(struct slt_shares *s, const struct slt_slot *slot, int64_t at)
{
    const struct slt_model *m = s->optimizer->model;
    const int64_t n = blocks_of(elements_of(slot->grad));
    const int64_t *cut = cut_of(s, slot, n, SLT_NORM_BLOCK);
    const int64_t first = cut[s->optimizer->rank], count = cut[s->optimizer->rank + 1] - first;
    const struct slt_tensor sums = slt_tensor_view(
        s->squares.buffer, s->squares.offset + (uint64_t)(at + first) * sizeof(double), SLT_F64, 1,
        count);
    if (count > 0)
        m->ops->grad_squares(m->ctx, sums, slt_slot_own(slot, slot->grad));
}

void slt_shares_norm(struct slt_shares *s, int first, int count)
{
    const struct slt_optimizer *o = s->optimizer;
    struct slt_tensor squares = s->squares;
    int64_t at = 0;
    for (size_t i = 0; i < o->slots; i++) {
        const struct slt_slot *slot = &o->slot[i];
        if (slot->states == 0 || !slt_slot_in(slot, first, count))
            continue;
        const int64_t n = blocks_of(elements_of(slot->grad));
        add_squares(s, slot, at);
        give(s, slot,
             slt_tensor_view(squares.buffer, squares.offset + (uint64_t)at * sizeof(double),
                             SLT_F64, 1, n),
             SLT_NORM_BLOCK);
        at += n;
    }
    slt_reduction_finish(s->reduction);
    squares.cols = squares.ld = at;
    o->model->ops->norm_of_squares(o->model->ctx, o->model->scalars, squares);
}

void slt_shares_give(struct slt_shares *s, int first, int count, int64_t update)
{
    const struct slt_optimizer *o = s->optimizer;
    if (o == NULL)
        return;
    for (size_t i = 0; i < o->slots; i++) {
        const struct slt_slot *slot = &o->slot[i];
        if (slot->states == 0 || !slt_slot_in(slot, first, count))
            continue;
        give(s, slot, slot->param, 1);
        for (int k = 0; k < slot->states; k++)
            if (slot->state[k].everywhere && slt_projector_is_due(o, slot, update))
                give(s, slot, slot->state[k].tensor, 1);
    }
    slt_reduction_finish(s->reduction);
}
