// Full-rank linears: y = x W^T.
#include "model/linear.h"

static void forward(const struct slt_pass *pass, const struct slt_group *g, struct slt_act y,
                    struct slt_act x)
{
    pass->ops->linear_forward(pass->ctx, y, 0, x, g->w, 1);
}

static void backward(const struct slt_pass *pass, const struct slt_group *g, struct slt_act dx,
                     struct slt_act dy, struct slt_act x, struct slt_sink *sink)
{
    const struct slt_loan dw = sink->lend(sink, g->first_part);
    pass->ops->linear_backward_weight(pass->ctx, dw.grad, dw.beta, dy, x, 1);
    pass->ops->linear_backward_input(pass->ctx, dx, 0, dy, g->w, 1);
    sink->commit(sink, g->first_part, g->parts);
}

const struct slt_linear_kind slt_linear_full = {SLT_FULL, forward, backward};
