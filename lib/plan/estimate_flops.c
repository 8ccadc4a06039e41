// FLOPs of training per token, from the routes that the model's own layout chooses.
#include "plan/estimate_time.h"
#include "slt/estimate.h"
#include "train/trainer.h"

static void count(struct slt_flops *f, const struct slt_model *m)
{
    const struct slt_config *c = &m->config;
    const double t = (double)(m->attention.batch * m->attention.seq);
    const double layers = (double)c->num_hidden_layers;
    const double attention =
        6 * (double)m->attention.seq * (double)c->num_attention_heads * (double)c->head_dim;
    const double head = 6 * (double)c->vocab_size * (double)c->hidden_size;
    f->model = f->computed = head + layers * attention;
    for (int64_t i = 0; i < slt_model_groups(m); i++) {
        const struct slt_group *g = slt_model_group(m, i);
        f->model += 6 * (double)g->outputs * (double)g->shape.in;
        f->computed += g->kind->flops(g, t);
    }
    for (int k = 0; k < SLT_GROUP_KINDS; k++)
        slt_model_route(f->route[k], m, (enum slt_group_kind)k);
}

int slt_estimate_run(struct slt_plan *plan, struct slt_flops *flops, struct slt_work *work,
                     struct slt_device *device, const struct slt_config *config,
                     const struct slt_train_options *options, struct slt_error *err)
{
    struct slt_trainer *t;
    int rc = slt_trainer_prepare(&t, device, config, options, NULL, SLT_F32, err);
    if (rc != 0)
        return rc;
    *plan = t->plan;
    count(flops, t->model);
    slt_work_count(work, t->model, &t->plan, t->share / t->plan.micro_batch);
    slt_trainer_free(t);
    return 0;
}
