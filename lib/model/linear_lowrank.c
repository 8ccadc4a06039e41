// Low-rank linears: W = s B A, and the low-rank part of sltrain's factored route.
#include "model/linear.h"

// Member m's features of h or dh (T, members r).
static struct slt_act member_h(const struct slt_group *g, struct slt_act h, int m)
{
    return slt_act_slice(h, m * g->rank, g->rank);
}

void slt_lowrank_forward(const struct slt_pass *pass, const struct slt_group *g, struct slt_act y,
                         double beta, struct slt_act x)
{
    pass->ops->linear_forward(pass->ctx, g->h, 0, x, g->a, 1);
    for (int m = 0, first = 0; m < g->shape.members; first += (int)g->shape.out[m++])
        pass->ops->linear_forward(pass->ctx, slt_act_slice(y, first, g->shape.out[m]), beta,
                                  member_h(g, g->h, m),
                                  slt_tensor_rows(g->b, first, g->shape.out[m]), g->scale);
}

void slt_lowrank_backward(const struct slt_pass *pass, const struct slt_group *g, struct slt_act dx,
                          double beta, struct slt_act dy, struct slt_act x, struct slt_sink *sink)
{
    const struct slt_loan da = sink->lend(sink, g->a_part);
    const struct slt_loan db = sink->lend(sink, g->b_part);
    const struct slt_act dh = slt_act_slice(pass->scratch.dh, 0, g->shape.members * g->rank);
    for (int m = 0, first = 0; m < g->shape.members; first += (int)g->shape.out[m++]) {
        const struct slt_act dy_m = slt_act_slice(dy, first, g->shape.out[m]);
        const struct slt_tensor b_m = slt_tensor_rows(g->b, first, g->shape.out[m]);
        const struct slt_tensor db_m = slt_tensor_rows(db.grad, first, g->shape.out[m]);
        if (db_m.buffer != NULL)
            pass->ops->linear_backward_weight(pass->ctx, db_m, db.beta, dy_m, member_h(g, g->h, m),
                                              g->scale);
        pass->ops->linear_backward_input(pass->ctx, member_h(g, dh, m), 0, dy_m, b_m, g->scale);
    }
    if (da.grad.buffer != NULL)
        pass->ops->linear_backward_weight(pass->ctx, da.grad, da.beta, dh, x, 1);
    pass->ops->linear_backward_input(pass->ctx, dx, beta, dh, g->a, 1);
}

static void forward(const struct slt_pass *pass, const struct slt_group *g, struct slt_act y,
                    struct slt_act x)
{
    if (g->route == SLT_ROUTE_DENSE)
        slt_dense_route_forward(pass, g, y, x);
    else
        slt_lowrank_forward(pass, g, y, 0, x);
}

static void backward(const struct slt_pass *pass, const struct slt_group *g, struct slt_act dx,
                     struct slt_act dy, struct slt_act x, struct slt_sink *sink)
{
    if (g->route == SLT_ROUTE_DENSE)
        slt_dense_route_backward(pass, g, dx, dy, x, sink);
    else
        slt_lowrank_backward(pass, g, dx, 0, dy, x, sink);
    sink->commit(sink, g->first_part, g->parts);
}

const struct slt_linear_kind slt_linear_lowrank = {
    .routes = true, .forward = forward, .backward = backward, .flops = slt_factors_flops};
