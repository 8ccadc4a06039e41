// Full-rank linears: y = x W^T.
#include "model/linear.h"

static void forward(const struct slt_pass *pass, const struct slt_group *g, struct slt_act y,
                    struct slt_act x)
{
    pass->ops->linear_forward(pass->ctx, y, 0, x, g->w, 1);
}

// dW of each member in its subspace without dW itself: G P^T = dy^T (x P^T), P G = (dy P^T)^T x.
static void backward_projected(const struct slt_pass *pass, const struct slt_group *g,
                               struct slt_act dy, struct slt_act x, const struct slt_loan *dw)
{
    for (int m = 0, first = 0; m < g->shape.members; first += (int)g->shape.out[m++]) {
        const struct slt_projection *in = &dw->projection[m];
        const struct slt_act dy_m = slt_act_slice(dy, first, g->own[m]);
        const struct slt_act h = slt_act_slice(pass->scratch.dh, 0, in->p.rows);
        pass->ops->linear_forward(pass->ctx, h, 0, in->right ? x : dy_m, in->p, 1);
        pass->ops->linear_backward_weight(pass->ctx, in->low, dw->beta, in->right ? dy_m : h,
                                          in->right ? h : x, 1);
    }
}

static void backward(const struct slt_pass *pass, const struct slt_group *g, struct slt_act dx,
                     struct slt_act dy, struct slt_act x, struct slt_sink *sink)
{
    const struct slt_loan dw = sink->lend(sink, g->w_part);
    if (dw.projection != NULL)
        backward_projected(pass, g, dy, x, &dw);
    else if (dw.grad.buffer != NULL)
        pass->ops->linear_backward_weight(pass->ctx, dw.grad, dw.beta, dy, x, 1);
    pass->ops->linear_backward_input(pass->ctx, dx, 0, dy, g->w, 1);
    sink->commit(sink, g->first_part, g->parts);
}

static double flops(const struct slt_group *g, double tokens)
{
    (void)tokens;
    return 6 * (double)g->outputs * (double)g->shape.in;
}

const struct slt_linear_kind slt_linear_full = {
    .forward = forward, .backward = backward, .flops = flops};
