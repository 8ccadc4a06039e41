// The dense route of sparse plus low-rank groups, and the choice between the routes.
//
// Dense: build W = s B A + S in a scratch that all groups share, then compute as a full-rank
// linear; backward forms G = dy^T x in a second scratch and reads the factors' gradients off it: dB
// = s G A^T, dA = s B^T G, dS = G at the support.
#include "model/linear.h"

#define DECLARE(id, name) extern const struct slt_linear_kind slt_linear_##name;
#define KIND(id, name)    [SLT_##id] = &slt_linear_##name,
SLT_METHODS(DECLARE)

const struct slt_linear_kind *slt_linear_kind(enum slt_method method)
{
    static const struct slt_linear_kind *const kinds[] = {SLT_METHODS(KIND)};
    return kinds[method];
}

const char *slt_group_route_name(const struct slt_group *g)
{
    return g->rank == 0 ? "full" : g->route == SLT_ROUTE_DENSE ? "dense" : "factored";
}

// A view of the shared scratch in the group's shape.
static struct slt_tensor dense_view(const struct slt_group *g, struct slt_tensor scratch)
{
    struct slt_tensor view =
        slt_tensor_view(scratch.buffer, scratch.offset, scratch.dtype, g->rows, g->shape.in);
    view.ld = slt_dense_ld(g->shape.in);
    return view;
}

// Fills w (rows, in) with s B A + S.
static void build_dense(const struct slt_pass *pass, const struct slt_group *g, struct slt_tensor w)
{
    const double beta = g->support.nnz > 0 ? 1 : 0;
    if (g->support.nnz > 0)
        pass->ops->sparse_scatter(pass->ctx, w, g->support, g->values);
    for (int m = 0, first = 0; m < g->shape.members; first += (int)g->shape.out[m++])
        pass->ops->matmul(pass->ctx, slt_tensor_rows(w, first, g->shape.out[m]), beta,
                          slt_tensor_rows(g->b, first, g->shape.out[m]), false,
                          slt_tensor_rows(g->a, m * g->rank, g->rank), false, g->scale);
}

void slt_dense_route_forward(const struct slt_pass *pass, const struct slt_group *g,
                             struct slt_act y, struct slt_act x)
{
    const struct slt_tensor w = dense_view(g, pass->scratch.w);
    build_dense(pass, g, w);
    pass->ops->linear_forward(pass->ctx, y, 0, x, w, 1);
}

void slt_dense_route_backward(const struct slt_pass *pass, const struct slt_group *g,
                              struct slt_act dx, struct slt_act dy, struct slt_act x,
                              struct slt_sink *sink)
{
    const struct slt_tensor w = dense_view(g, pass->scratch.w), dw = dense_view(g, pass->scratch.g);
    build_dense(pass, g, w);
    pass->ops->linear_backward_weight(pass->ctx, dw, 0, dy, x, 1);
    pass->ops->linear_backward_input(pass->ctx, dx, 0, dy, w, 1);
    const struct slt_loan da = sink->lend(sink, g->a_part);
    const struct slt_loan db = sink->lend(sink, g->b_part);
    for (int m = 0, first = 0; m < g->shape.members; first += (int)g->shape.out[m++]) {
        const struct slt_tensor dw_m = slt_tensor_rows(dw, first, g->shape.out[m]);
        const struct slt_tensor a_m = slt_tensor_rows(g->a, m * g->rank, g->rank);
        const struct slt_tensor b_m = slt_tensor_rows(g->b, first, g->shape.out[m]);
        if (db.grad.buffer != NULL)
            pass->ops->matmul(pass->ctx, slt_tensor_rows(db.grad, first, g->shape.out[m]), db.beta,
                              dw_m, false, a_m, true, g->scale);
        if (da.grad.buffer != NULL)
            pass->ops->matmul(pass->ctx, slt_tensor_rows(da.grad, m * g->rank, g->rank), da.beta,
                              b_m, true, dw_m, false, g->scale);
    }
    if (g->support.nnz > 0) {
        const struct slt_loan dv = sink->lend(sink, g->values_part);
        if (dv.grad.buffer != NULL)
            pass->ops->sparse_gather(pass->ctx, dv.grad, dv.beta, dw, g->support);
    }
}

double slt_factors_flops(const struct slt_group *g, double tokens)
{
    const double rows = (double)g->outputs, in = (double)g->shape.in, r = (double)g->rank;
    if (g->route == SLT_ROUTE_DENSE)
        return 6 * rows * in + 8 * r * rows * in / tokens;
    return 6 * (r * (rows + g->shape.members * in) + (double)g->support.nnz) +
           4 * rows * (double)g->w.cols;
}

enum slt_route slt_route_choose(const struct slt_group *g, int64_t tokens,
                                const struct slt_route_cost *cost)
{
    const double t = (double)tokens, r = (double)g->rank, in = (double)g->shape.in;
    const double rows = (double)g->outputs, nnz = (double)g->support.nnz;
    const double dense = 3 * t * rows * in + 4 * r * rows * in + cost->element * rows * in;
    const double position =
        slt_csr_has_bands(&g->support) ? cost->band_position * t : cost->position * t + cost->order;
    const double factored = 3 * t * r * (rows + g->shape.members * in) + position * nnz;
    return factored <= dense ? SLT_ROUTE_FACTORED : SLT_ROUTE_DENSE;
}
