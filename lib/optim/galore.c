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

#include "linalg/subspace.h"
#include "optim/projected.h"

static bool is_projected(const struct slt_slot *slot)
{
    return slot->info.role == SLT_ROLE_WEIGHT && !slot->info.frozen;
}

// The rank that is asked for; it may be more than a matrix has.
static int64_t wanted_rank(const struct slt_optimizer_options *o, const struct slt_config *c)
{
    return o->galore_rank > 0 ? o->galore_rank : c->hidden_size / 4;
}

static int64_t rank_of(const struct slt_optimizer *o, const struct slt_param_info *p)
{
    const int64_t rank = wanted_rank(&o->options, &o->model->config);
    const int64_t least = p->rows < p->cols ? p->rows : p->cols;
    return rank < least ? rank : least;
}

// Refreshes all at once need all gradients whole at once.
static int64_t accumulates(const struct slt_optimizer_options *o, const struct slt_config *c,
                           bool whole_norm)
{
    const int64_t rank = wanted_rank(o, c);
    if (!o->galore_stagger || whole_norm)
        return 0;
    return rank < c->hidden_size ? rank : c->hidden_size; // a side of every linear
}

static bool projects_right(const struct slt_param_info *p)
{
    return p->rows >= p->cols;
}

// The shape of a slot's gradient in the subspace.
static void low_shape(const struct slt_optimizer *o, const struct slt_param_info *p, int64_t *rows,
                      int64_t *cols)
{
    *rows = projects_right(p) ? p->rows : rank_of(o, p);
    *cols = projects_right(p) ? rank_of(o, p) : p->cols;
}

static void plan(const struct slt_optimizer *o, struct slt_slot *slot)
{
    const struct slt_param_info *p = &slot->info;
    int64_t rows = p->rows, cols = p->cols;
    if (is_projected(slot))
        low_shape(o, p, &rows, &cols);
    slt_slot_add_moments(o, slot, rows, cols);
    if (!is_projected(slot))
        return;
    slot->whole = true;
    slt_slot_add(slot, "projector", slt_optimizer_is_half(o) ? SLT_BF16 : SLT_F32, rank_of(o, p),
                 projects_right(p) ? p->cols : p->rows);
    slot->state[slot->states - 1].everywhere = true;
}

// Two scratches, of the range finder; then the first is of the projected gradient and its step, the
// second of a BF16 projector in F32.
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

// ---- Projectors ----

static bool projection(const struct slt_optimizer *o, const struct slt_slot *slot,
                       struct slt_projection *in)
{
    int64_t rows, cols;
    if (!is_projected(slot))
        return false;
    low_shape(o, &slot->info, &rows, &cols);
    *in = (struct slt_projection){.p = slt_slot_state(slot, "projector"),
                                  .right = projects_right(&slot->info),
                                  .low = slt_tensor_view(NULL, 0, SLT_F32, rows, cols)};
    return true;
}

static int64_t gap(const struct slt_optimizer *o)
{
    return o->options.galore_gap;
}

// Spread over the gap, unless --galore-no-stagger is given: then all at its end.
static int64_t due_at(const struct slt_optimizer *o, const struct slt_slot *slot)
{
    int64_t number = 0, count = 0;
    for (size_t i = 0; i < o->slots; i++) {
        number = &o->slot[i] == slot ? count : number;
        count += is_projected(&o->slot[i]);
    }
    // number * gap / count without leaving 64 bits
    const int64_t whole = gap(o) / count, rest = gap(o) % count;
    const int64_t offset = o->options.galore_stagger ? number * whole + number * rest / count : 0;
    return gap(o) - offset;
}

static int refresh(struct slt_optimizer *o, const struct slt_slot *slot, struct slt_tensor gradient,
                   int64_t done, struct slt_error *err)
{
    const struct slt_model *m = o->model;
    const struct slt_tensor p = slt_slot_state(slot, "projector");
    const bool right = projects_right(&slot->info);
    char name[SLT_TENSOR_NAME + 32];
    snprintf(name, sizeof name, "%s %lld", slot->info.name, (long long)done);
    const struct slt_subspace s = {m->ops,
                                   m->ctx,
                                   {o->scratch[0], o->scratch[1]},
                                   slt_random_key("slt-galore-1", name, o->seed)};
    int rc = o->options.galore_svd == SLT_GALORE_EXACT
                 ? slt_subspace_exact(&s, p, gradient, right, err)
                 : slt_subspace_randomized(&s, p, gradient, right, err);
    return rc == 0 ? 0 : slt_error_prefix(err, rc, "the gradient of '%s'", slot->info.name);
}

// ---- Steps ----

// A scratch in the shape of t.
static struct slt_tensor like(struct slt_tensor scratch, struct slt_tensor t)
{
    return slt_tensor_view(scratch.buffer, scratch.offset, SLT_F32, t.rows, t.cols);
}

// A projector beside a factor of this type: itself, or a copy.
static struct slt_tensor projector_in(struct slt_optimizer *o, struct slt_tensor p,
                                      enum slt_dtype dtype)
{
    if (p.dtype == dtype)
        return p;
    const struct slt_tensor copy = like(o->scratch[1], p);
    o->model->ops->convert(o->model->ctx, copy, p, NULL);
    return copy;
}

static void project(struct slt_optimizer *o, const struct slt_projection *in, struct slt_tensor g)
{
    struct slt_model *m = o->model;
    const struct slt_tensor p = projector_in(o, in->p, SLT_F32);
    const struct slt_tensor low = in->low.dtype == SLT_F32 ? in->low : like(o->scratch[0], in->low);
    if (in->right)
        m->ops->matmul(m->ctx, low, 0, g, false, p, true, 1);
    else
        m->ops->matmul(m->ctx, low, 0, p, false, g, false, 1);
    if (in->low.dtype != SLT_F32)
        m->ops->convert(m->ctx, in->low, low, NULL);
}

// Adam's step in the subspace, which takes the place of the gradient there.
static struct slt_adam_item low_item(const struct slt_slot *slot, struct slt_tensor low)
{
    struct slt_adam_item item = slt_slot_item(slot, low, low);
    item.direction = low;
    return item;
}

// W -= the step, projected back.
static void subtract(struct slt_optimizer *o, const struct slt_slot *slot, struct slt_tensor step,
                     int64_t done)
{
    struct slt_model *m = o->model;
    struct slt_projection in;
    projection(o, slot, &in);
    const struct slt_tensor w = slt_optimizer_open(o, slot), p = projector_in(o, in.p, step.dtype);
    if (in.right)
        m->ops->matmul(m->ctx, w, 1, step, false, p, false, -1);
    else
        m->ops->matmul(m->ctx, w, 1, p, true, step, false, -1);
    slt_optimizer_close(o, slot, w, done);
}

// One after the other, since whole gradients are projected into the same scratch.
static int step_whole(struct slt_optimizer *o, const struct slt_slot *slot, int64_t done,
                      struct slt_error *err)
{
    int rc = slt_projector_is_due(o, slot, done) ? refresh(o, slot, slot->grad, done, err) : 0;
    if (rc != 0)
        return rc;
    struct slt_projection in;
    projection(o, slot, &in);
    in.low = like(o->scratch[0], in.low);
    project(o, &in, slot->grad);
    const struct slt_adam_item item = low_item(slot, in.low);
    slt_optimizer_adam(o, slot, &item, &o->hyper, done);
    subtract(o, slot, in.low, done);
    return 0;
}

static bool takes_part(const struct slt_slot *slot, int first, int count)
{
    return slt_slot_is_own(slot) && slt_slot_in(slot, first, count);
}

// Weight decay of the matrices, which have moved.
static void decay(struct slt_optimizer *o, int first, int count, int64_t done)
{
    for (size_t i = 0; i < o->slots; i++) {
        const struct slt_slot *slot = &o->slot[i];
        const struct slt_adam_item item = {.param = slot->param,
                                           .master = slot->master,
                                           .rate = slot->rate,
                                           .rounding = slot->rounding};
        if (takes_part(slot, first, count) && is_projected(slot))
            slt_optimizer_add(o, slot, &item, done);
    }
    slt_optimizer_flush(o);
}

static int step(struct slt_optimizer *o, int first, int count, int64_t done, struct slt_error *err)
{
    int rc = 0;
    o->hyper.eps_corrected = false;
    o->hyper.scale = o->options.galore_scale;
    for (size_t i = 0; rc == 0 && i < o->slots; i++) {
        const struct slt_slot *slot = &o->slot[i];
        if (!takes_part(slot, first, count))
            continue;
        if (is_projected(slot) && !slot->projected) {
            rc = step_whole(o, slot, done, err);
            continue;
        }
        const struct slt_adam_item item = is_projected(slot)
                                              ? low_item(slot, slot->grad)
                                              : slt_slot_item(slot, slot->param, slot->grad);
        slt_optimizer_add(o, slot, &item, done);
    }
    slt_optimizer_flush(o);
    for (size_t i = 0; rc == 0 && i < o->slots; i++)
        if (takes_part(&o->slot[i], first, count) && o->slot[i].projected)
            subtract(o, &o->slot[i], o->slot[i].grad, done);
    if (rc == 0 && o->hyper.weight_decay != 0)
        decay(o, first, count, done);
    return rc;
}

#define TRAITS (SLT_TRAIT_SUBSPACE | SLT_TRAIT_SECOND_MOMENT)

static const struct slt_optimizer_subspace subspace = {accumulates, projection, due_at,
                                                       gap,         refresh,    project};

#define GALORE                                                                                     \
    .eps = 1e-6, .with_codes = SLT_OPTIMIZER_GALORE8BIT, .decay_last = true, .plan = plan,         \
    .layout = layout, .step = step, .subspace = &subspace

const struct slt_optimizer_kind slt_optimizer_galore = {GALORE, .traits = TRAITS};
const struct slt_optimizer_kind slt_optimizer_galore8bit = {GALORE,
                                                            .traits = TRAITS | SLT_TRAIT_CODES};
