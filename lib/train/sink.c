// Gradient buffers, of a whole step or of one unit at a time.
#include <stdlib.h>
#include <string.h>

#include "train/sink.h"

static struct slt_loan lend(struct slt_sink *sink, int part)
{
    struct slt_grads *g = (struct slt_grads *)sink;
    const double beta = g->begun[part] ? 1 : 0;
    g->begun[part] = true;
    return (struct slt_loan){g->grad[part], beta};
}

static void commit(struct slt_sink *sink, int first, int count)
{
    const struct slt_grads *g = (struct slt_grads *)sink;
    if (g->on_commit != NULL)
        g->on_commit(g->user, first, count);
}

int slt_grads_init(struct slt_grads *g, int parts, bool shared, struct slt_error *err)
{
    *g = (struct slt_grads){.sink = {lend, commit}, .shared = shared};
    g->grad = calloc((size_t)parts, sizeof *g->grad);
    g->begun = calloc((size_t)parts, sizeof *g->begun);
    if (g->grad != NULL && g->begun != NULL)
        return 0;
    slt_grads_free(g);
    return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the list of gradients");
}

static struct slt_tensor own_buffer(struct slt_model *model, int part)
{
    const struct slt_tensor v = model->part[part].value;
    return slt_memory_tensor(&model->memory, SLT_REGION_GRADIENTS, model->dtype, v.rows, v.cols);
}

static bool keeps_own(const struct slt_model *model, int part)
{
    return part == model->head_part && part == model->embedding_part;
}

// Views of one piece of memory, as large as the largest unit.
static void layout_shared(struct slt_grads *g, struct slt_model *model)
{
    struct slt_buffer *buffer = model->memory.buffer[SLT_REGION_GRADIENTS];
    uint64_t most = 0, at = 0;
    for (int i = 0; i < model->part_count; i++) {
        const struct slt_tensor v = model->part[i].value;
        if (model->part[i].frozen)
            continue;
        if (keeps_own(model, i)) {
            g->grad[i] = own_buffer(model, i);
            continue;
        }
        at = model->part[i].unit == i ? 0 : at;
        g->grad[i] = slt_tensor_view(buffer, at, model->dtype, v.rows, v.cols);
        at += slt_memory_rounded((uint64_t)(v.rows * v.cols) * slt_dtype_size(model->dtype));
        most = at > most ? at : most;
    }
    const uint64_t start = slt_memory_take(&model->memory, SLT_REGION_GRADIENTS, most);
    for (int i = 0; i < model->part_count; i++)
        if (!model->part[i].frozen && !keeps_own(model, i))
            g->grad[i].offset += start;
}

void slt_grads_layout(struct slt_grads *g, struct slt_model *model)
{
    if (g->shared) {
        layout_shared(g, model);
        return;
    }
    for (int i = 0; i < model->part_count; i++)
        if (!model->part[i].frozen)
            g->grad[i] = own_buffer(model, i);
}

void slt_grads_begin(struct slt_grads *g, int parts)
{
    memset(g->begun, 0, (size_t)parts * sizeof *g->begun);
}

void slt_grads_free(struct slt_grads *g)
{
    free(g->grad);
    free(g->begun);
    g->grad = NULL;
    g->begun = NULL;
}
