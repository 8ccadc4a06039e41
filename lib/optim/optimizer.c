// The table of optimizers and what they share.
#include <stdlib.h>
#include <string.h>

#include "optim/optimizer.h"

static const struct slt_optimizer_kind *const kinds[] = {&slt_optimizer_adamw};

int slt_optimizer_find(const struct slt_optimizer_kind **kind, const char *name,
                       struct slt_error *err)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(name, kinds[i]->name) == 0) {
            *kind = kinds[i];
            return 0;
        }
    }
    return slt_error_set(err, SLT_ERR_RANGE, "unknown optimizer '%s' (known: adamw)", name);
}

int slt_optimizer_init(struct slt_optimizer *o, const struct slt_optimizer_kind *kind,
                       const struct slt_adamw *hyper, int parts, struct slt_error *err)
{
    *o = (struct slt_optimizer){.kind = kind, .hyper = *hyper};
    o->state = calloc((size_t)parts, sizeof *o->state);
    o->item = calloc((size_t)parts, sizeof *o->item);
    if (o->state != NULL && o->item != NULL)
        return 0;
    slt_optimizer_free(o);
    return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the optimizer's lists");
}

void slt_optimizer_layout(struct slt_optimizer *o, struct slt_model *model)
{
    o->model = model;
    for (int i = 0; i < model->part_count; i++) {
        const struct slt_tensor v = model->part[i].value;
        for (int k = 0; k < o->kind->states; k++)
            o->state[i][k] =
                slt_memory_tensor(&model->memory, SLT_REGION_MOMENTS, v.dtype, v.rows, v.cols);
    }
}

void slt_optimizer_free(struct slt_optimizer *o)
{
    free(o->state);
    free(o->item);
    o->state = NULL;
    o->item = NULL;
}
