// The gradient sink of a whole step.
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

// The update waits for the end of the step, so that there is nothing to do when a group is
// complete.
static void commit(struct slt_sink *sink, int first, int count)
{
    (void)sink;
    (void)first;
    (void)count;
}

int slt_grads_init(struct slt_grads *g, int parts, struct slt_error *err)
{
    *g = (struct slt_grads){.sink = {lend, commit}};
    g->grad = calloc((size_t)parts, sizeof *g->grad);
    g->begun = calloc((size_t)parts, sizeof *g->begun);
    if (g->grad != NULL && g->begun != NULL)
        return 0;
    slt_grads_free(g);
    return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the list of gradients");
}

void slt_grads_layout(struct slt_grads *g, struct slt_model *model)
{
    for (int i = 0; i < model->part_count; i++) {
        const struct slt_tensor v = model->part[i].value;
        if (!model->part[i].frozen)
            g->grad[i] =
                slt_memory_tensor(&model->memory, SLT_REGION_GRADIENTS, v.dtype, v.rows, v.cols);
    }
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
