// Gradients in an optimizer's subspace: projected as they are formed, or whole where a projector is
// due.
#include <math.h>
#include <stdlib.h>

#include "optim/projected.h"

struct slt_projected_part {
    int slots, first;     // projected slots of the part (0: it is not projected), the first of them
    bool whole;           // in this update, since a projector is due
    bool first_time;      // in this micro-batch, the first one of its group in the first update
    enum slt_dtype dtype; // of its projected gradients
    struct slt_tensor at, low; // the whole gradient; the projected ones of its slots together
};

// ---- Layout ----

int slt_projected_init(struct slt_projected *p, const struct slt_model *model,
                       struct slt_optimizer *optimizer, enum slt_dtype dtype, struct slt_error *err)
{
    *p = (struct slt_projected){.optimizer = optimizer, .dtype = dtype};
    if (optimizer == NULL)
        return 0;
    p->part = calloc((size_t)model->part_count, sizeof *p->part);
    p->low = calloc(optimizer->slots, sizeof *p->low);
    p->due = calloc(optimizer->slots, sizeof *p->due);
    if (p->part != NULL && p->low != NULL && p->due != NULL)
        return 0;
    return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the list of projected gradients");
}

void slt_projected_free(struct slt_projected *p)
{
    free(p->part);
    free(p->low);
    free(p->due);
    p->part = NULL;
    p->low = NULL;
    p->due = NULL;
}

bool slt_projected_has(const struct slt_projected *p, int part)
{
    return p->optimizer != NULL && p->part[part].slots > 0;
}

struct slt_tensor slt_projected_low(const struct slt_projected *p, int part)
{
    return p->part[part].low;
}

static struct slt_slot *slot_of(const struct slt_projected *p,
                                const struct slt_projected_part *part, int member)
{
    return &p->optimizer->slot[part->first + member];
}

// Members of a group follow each other.
void slt_projected_find(struct slt_projected *p, const struct slt_model *model)
{
    if (p->optimizer == NULL)
        return;
    for (int i = 0; i < model->part_count; i++)
        p->part[i] = (struct slt_projected_part){.dtype = p->dtype};
    for (size_t i = 0; i < p->optimizer->slots; i++) {
        const struct slt_slot *slot = &p->optimizer->slot[i];
        struct slt_projected_part *part = &p->part[slot->part];
        if (!p->optimizer->kind->subspace->projection(p->optimizer, slot, &p->low[i]))
            continue;
        p->due[i] = p->optimizer->kind->subspace->due_at(p->optimizer, slot);
        if (part->slots++ == 0)
            part->first = (int)i;
        if (p->low[i].low.cols % 8 != 0)
            part->dtype = model->dtype;
    }
}

static bool is_at(int64_t update, int64_t due, int64_t gap)
{
    return update == 0 || (update >= due && (update - due) % gap == 0);
}

bool slt_projector_is_due(const struct slt_optimizer *o, const struct slt_slot *slot,
                          int64_t update)
{
    return is_at(update, o->kind->subspace->due_at(o, slot), o->kind->subspace->gap(o));
}

// Whether a projector of the part is due.
static bool is_due(const struct slt_projected *p, const struct slt_projected_part *part,
                   int64_t update)
{
    const int64_t gap = p->optimizer->kind->subspace->gap(p->optimizer);
    bool due = false;
    for (int k = 0; k < part->slots; k++)
        due |= is_at(update, p->due[part->first + k], gap);
    return due;
}

static uint64_t whole_bytes(const struct slt_model *model, int part)
{
    const struct slt_tensor v = model->part[part].value;
    return slt_memory_rounded((uint64_t)(v.rows * v.cols) * slt_dtype_size(model->dtype));
}

// The most that whole gradients take in one update.
static uint64_t area_bytes(const struct slt_projected *p, const struct slt_model *model)
{
    uint64_t most = 0;
    for (int i = 0; i < model->part_count; i++)
        if (p->part[i].slots > 0 && whole_bytes(model, i) > most) // in the first update
            most = whole_bytes(model, i);
    // Later in those updates of a gap in which some slot is due.
    for (size_t k = 0; k < p->optimizer->slots; k++) {
        uint64_t sum = 0;
        for (int i = 0; p->due[k] > 0 && i < model->part_count; i++)
            sum += p->part[i].slots > 0 && is_due(p, &p->part[i], p->due[k]) ? whole_bytes(model, i)
                                                                             : 0;
        most = sum > most ? sum : most;
    }
    return most;
}

// Views of the projected gradients of a part's slots, one after the other from offset on. Returns
// their elements.
static int64_t view_slots(struct slt_projected *p, const struct slt_model *model,
                          struct slt_projected_part *part, uint64_t offset)
{
    struct slt_buffer *buffer = model->memory.buffer[SLT_REGION_GRADIENTS];
    int64_t all = 0;
    for (int k = 0; k < part->slots; k++) {
        struct slt_tensor *low = &p->low[part->first + k].low;
        *low = slt_tensor_view(buffer, offset + (uint64_t)all * slt_dtype_size(part->dtype),
                               part->dtype, low->rows, low->cols);
        all += low->rows * low->cols;
    }
    part->low = slt_tensor_view(buffer, offset, part->dtype, 1, all);
    return all;
}

void slt_projected_layout(struct slt_projected *p, struct slt_model *model,
                          const struct slt_tensor *whole)
{
    if (p->optimizer == NULL)
        return;
    uint64_t most = 0;
    for (int i = 0; i < model->part_count; i++) {
        struct slt_projected_part *part = &p->part[i];
        if (part->slots == 0)
            continue;
        const struct slt_tensor v = model->part[i].value;
        part->at = whole != NULL ? whole[i]
                                 : slt_tensor_view(model->memory.buffer[SLT_REGION_GRADIENTS], 0,
                                                   model->dtype, v.rows, v.cols);
        const uint64_t bytes =
            (uint64_t)view_slots(p, model, part, 0) * slt_dtype_size(part->dtype);
        if (whole == NULL)
            view_slots(p, model, part,
                       slt_memory_take(&model->memory, SLT_REGION_GRADIENTS, bytes));
        most = bytes > most ? bytes : most;
    }
    if (whole == NULL) {
        p->area = slt_memory_take(&model->memory, SLT_REGION_GRADIENTS, area_bytes(p, model));
        return;
    }
    const uint64_t shared = slt_memory_take(&model->memory, SLT_REGION_GRADIENTS, most);
    for (int i = 0; i < model->part_count; i++)
        view_slots(p, model, &p->part[i], shared);
    p->area = UINT64_MAX;
}

// ---- A step ----

void slt_projected_begin(struct slt_projected *p, int64_t update, struct slt_tensor *grad)
{
    if (p->optimizer == NULL)
        return;
    const struct slt_model *model = p->optimizer->model;
    uint64_t offset = p->area;
    p->update = update;
    p->failure.code = 0;
    for (int i = 0; i < model->part_count; i++) {
        struct slt_projected_part *part = &p->part[i];
        if (part->slots == 0)
            continue;
        part->whole = update > 0 && is_due(p, part, update);
        if (p->area != UINT64_MAX)
            part->at.offset = offset;
        offset += part->whole ? whole_bytes(model, i) : 0;
        grad[i] = part->whole ? part->at : part->low;
        for (int k = 0; k < part->slots; k++) {
            struct slt_slot *slot = slot_of(p, part, k);
            slot->projected = !part->whole;
            slot->grad = part->whole ? slt_slot_view(p->optimizer, slot, part->at)
                                     : p->low[part->first + k].low;
        }
    }
}

// Every group begins alike, with the whole gradient that the first one's projectors come from.
void slt_projected_begin_group(struct slt_projected *p, int64_t group)
{
    p->group = group;
    for (int i = 0; p->optimizer != NULL && i < p->optimizer->model->part_count; i++)
        p->part[i].first_time = p->update == 0 && p->part[i].slots > 0;
}

struct slt_loan slt_projected_lend(struct slt_projected *p, int i, struct slt_tensor grad,
                                   double beta)
{
    const struct slt_projected_part *part = &p->part[i];
    if (part->first_time)
        return (struct slt_loan){.grad = part->at};
    return (struct slt_loan){grad, beta, part->whole ? NULL : &p->low[part->first]};
}

// A tensor becomes what it is on rank 0.
static int share_tensor(struct slt_projected *p, struct slt_tensor t, struct slt_error *err)
{
    char bytes[1 << 14];
    const struct slt_model *m = p->optimizer->model;
    const uint64_t total = (uint64_t)(t.rows * t.cols) * slt_dtype_size(t.dtype);
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && p->ranks != NULL && at < total; at += sizeof bytes) {
        const uint64_t n = total - at < sizeof bytes ? total - at : sizeof bytes;
        m->ops->read(m->ctx, bytes, t.buffer, t.offset + at, n);
        rc = slt_ranks_broadcast(p->ranks, bytes, n, 0, err);
        m->ops->write(m->ctx, t.buffer, t.offset + at, bytes, n);
    }
    return rc;
}

// The slot's first projector: rank 0's, from the first micro-batch of the whole batch, whoever else
// shares it.
static int first_projector(struct slt_projected *p, const struct slt_slot *slot,
                           struct slt_tensor gradient, struct slt_tensor projector,
                           struct slt_error *err)
{
    int rc =
        slt_ranks_rank(p->ranks) == 0
            ? p->optimizer->kind->subspace->refresh(p->optimizer, slot, gradient, p->update, err)
            : 0;
    rc = slt_ranks_settle(p->ranks, rc, err);
    return rc == 0 ? share_tensor(p, projector, err) : rc;
}

// The first projector of a slot, and its gradient seen through it. A gradient that is not finite
// has none: one NaN makes the step be skipped.
void slt_projected_commit(struct slt_projected *p, int i)
{
    struct slt_projected_part *part = &p->part[i];
    struct slt_model *model = p->optimizer->model;
    if (!part->first_time)
        return;
    part->first_time = false;
    // Only a look: the step's own norms come later.
    double scalar[SLT_SCALARS];
    slt_model_get_scalars(model, scalar);
    model->ops->grad_norm(model->ctx, model->scalars, &part->at, 1);
    const bool finite = slt_model_get_scalar(model, SLT_SCALAR_SKIP) == 0;
    slt_model_set_scalars(model, scalar);
    if (p->group == 0) {
        p->has_projectors = finite;
        if (p->failure.code == 0)
            p->failure.code = slt_ranks_broadcast(p->ranks, &p->has_projectors,
                                                  sizeof p->has_projectors, 0, &p->failure);
    }
    for (int k = 0; k < part->slots; k++) {
        const struct slt_slot *slot = slot_of(p, part, k);
        const struct slt_tensor g = slt_slot_view(p->optimizer, slot, part->at);
        const struct slt_projection *in = &p->low[part->first + k];
        const float bad = NAN;
        if (p->group == 0 && p->has_projectors && p->failure.code == 0)
            p->failure.code = first_projector(p, slot, g, in->p, &p->failure);
        if (p->has_projectors && finite)
            p->optimizer->kind->subspace->project(p->optimizer, in, g);
        else
            slt_tensor_write(model, in->low, 0, &bad, 1);
    }
}
