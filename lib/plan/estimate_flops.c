// FLOPs of training per token, from the routes that the model's own layout chooses.
#include "slt/estimate.h"
#include "train/trainer.h"

// Called at the end of the model's layout, when every group has its route.
static int count(struct slt_model *m, void *user, struct slt_error *err)
{
    struct slt_flops *f = user;
    const struct slt_config *c = &m->config;
    const double t = (double)(m->attention.batch * m->attention.seq);
    const double layers = (double)c->num_hidden_layers;
    const double attention =
        6 * (double)m->attention.seq * (double)c->num_attention_heads * (double)c->head_dim;
    const double head = 6 * (double)c->vocab_size * (double)c->hidden_size;
    (void)err;
    f->model = f->computed = head + layers * attention;
    for (int k = 0; k < SLT_GROUP_KINDS; k++) {
        const struct slt_group *g = &m->layer[0].group[k];
        f->model += layers * 6 * (double)g->rows * (double)g->shape.in;
        f->computed += layers * g->kind->flops(g, t);
        f->route[k] = slt_group_route_name(g);
    }
    return 0;
}

int slt_estimate_flops(struct slt_flops *flops, struct slt_device *device,
                       const struct slt_config *config, const struct slt_train_options *options,
                       struct slt_error *err)
{
    struct slt_train_options o = *options;
    struct slt_plan plan;
    int rc = slt_train_resolve(&o, err);
    if (rc != 0)
        return rc;
    const struct slt_model_shape shape = {
        .batch = o.micro_batch, .seq = o.seq, .training = true, .route = slt_route_parse(o.route)};
    return slt_model_plan(&plan, device, config, SLT_F32, &shape, count, flops, err);
}
