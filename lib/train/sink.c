// Gradient buffers: of a whole step, of one unit at a time, or projected.
#include <stdlib.h>
#include <string.h>

#include "train/sink.h"

static struct slt_loan lend(struct slt_sink *sink, int part)
{
    struct slt_grads *g = (struct slt_grads *)sink;
    const double beta = g->begun[part] ? 1 : 0;
    g->begun[part] = true;
    if (slt_projected_has(&g->projected, part))
        return slt_projected_lend(&g->projected, part, g->grad[part], beta);
    return (struct slt_loan){.grad = g->grad[part], .beta = beta};
}

// The gradient of a part is complete but for other groups and ranks.
static void add_up(struct slt_grads *g, int part)
{
    if (g->shares.optimizer != NULL)
        slt_shares_reduce(&g->shares, part, g->group);
    else if (g->grad[part].buffer != NULL)
        slt_reduction_add(&g->reduction, g->grad[part], g->group, NULL);
}

static void commit(struct slt_sink *sink, int first, int count)
{
    struct slt_grads *g = (struct slt_grads *)sink;
    for (int i = first; i < first + count; i++)
        if (slt_projected_has(&g->projected, i))
            slt_projected_commit(&g->projected, i);
    for (int i = first; g->ends_group && i < first + count; i++)
        add_up(g, i);
    slt_ranks_tick(g->reduction.ranks);
    if (g->on_commit != NULL) {
        slt_reduction_finish(&g->reduction);
        g->on_commit(g->user, first, count);
    }
}

int slt_grads_init(struct slt_grads *g, const struct slt_model *model, bool shared,
                   enum slt_dtype matrices, struct slt_optimizer *optimizer, struct slt_error *err)
{
    const size_t parts = (size_t)model->part_count;
    *g = (struct slt_grads){.sink = {lend, commit}, .shared = shared, .matrices = matrices};
    g->grad = calloc(parts, sizeof *g->grad);
    g->begun = calloc(parts, sizeof *g->begun);
    int rc = g->grad != NULL && g->begun != NULL
                 ? slt_projected_init(&g->projected, model, optimizer, matrices, err)
                 : slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the list of gradients");
    if (rc != 0)
        slt_grads_free(g);
    return rc;
}

// Rows that are not multiples of 8 would begin in BF16 where no vector may.
static enum slt_dtype dtype_of(const struct slt_grads *g, const struct slt_model *model, int part)
{
    const struct slt_part *p = &model->part[part];
    const bool is_matrix =
        p->role == SLT_ROLE_WEIGHT || p->role == SLT_ROLE_LORA_A || p->role == SLT_ROLE_LORA_B;
    return is_matrix && p->value.cols % 8 == 0 && !slt_projected_has(&g->projected, part)
               ? g->matrices
               : model->dtype;
}

static struct slt_tensor own_buffer(const struct slt_grads *g, struct slt_model *model, int part)
{
    const struct slt_tensor v = model->part[part].value;
    return slt_memory_tensor(&model->memory, SLT_REGION_GRADIENTS, dtype_of(g, model, part), v.rows,
                             v.cols);
}

static bool keeps_own(const struct slt_model *model, int part)
{
    return part == model->head_part && part == model->embedding_part;
}

// Views of the same memory, as large as the largest unit.
static void layout_shared(struct slt_grads *g, struct slt_model *model)
{
    struct slt_buffer *buffer = model->memory.buffer[SLT_REGION_GRADIENTS];
    uint64_t most = 0, at = 0;
    for (int i = 0; i < model->part_count; i++) {
        const struct slt_tensor v = model->part[i].value;
        at = model->part[i].unit == i ? 0 : at;
        if (model->part[i].frozen)
            continue;
        if (keeps_own(model, i)) {
            g->grad[i] = own_buffer(g, model, i);
            continue;
        }
        g->grad[i] = slt_tensor_view(buffer, at, dtype_of(g, model, i), v.rows, v.cols);
        at += slt_memory_rounded((uint64_t)(v.rows * v.cols) * slt_dtype_size(g->grad[i].dtype));
        most = at > most ? at : most;
    }
    const uint64_t start = slt_memory_take(&model->memory, SLT_REGION_GRADIENTS, most);
    for (int i = 0; i < model->part_count; i++)
        if (!model->part[i].frozen && !keeps_own(model, i))
            g->grad[i].offset += start;
}

void slt_grads_layout(struct slt_grads *g, struct slt_model *model, int64_t groups, int64_t ranks)
{
    slt_projected_find(&g->projected, model);
    if (g->shared)
        layout_shared(g, model);
    for (int i = 0; !g->shared && i < model->part_count; i++)
        if (!model->part[i].frozen && !slt_projected_has(&g->projected, i))
            g->grad[i] = own_buffer(g, model, i);
    slt_projected_layout(&g->projected, model, g->shared ? g->grad : NULL);
    slt_reduction_layout(&g->reduction, groups, ranks, &model->memory);
    slt_shares_layout(&g->shares);
}

uint64_t slt_grads_bytes(const struct slt_grads *g, const struct slt_model *model)
{
    uint64_t all = 0;
    for (int i = 0; i < model->part_count; i++) {
        const struct slt_tensor t =
            slt_projected_has(&g->projected, i) ? slt_projected_low(&g->projected, i) : g->grad[i];
        all += model->part[i].frozen ? 0 : (uint64_t)(t.rows * t.cols) * slt_dtype_size(t.dtype);
    }
    return all;
}

void slt_grads_begin(struct slt_grads *g, int parts, int64_t update)
{
    slt_projected_begin(&g->projected, update, g->grad);
    slt_grads_begin_group(g, parts, 0);
}

void slt_grads_begin_group(struct slt_grads *g, int parts, int64_t group)
{
    memset(g->begun, 0, (size_t)parts * sizeof *g->begun);
    g->group = group;
    slt_projected_begin_group(&g->projected, group);
}

void slt_grads_free(struct slt_grads *g)
{
    slt_reduction_free(&g->reduction);
    slt_shares_free(&g->shares);
    slt_projected_free(&g->projected);
    free(g->grad);
    free(g->begun);
    g->grad = NULL;
    g->begun = NULL;
}
