// Forward and backward of the LLaMA model, written side by side.
//
// The residual stream is z; each norm fuses the addition of the branch before it:
//   z1 = z + down(previous layer), n1 = norm(z1); o-branch; z2 = z1 + o, n2 = norm(z2);
//   down-branch; ... zf = z + down(last layer), nf = norm(zf), logits = nf head^T.
#include <assert.h>
#include <stdlib.h>

#include "model/model.h"

// The next piece of the scratch of unpacked weights.
static struct slt_tensor unpack_at(struct slt_model *m, struct slt_tensor t, uint64_t *used)
{
    if (t.buffer == NULL || t.dtype != SLT_BF16)
        return t;
    const struct slt_tensor copy =
        slt_tensor_view(m->unpacked.buffer, m->unpacked.offset + *used, SLT_F32, t.rows, t.cols);
    m->ops->convert(m->ctx, copy, t, NULL);
    *used += slt_memory_rounded((uint64_t)(t.rows * t.cols) * sizeof(float));
    return copy;
}

struct slt_tensor slt_model_unpack(struct slt_model *m, struct slt_tensor t)
{
    uint64_t used = 0;
    return unpack_at(m, t, &used);
}

const struct slt_group *slt_model_unpack_group(struct slt_model *m, const struct slt_group *g)
{
    uint64_t used = 0;
    if (m->weight_dtype != SLT_BF16)
        return g;
    m->bound = *g;
    m->bound.w = unpack_at(m, g->w, &used);
    m->bound.a = unpack_at(m, g->a, &used);
    m->bound.b = unpack_at(m, g->b, &used);
    m->bound.values = unpack_at(m, g->values, &used);
    return &m->bound;
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
    g->h = acts_of(m, layer)->h[kind];
    return m->act_dtype == SLT_BF16 ? g : slt_model_unpack_group(m, g);
}

void slt_model_set_scalar(struct slt_model *m, enum slt_scalar which, double value)
{
    m->ops->write(m->ctx, m->scalars.buffer, m->scalars.offset + which * sizeof value, &value,
                  sizeof value);
}

void slt_model_set_scalars(struct slt_model *m, const double values[SLT_SCALARS])
{
    m->ops->write(m->ctx, m->scalars.buffer, m->scalars.offset, values,
                  SLT_SCALARS * sizeof *values);
}

void slt_model_get_scalars(struct slt_model *m, double values[SLT_SCALARS])
{
    m->ops->read(m->ctx, values, m->scalars.buffer, m->scalars.offset,
                 SLT_SCALARS * sizeof *values);
}

double slt_model_get_scalar(struct slt_model *m, enum slt_scalar which)
{
    double values[SLT_SCALARS];
    slt_model_get_scalars(m, values);
    return values[which];
}

void slt_model_set_batch(struct slt_model *m, const int32_t *tokens, const int32_t *targets)
{
    const uint64_t bytes = (uint64_t)m->tokens.cols * sizeof *tokens;
    m->ops->write(m->ctx, m->tokens.buffer, m->tokens.offset, tokens, bytes);
    if (targets != NULL)
        m->ops->write(m->ctx, m->targets.buffer, m->targets.offset, targets, bytes);
}

// One layer up to the input of its down linear: z is the residual stream so far, r the branch to be
// added first (none before layer 0, and none where the stream of a kept z1 is worked out again).
static void layer_inner(struct slt_model *m, int64_t l, struct slt_act z, struct slt_act r)
{
    const struct slt_ops *ops = m->ops;
    const struct slt_pass pass = pass_of(m);
    const struct slt_layer *layer = &m->layer[l];
    const struct slt_layer_acts *s = acts_of(m, l);
    const double eps = m->config.rms_norm_eps;

    ops->rmsnorm_forward(m->ctx, s->n1, s->z1, s->rstd1, z, r, layer->norm1, eps);
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
    ops->rmsnorm_forward(m->ctx, s->n2, s->z2, s->rstd2, s->z1, m->branch, layer->norm2, eps);
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

void slt_model_forward(struct slt_model *m)
{
    const struct slt_act none = {0};
    m->ops->embedding_forward(m->ctx, acts_of(m, 0)->z1, m->part[m->embedding_part].value,
                              m->tokens);
    layer_forward(m, 0, acts_of(m, 0)->z1, none);
    for (int64_t l = 1; l < m->config.num_hidden_layers; l++)
        layer_forward(m, l, acts_of(m, l - 1)->z2, m->branch);
    m->ops->rmsnorm_forward(m->ctx, m->nf, m->zf, m->rstd_f,
                            acts_of(m, m->config.num_hidden_layers - 1)->z2, m->branch,
                            m->part[m->norm_part].value, m->config.rms_norm_eps);
}

// The head's weights to compute with.
static struct slt_tensor head_of(struct slt_model *m)
{
    const struct slt_tensor head = m->part[m->head_part].value;
    return m->act_dtype == SLT_BF16 ? head : slt_model_unpack(m, head);
}

void slt_model_loss(struct slt_model *m, struct slt_sink *sink)
{
    const struct slt_tensor head = head_of(m);
    const struct slt_tensor no_tensor = {0};
    const struct slt_act no_act = {0};
    if (sink == NULL) {
        m->ops->head_loss(m->ctx, m->scalars, no_act, no_tensor, 0, m->nf, head, m->targets);
        return;
    }
    const struct slt_loan dw = sink->lend(sink, m->head_part);
    m->ops->head_loss(m->ctx, m->scalars, m->dn, dw.grad, dw.beta, m->nf, head, m->targets);
    if (m->head_part != m->embedding_part)
        sink->commit(sink, m->head_part, 1);
}

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
        renormalize(m, s->n2, s->z2, s->rstd2, layer->norm2);
    g = bind(m, l, SLT_GROUP_GATE_UP);
    g->kind->backward(&pass, g, m->dn, s->gu, s->n2, sink);
    norm_backward(m, layer->norm2_part, s->z2, s->rstd2, sink);

    g = bind(m, l, SLT_GROUP_O);
    g->kind->backward(&pass, g, do_, m->dres, s->o, sink);
    ops->attention_backward(m->ctx, m->dqkv, do_, s->qkv, s->o, s->lse, m->rope, m->attention);
    if (m->recompute != SLT_RECOMPUTE_NONE) // n2 lies where n1 was
        renormalize(m, s->n1, s->z1, s->rstd1, layer->norm1);
    g = bind(m, l, SLT_GROUP_QKV);
    g->kind->backward(&pass, g, m->dn, m->dqkv, s->n1, sink);
    norm_backward(m, layer->norm1_part, s->z1, s->rstd1, sink);
}

void slt_model_backward(struct slt_model *m, struct slt_sink *sink)
{
    assert(m->training);
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

int slt_model_logits(struct slt_model *m, void *logits, struct slt_error *err)
{
    m->ops->linear_forward(m->ctx, m->logits, 0, m->nf, head_of(m), 1);
    m->ops->act_read(m->ctx, logits, m->logits);
    return m->ops->synchronize(m->ctx, err);
}
