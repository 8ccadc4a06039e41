// LLaMA: activations, forward and backward, written side by side.
//
// The residual stream is z; each norm fuses the addition of the branch before it:
//   z1 = z + down(previous layer), n1 = norm(z1); o-branch; z2 = z1 + o, n2 = norm(z2);
//   down-branch; ... zf = z + down(last layer), nf = norm(zf), logits = nf head^T.
#include "model/layout.h"

// ---- Activations ----

static int64_t qkv_features(const struct slt_config *c)
{
    return (c->num_attention_heads + 2 * c->num_key_value_heads) * c->head_dim;
}

// The features that a kind of group keeps in layers [first, last], at most.
static int64_t most_kept(const struct slt_model *m, int64_t first, int64_t last, int kind)
{
    int64_t most = 0;
    for (int64_t l = first; l <= last; l++) {
        const int64_t kept = slt_group_kept(&m->layer[l].group[kind]);
        most = kept > most ? kept : most;
    }
    return most;
}

// Everything a layer leaves behind, in memory of its own, or of all that share it.
static void layout_layer_acts(struct slt_model *m, int64_t l, int64_t t)
{
    const struct slt_config *c = &m->config;
    const int64_t d = c->hidden_size, heads = c->num_attention_heads;
    struct slt_layer_acts *s = &m->acts[l], *first = &m->acts[0];
    const bool all = l == 0 || m->recompute == SLT_RECOMPUTE_NONE;
    const bool shared = !m->training || m->recompute == SLT_RECOMPUTE_BLOCK;
    if (l > 0)
        *s = *first;
    if (!shared || l == 0) {
        s->qkv = slt_model_act(m, t, qkv_features(c));
        s->o = slt_model_act(m, t, heads * c->head_dim);
        s->z2 = slt_model_act(m, t, d);
        s->gu = slt_model_act(m, t, m->layer[l].group[SLT_GROUP_GATE_UP].rows);
        s->rstd1 = slt_model_kept(m, m->dtype, 1, t);
        s->rstd2 = slt_model_kept(m, m->dtype, 1, t);
        s->lse = slt_model_kept(m, m->dtype, heads, t);
        for (int k = 0; k < SLT_GROUP_KINDS; k++) {
            const int64_t kept = most_kept(m, l, shared ? c->num_hidden_layers - 1 : l, k);
            if (kept > 0)
                s->h[k] = slt_model_act(m, t, kept);
        }
    }
    s->z1 = slt_model_act(m, t, d);
    if (!all)
        return;
    s->n1 = slt_model_act(m, t, d);
    s->n2 = m->recompute == SLT_RECOMPUTE_NONE ? slt_model_act(m, t, d) : s->n1;
    s->a = slt_model_act(m, t, c->intermediate_size);
}

static void layout(struct slt_model *m, const struct slt_model_shape *shape)
{
    const struct slt_config *c = &m->config;
    const int64_t t = shape->batch * shape->seq, d = c->hidden_size;
    const int64_t heads = c->num_attention_heads * c->head_dim;
    for (int64_t l = 0; l < (m->training ? c->num_hidden_layers : 1); l++)
        layout_layer_acts(m, l, t);
    m->zf = slt_model_act(m, t, d);
    m->nf = slt_model_act(m, t, d);
    m->rstd_f = slt_model_kept(m, m->dtype, 1, t);
    m->branch = slt_model_act(m, t, d);
    if (m->training) {
        m->dres = slt_model_act(m, t, d);
        m->dn = slt_model_act(m, t, d);
        m->dqkv = slt_model_act(m, t, qkv_features(c));
        m->dbranch =
            slt_model_act(m, t, heads > c->intermediate_size ? heads : c->intermediate_size);
    }
    m->rope =
        slt_model_kept(m, m->dtype, c->head_dim, shape->cache > 0 ? shape->cache : shape->seq);
    if (shape->cache > 0)
        m->cache = slt_model_act(m, shape->cache,
                                 c->num_hidden_layers * 2 * c->num_key_value_heads * c->head_dim);
}

static void resize_layer(struct slt_layer_acts *s, int64_t t)
{
    struct slt_act *const acts[] = {&s->z1, &s->n1, &s->qkv, &s->o, &s->z2, &s->n2, &s->gu, &s->a};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        acts[i]->tokens = t;
    for (int k = 0; k < SLT_GROUP_KINDS; k++)
        s->h[k].tokens = t;
    s->rstd1.cols = s->rstd1.ld = s->rstd2.cols = s->rstd2.ld = s->lse.cols = s->lse.ld = t;
}

static void resize(struct slt_model *m, int64_t t)
{
    for (int64_t l = 0; l < (m->training ? m->config.num_hidden_layers : 1); l++)
        resize_layer(&m->acts[l], t);
    struct slt_act *const acts[] = {&m->zf, &m->nf,   &m->branch, &m->dres,
                                    &m->dn, &m->dqkv, &m->dbranch};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        acts[i]->tokens = t;
    m->rstd_f.cols = m->rstd_f.ld = t;
}

static struct slt_pass pass_of(const struct slt_model *m)
{
    return (struct slt_pass){m->ops, m->ctx, m->scratch};
}

static struct slt_layer_acts *acts_of(struct slt_model *m, int64_t layer)
{
    return &m->acts[m->training ? layer : 0];
}

// The group with its activations of this layer.
static const struct slt_group *bind(struct slt_model *m, int64_t layer, int kind)
{
    struct slt_group *g = &m->layer[layer].group[kind];
    g->h = slt_act_slice(acts_of(m, layer)->h[kind], 0, slt_group_kept(g));
    return m->act_dtype == SLT_BF16 ? g : slt_model_unpack_group(m, g);
}

static struct slt_tensor gain(const struct slt_model *m, const struct slt_layer *layer,
                              enum slt_norm_kind norm)
{
    return m->part[layer->norm_part[norm]].value;
}

// ---- Forward ----

// One layer up to the input of its down linear: z is the residual stream so far, r the branch to be
// added first (none before layer 0, and none where the stream of a kept z1 is worked out again).
static void layer_inner(struct slt_model *m, int64_t l, struct slt_act z, struct slt_act r)
{
    const struct slt_ops *ops = m->ops;
    const struct slt_pass pass = pass_of(m);
    const struct slt_layer *layer = &m->layer[l];
    const struct slt_layer_acts *s = acts_of(m, l);
    const double eps = m->config.rms_norm_eps;

    ops->rmsnorm_forward(m->ctx, s->n1, s->z1, s->rstd1, z, r, gain(m, layer, SLT_NORM_ATTENTION),
                         eps);
    const struct slt_group *g = bind(m, l, SLT_GROUP_QKV);
    g->kind->forward(&pass, g, s->qkv, s->n1);
    if (m->cache.buffer != NULL) {
        const int64_t kv = 2 * m->attention.kv_heads * m->attention.head_dim;
        ops->attention_cached(m->ctx, s->o, s->qkv, slt_act_slice(m->cache, l * kv, kv), m->rope,
                              m->attention);
    } else {
        ops->attention_forward(m->ctx, s->o, s->lse, s->qkv, m->rope, m->attention);
    }
    g = bind(m, l, SLT_GROUP_O);
    g->kind->forward(&pass, g, m->branch, s->o);
    ops->rmsnorm_forward(m->ctx, s->n2, s->z2, s->rstd2, s->z1, m->branch,
                         gain(m, layer, SLT_NORM_MLP), eps);
    g = bind(m, l, SLT_GROUP_GATE_UP);
    g->kind->forward(&pass, g, s->gu, s->n2);
    ops->swiglu_forward(m->ctx, s->a, s->gu);
}

// Leaves the branch of the down linear in m->branch.
static void layer_forward(struct slt_model *m, int64_t l, struct slt_act z, struct slt_act r)
{
    const struct slt_pass pass = pass_of(m);
    layer_inner(m, l, z, r);
    const struct slt_group *g = bind(m, l, SLT_GROUP_DOWN);
    g->kind->forward(&pass, g, m->branch, acts_of(m, l)->a);
}

static void forward(struct slt_model *m)
{
    const struct slt_act none = {0};
    m->ops->embedding_forward(m->ctx, acts_of(m, 0)->z1, m->part[m->embedding_part].value,
                              m->tokens);
    layer_forward(m, 0, acts_of(m, 0)->z1, none);
    for (int64_t l = 1; l < m->config.num_hidden_layers; l++) {
        if (slt_error_stopped(m->stop, NULL) != 0)
            return;
        layer_forward(m, l, acts_of(m, l - 1)->z2, m->branch);
    }
    m->ops->rmsnorm_forward(m->ctx, m->nf, m->zf, m->rstd_f,
                            acts_of(m, m->config.num_hidden_layers - 1)->z2, m->branch,
                            m->part[m->norm_part].value, m->config.rms_norm_eps);
}

// ---- Backward ----

// dres += the gradient of a norm's output dn through the norm; the norm's own gradient to the sink.
static void norm_backward(struct slt_model *m, int part, struct slt_act z, struct slt_tensor rstd,
                          struct slt_sink *sink)
{
    const struct slt_loan dg = sink->lend(sink, part);
    m->ops->rmsnorm_backward(m->ctx, m->dres, dg.grad, dg.beta, m->dn, z, rstd,
                             m->part[part].value);
    sink->commit(sink, part, 1);
}

// The output of a norm again, from its kept input: the same bytes, since it is computed alike.
static void renormalize(struct slt_model *m, struct slt_act n, struct slt_act z,
                        struct slt_tensor rstd, struct slt_tensor gain)
{
    const struct slt_act none = {0};
    m->ops->rmsnorm_forward(m->ctx, n, none, rstd, z, none, gain, m->config.rms_norm_eps);
}

static void layer_backward(struct slt_model *m, int64_t l, struct slt_sink *sink)
{
    const struct slt_ops *ops = m->ops;
    const struct slt_pass pass = pass_of(m);
    const struct slt_layer *layer = &m->layer[l];
    const struct slt_layer_acts *s = acts_of(m, l);
    const struct slt_act da = slt_act_slice(m->dbranch, 0, s->a.features);
    const struct slt_act do_ = slt_act_slice(m->dbranch, 0, s->o.features), none = {0};

    const bool keeps_h = layer->group[SLT_GROUP_DOWN].rank > 0;
    if (m->recompute == SLT_RECOMPUTE_BLOCK && keeps_h)
        layer_forward(m, l, s->z1, none);
    else if (m->recompute == SLT_RECOMPUTE_BLOCK)
        layer_inner(m, l, s->z1, none);
    else if (m->recompute == SLT_RECOMPUTE_CHEAP)
        ops->swiglu_forward(m->ctx, s->a, s->gu);
    const struct slt_group *g = bind(m, l, SLT_GROUP_DOWN);
    g->kind->backward(&pass, g, da, m->dres, s->a, sink);
    ops->swiglu_backward(m->ctx, s->gu, da, s->gu);
    if (m->recompute == SLT_RECOMPUTE_CHEAP)
        renormalize(m, s->n2, s->z2, s->rstd2, gain(m, layer, SLT_NORM_MLP));
    g = bind(m, l, SLT_GROUP_GATE_UP);
    g->kind->backward(&pass, g, m->dn, s->gu, s->n2, sink);
    norm_backward(m, layer->norm_part[SLT_NORM_MLP], s->z2, s->rstd2, sink);

    g = bind(m, l, SLT_GROUP_O);
    g->kind->backward(&pass, g, do_, m->dres, s->o, sink);
    ops->attention_backward(m->ctx, m->dqkv, do_, s->qkv, s->o, s->lse, m->rope, m->attention);
    if (m->recompute != SLT_RECOMPUTE_NONE) // n2 lies where n1 was
        renormalize(m, s->n1, s->z1, s->rstd1, gain(m, layer, SLT_NORM_ATTENTION));
    g = bind(m, l, SLT_GROUP_QKV);
    g->kind->backward(&pass, g, m->dn, m->dqkv, s->n1, sink);
    norm_backward(m, layer->norm_part[SLT_NORM_ATTENTION], s->z1, s->rstd1, sink);
}

static void backward(struct slt_model *m, struct slt_sink *sink)
{
    m->ops->zero(m->ctx, m->dres.buffer, m->dres.offset,
                 m->ops->act_bytes(m->ctx, m->dres.dtype, m->dres.tokens, m->dres.width));
    norm_backward(m, m->norm_part, m->zf, m->rstd_f, sink);
    for (int64_t l = m->config.num_hidden_layers - 1; l >= 0; l--)
        layer_backward(m, l, sink);
    const struct slt_loan dw = sink->lend(sink, m->embedding_part);
    if (dw.grad.buffer != NULL)
        m->ops->embedding_backward(m->ctx, dw.grad, dw.beta, m->dres, m->tokens);
    sink->commit(sink, m->embedding_part, 1);
}

const struct slt_stack slt_stack_llama = {
    .layout = layout, .resize = resize, .forward = forward, .backward = backward};
