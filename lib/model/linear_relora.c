// ReLoRA's linears (Lialin et al. 2023): a frozen W plus s B A, which is merged into W from time to
// time (optim/relora.h).
#include "model/linear.h"

static void forward(const struct slt_pass *pass, const struct slt_group *g, struct slt_act y,
                    struct slt_act x)
{
    pass->ops->linear_forward(pass->ctx, y, 0, x, g->w, 1);
    slt_lowrank_forward(pass, g, y, 1, x);
}

static void backward(const struct slt_pass *pass, const struct slt_group *g, struct slt_act dx,
                     struct slt_act dy, struct slt_act x, struct slt_sink *sink)
{
    pass->ops->linear_backward_input(pass->ctx, dx, 0, dy, g->w, 1);
    slt_lowrank_backward(pass, g, dx, 1, dy, x, sink);
    sink->commit(sink, g->first_part, g->parts);
}

const struct slt_linear_kind slt_linear_relora = {
    .merges = true, .forward = forward, .backward = backward, .flops = slt_factors_flops};
