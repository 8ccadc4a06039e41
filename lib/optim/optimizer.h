// Optimizers over a model's parts. One is a file pair and a row in the table of optimizer.c.
#ifndef SLT_OPTIM_OPTIMIZER_H
#define SLT_OPTIM_OPTIMIZER_H

#include "model/model.h"

#define SLT_OPTIMIZER_STATES 2 // the most state tensors of a part

struct slt_optimizer;

struct slt_optimizer_kind {
    const char *name;
    int states;                               // state tensors of each part, in the part's shape
    const char *suffix[SLT_OPTIMIZER_STATES]; // their names in files: "<parameter>.<suffix>"
    // Updates parts [first, first + count) from grad[part], reading the model's scalars.
    void (*step)(struct slt_optimizer *optimizer, const struct slt_tensor *grad, int first,
                 int count);
};

struct slt_optimizer {
    const struct slt_optimizer_kind *kind;
    struct slt_model *model;
    struct slt_adamw hyper;
    struct slt_tensor (*state)[SLT_OPTIMIZER_STATES]; // (parts)
    struct slt_adamw_item *item;                      // (parts): scratch of a multi-tensor step
};

extern const struct slt_optimizer_kind slt_optimizer_adamw;

// The row of a name; SLT_ERR_RANGE with the known names.
int slt_optimizer_find(const struct slt_optimizer_kind **kind, const char *name,
                       struct slt_error *err);
int slt_optimizer_init(struct slt_optimizer *optimizer, const struct slt_optimizer_kind *kind,
                       const struct slt_adamw *hyper, int parts, struct slt_error *err);
// Lays out the states in the moments region (runs in both passes of the model's layout).
void slt_optimizer_layout(struct slt_optimizer *optimizer, struct slt_model *model);
void slt_optimizer_free(struct slt_optimizer *optimizer);

#endif
