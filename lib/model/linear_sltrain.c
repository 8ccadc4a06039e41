// Sparse plus low-rank linears: W = s B A + S (SLTrain, arXiv 2406.02214).
#include "model/linear.h"

static void forward(const struct slt_pass *pass, const struct slt_group *g, struct slt_act y,
                    struct slt_act x)
{
    if (g->route == SLT_ROUTE_DENSE) {
        slt_dense_route_forward(pass, g, y, x);
        return;
    }
    slt_lowrank_forward(pass, g, y, 0, x);
    pass->ops->sparse_forward(pass->ctx, y, x, g->support, g->values);
}

static void backward(const struct slt_pass *pass, const struct slt_group *g, struct slt_act dx,
                     struct slt_act dy, struct slt_act x, struct slt_sink *sink)
{
    if (g->route == SLT_ROUTE_DENSE) {
        slt_dense_route_backward(pass, g, dx, dy, x, sink);
    } else {
        const struct slt_loan dv = sink->lend(sink, g->values_part);
        slt_lowrank_backward(pass, g, dx, 0, dy, x, sink);
        pass->ops->sparse_backward(pass->ctx, dx, dv.grad, dv.beta, dy, x, g->support, g->values);
    }
    sink->commit(sink, g->first_part, g->parts);
}

const struct slt_linear_kind slt_linear_sltrain = {
    .routes = true, .forward = forward, .backward = backward, .flops = slt_factors_flops};
