// GaLore (Zhao et al. 2024): Adam in a low-rank subspace of the gradients of attention and MLP
// weights.
//
// Of a weight W (m, n) with gradient G: P holds the leading r singular vectors of G as rows, the
// right ones, (r, n), if m >= n, else the left ones, (r, m), and is worked out anew every gap
// updates. Adam's moments live on R = G P^T (m, r) or P G (r, n); its step N, without a
// bias-corrected eps, is projected back: W -= scale N P or scale P^T N. Weight decay comes last.
// Moments are kept when P changes. Other parameters take the same Adam without projection.
// galore8bit keeps the moments as 8-bit codes.
#include <stdio.h>
#include <string.h>

#include "linalg/subspace.h"
#include "optim/optimizer.h"

static bool is_projected(const struct slt_slot *slot)
{
    return slot->info.role == SLT_ROLE_WEIGHT;
}

static int64_t rank_of(const struct slt_optimizer *o, const struct slt_param_info *p)
{
    const int64_t least = p->rows < p->cols ? p->rows : p->cols;
    return o->options.galore_rank < least ? o->options.galore_rank : least;
}

static bool projects_right(const struct slt_param_info *p)
{
    return p->rows >= p->cols;
}

static void plan_slot(const struct slt_optimizer *o, struct slt_slot *slot, bool coded)
{
    const struct slt_param_info *p = &slot->info;
    if (!is_projected(slot)) {
        slt_slot_add_moments(o, slot, p->rows, p->cols, coded);
        return;
    }
    const int64_t r = rank_of(o, p);
    const bool right = projects_right(p);
    slt_slot_add_moments(o, slot, right ? p->rows : r, right ? r : p->cols, coded);
    slt_slot_add(slot, "projector", SLT_F32, r, right ? p->cols : p->rows);
}

static void plan(const struct slt_optimizer *o, struct slt_slot *slot)
{
    plan_slot(o, slot, false);
}

static void plan_coded(const struct slt_optimizer *o, struct slt_slot *slot)
{
    plan_slot(o, slot, true);
}

// Two scratches, of the range finder, then of the projected gradient and its step.
static void layout(struct slt_optimizer *o, struct slt_memory *memory)
{
    int64_t most = 0;
    for (size_t i = 0; i < o->slots; i++) {
        const struct slt_param_info *p = &o->slot[i].info;
        if (!is_projected(&o->slot[i]))
            continue;
        const int64_t need = slt_subspace_scratch(p->rows, p->cols, rank_of(o, p));
        most = need > most ? need : most;
    }
    for (int i = 0; i < 2; i++)
        o->scratch[i] = slt_memory_tensor(memory, SLT_REGION_WORKSPACE, SLT_F32, 1, most);
}

// Whether the projector of the number-th of so many projected weights is due: all at the first
// update, later, unless --galore-stagger is off, spread over the gap.
static bool is_due(const struct slt_optimizer *o, int64_t number, int64_t count, int64_t done)
{
    const int64_t gap = o->options.galore_gap;
    const int64_t offset = o->options.galore_stagger ? number * gap / count : 0;
    return done == 0 || (done + offset) % gap == 0;
}

static int refresh(struct slt_optimizer *o, const struct slt_slot *slot, int64_t done,
                   struct slt_error *err)
{
    const struct slt_model *m = o->model;
    const struct slt_tensor p = slot->state[slot->states - 1].tensor;
    const bool right = projects_right(&slot->info);
    char name[SLT_TENSOR_NAME + 32];
    snprintf(name, sizeof name, "%s %lld", slot->info.name, (long long)done);
    const struct slt_subspace s = {m->ops,
                                   m->ctx,
                                   {o->scratch[0], o->scratch[1]},
                                   slt_random_key("slt-galore-1", name, o->options.seed)};
    int rc = strcmp(o->options.galore_svd, "exact") == 0
                 ? slt_subspace_exact(&s, p, slot->grad, right, err)
                 : slt_subspace_randomized(&s, p, slot->grad, right, err);
    return rc == 0 ? 0 : slt_error_prefix(err, rc, "the gradient of '%s'", slot->info.name);
}

static void update_projected(struct slt_optimizer *o, const struct slt_slot *slot, int64_t done)
{
    struct slt_model *m = o->model;
    const struct slt_tensor p = slot->state[slot->states - 1].tensor;
    const bool right = projects_right(&slot->info);
    const int64_t rows = right ? slot->info.rows : p.rows, cols = right ? p.rows : slot->info.cols;
    const struct slt_tensor low =
        slt_tensor_view(o->scratch[0].buffer, o->scratch[0].offset, SLT_F32, rows, cols);
    const struct slt_tensor back =
        slt_tensor_view(o->scratch[1].buffer, o->scratch[1].offset, SLT_F32, rows, cols);
    struct slt_adam_item item = slt_slot_item(slot, low, low);
    const struct slt_adam_item decay = {.param = slot->param};
    item.direction = back;
    if (right)
        m->ops->matmul(m->ctx, low, 0, slot->grad, false, p, true, 1);
    else
        m->ops->matmul(m->ctx, low, 0, p, false, slot->grad, false, 1);
    slt_optimizer_adam(o, slot, &item, &o->hyper, done);
    const struct slt_tensor w = slt_model_unpack(m, slot->param);
    if (right)
        m->ops->matmul(m->ctx, w, 1, back, false, p, false, -1);
    else
        m->ops->matmul(m->ctx, w, 1, p, true, back, false, -1);
    if (w.buffer != slot->param.buffer)
        m->ops->convert(m->ctx, slot->param, w, NULL);
    if (o->hyper.weight_decay != 0)
        slt_optimizer_adam(o, slot, &decay, &o->hyper, done);
}

static int step(struct slt_optimizer *o, int first, int count, int64_t done, struct slt_error *err)
{
    int64_t number = 0, projected = 0;
    int rc = 0;
    o->hyper.eps_corrected = false;
    o->hyper.decay_last = true;
    o->hyper.scale = o->options.galore_scale;
    for (size_t i = 0; i < o->slots; i++)
        projected += is_projected(&o->slot[i]);
    for (size_t i = 0; rc == 0 && i < o->slots; i++) {
        const struct slt_slot *slot = &o->slot[i];
        const int64_t mine = is_projected(slot) ? number++ : 0;
        if (!slt_slot_in(slot, first, count))
            continue;
        if (!is_projected(slot)) {
            const struct slt_adam_item item = slt_slot_item(slot, slot->param, slot->grad);
            slt_optimizer_adam(o, slot, &item, &o->hyper, done);
            continue;
        }
        if (is_due(o, mine, projected, done))
            rc = refresh(o, slot, done, err);
        if (rc == 0)
            update_projected(o, slot, done);
    }
    return rc;
}

const struct slt_optimizer_kind slt_optimizer_galore = {"galore", plan, layout, step};
const struct slt_optimizer_kind slt_optimizer_galore8bit = {"galore8bit", plan_coded, layout, step};
