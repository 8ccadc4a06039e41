// What all architectures share: weights to compute with, scalars, batches, the loss.
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "model/model.h"

static const struct slt_stack *const stacks[SLT_ARCHITECTURES] = {[SLT_LLAMA] = &slt_stack_llama};

const struct slt_stack *slt_stack(const struct slt_config *config)
{
    return stacks[config->architecture];
}

// ---- Routes ----

static const char *route_of(const struct slt_model *m, int64_t layer, enum slt_group_kind group)
{
    return slt_group_route_name(&m->layer[layer].group[group]);
}

char *slt_model_route(char text[SLT_ROUTE_TEXT], const struct slt_model *m,
                      enum slt_group_kind group)
{
    const int64_t layers = m->config.num_hidden_layers;
    int at = 0;
    for (int64_t first = 0, next; first < layers; first = next) {
        const char *route = route_of(m, first, group);
        for (next = first + 1; next < layers && strcmp(route_of(m, next, group), route) == 0;)
            next++;
        if (next - first == layers)
            at = snprintf(text, SLT_ROUTE_TEXT, "%s", route);
        else if (next - first == 1)
            at += snprintf(text + at, (size_t)(SLT_ROUTE_TEXT - at), "%s%lld:%s", at > 0 ? " " : "",
                           (long long)first, route);
        else
            at += snprintf(text + at, (size_t)(SLT_ROUTE_TEXT - at), "%s%lld-%lld:%s",
                           at > 0 ? " " : "", (long long)first, (long long)next - 1, route);
        assert(at < SLT_ROUTE_TEXT); // there are no more ranges than a configuration's layers make
    }
    return text;
}

bool slt_model_has_factors(const struct slt_model *m, enum slt_group_kind group)
{
    bool has = false;
    for (int64_t l = 0; l < m->config.num_hidden_layers; l++)
        has |= m->layer[l].group[group].rank > 0;
    return has;
}

// ---- Weights to compute with ----

// The next view of the scratch of unpacked weights.
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

struct slt_tensor slt_model_scalar(const struct slt_model *m, enum slt_scalar which)
{
    return slt_tensor_view(m->scalars.buffer, m->scalars.offset + which * sizeof(double), SLT_F64,
                           1, 1);
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

void slt_model_forward(struct slt_model *m)
{
    m->stack->forward(m);
}

void slt_model_backward(struct slt_model *m, struct slt_sink *sink)
{
    assert(m->training);
    m->stack->backward(m, sink);
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

int slt_model_logits(struct slt_model *m, void *logits, struct slt_error *err)
{
    m->ops->linear_forward(m->ctx, m->logits, 0, m->nf, head_of(m), 1);
    m->ops->act_read(m->ctx, logits, m->logits);
    return m->ops->synchronize(m->ctx, err);
}

// ---- Resizing ----

void slt_model_resize(struct slt_model *m, int64_t batch, int64_t seq)
{
    const int64_t t = batch * seq;
    m->attention.batch = batch;
    m->attention.seq = seq;
    m->stack->resize(m, t);
    m->scratch.dh.tokens = m->logits.tokens = t;
    m->tokens.cols = m->tokens.ld = m->targets.cols = m->targets.ld = t;
}

void slt_model_set_position(struct slt_model *m, int64_t position)
{
    m->attention.position = position;
}
