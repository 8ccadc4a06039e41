// Bytes and FLOPs of a step by parts, and the seconds that a GPU would take for them.
//
// Letters: T tokens of a micro-batch, d hidden, f intermediate size, V vocabulary, L layers, a bytes
// of an activation. Where activations are worked out again in backward, so is what made them.
#include "plan/estimate_time.h"

#define MEMORY_SHARE    .85
#define PRODUCTS_SHARE  .62
#define ATTENTION_SHARE .35

const char *slt_step_part_name(enum slt_step_part part)
{
    static const char *const names[SLT_STEP_PARTS] = {"products",   "sparse", "attention", "norms",
                                                      "activation", "loss",   "update"};
    return names[part];
}

const struct slt_gpu *slt_gpu_row(size_t index)
{
    static const struct slt_gpu rows[] = {{"h100", 3.35e12, 989e12}, {"h200", 4.8e12, 989e12}};
    return index < sizeof rows / sizeof *rows ? &rows[index] : NULL;
}

double slt_gpu_seconds(const struct slt_gpu *gpu, const struct slt_work *work,
                       enum slt_step_part part)
{
    const double share = part == SLT_STEP_ATTENTION ? ATTENTION_SHARE : PRODUCTS_SHARE;
    const double moving = work->bytes[part] / (gpu->bytes * MEMORY_SHARE);
    const double computing = work->flops[part] / (gpu->flops * share);
    return moving > computing ? moving : computing;
}

// ---- A micro-batch ----

static void add(struct slt_work *w, enum slt_step_part part, double bytes, double flops)
{
    w->bytes[part] += bytes;
    w->flops[part] += flops;
}

// The dense route builds W once forward and once backward: S is written with its zeros, and a
// product of the factors added, which reads and writes it. The gradient is written, read by two
// products and read off at the support, for F32 gradients that are added to.
static void add_dense_route(struct slt_work *w, const struct slt_model *m,
                            const struct slt_group *g, double again)
{
    const double a = (double)slt_dtype_size(m->act_dtype), nnz = (double)g->support.nnz;
    const double elements = (double)g->rows * (double)g->shape.in;
    add(w, SLT_STEP_SPARSE, a * elements * (3 * (2 + again) + 4) + (2 * (2 + a) + 10) * nnz, 0);
}

// A group of linears: x and y are read or written three times each, so is h between the factors.
// All that is done for a position of S and a token is worth as many multiply-adds of a large product
// as the backend says.
static void add_group(struct slt_work *w, const struct slt_model *m, const struct slt_group *g,
                      double t, double again)
{
    const double a = (double)slt_dtype_size(m->act_dtype), nnz = (double)g->support.nnz;
    const double kept = (double)slt_group_kept(g);
    const double features = (double)(g->rows + g->shape.in) + 2 * kept;
    const double flops = g->kind->flops(g, t) * t * (1 + again / 3);
    const double sparse = kept > 0 ? nnz * t : 0;
    const struct slt_route_cost *cost = &m->ops->route_cost;
    add(w, SLT_STEP_PRODUCTS, (3 + again) * a * t * features, flops - 6 * sparse * (1 + again / 3));
    add(w, SLT_STEP_SPARSE, 0,
        2 * sparse * (1 + again / 3) *
            (slt_csr_has_bands(&g->support) ? cost->band_position : cost->position));
    if (g->rank > 0 && g->route == SLT_ROUTE_DENSE)
        add_dense_route(w, m, g, again);
}

// Attention over the causal half: two products forward, five backward; q, k, v and o pass once
// forward, backward also the gradients.
static void add_attention(struct slt_work *w, const struct slt_model *m, double t, double again)
{
    const struct slt_attention *s = &m->attention;
    const double a = (double)slt_dtype_size(m->act_dtype);
    const double qkv = (double)((s->heads + 2 * s->kv_heads) * s->head_dim);
    const double o = (double)(s->heads * s->head_dim);
    add(w, SLT_STEP_ATTENTION, a * t * ((1 + again) * (qkv + o) + 2 * (qkv + o)),
        t * (double)s->seq * o * (2 * (1 + again) + 5));
}

// Forward a norm reads the stream and a branch and writes their sum and its output; backward it
// reads the output's gradient and the sum, and reads and writes the stream's gradient.
static double norm_bytes(const struct slt_model *m, double t, double again)
{
    const double a = (double)slt_dtype_size(m->act_dtype);
    return a * t * (double)m->config.hidden_size * (4 * (1 + again) + 4);
}

static void add_layer(struct slt_work *w, const struct slt_model *m, double t)
{
    const double a = (double)slt_dtype_size(m->act_dtype), f = (double)m->config.intermediate_size;
    const double block = m->recompute == SLT_RECOMPUTE_BLOCK;
    const double cheap = m->recompute != SLT_RECOMPUTE_NONE;
    add_attention(w, m, t, block);
    add(w, SLT_STEP_NORMS, 2 * norm_bytes(m, t, cheap), 0);
    add(w, SLT_STEP_ACTIVATION, a * t * f * (3 * (1 + cheap) + 5), 0);
}

// Logits are F32: written, read twice, replaced by gradients of an activation's type, which two
// products read. The embedding's rows are read and written, its gradient is read and written.
static void add_ends(struct slt_work *w, const struct slt_model *m, double t)
{
    const double a = (double)slt_dtype_size(m->act_dtype), v = (double)m->config.vocab_size;
    const double d = (double)m->config.hidden_size;
    add(w, SLT_STEP_PRODUCTS, 0, 6 * v * d * t);
    add(w, SLT_STEP_LOSS, t * v * (12 + 3 * a) + 3 * a * t * d + 8 * v * d, 0);
    add(w, SLT_STEP_NORMS, norm_bytes(m, t, 0), 0);
}

void slt_work_count(struct slt_work *work, const struct slt_model *m, const struct slt_plan *plan,
                    int64_t micro_batches)
{
    const double t = (double)(m->attention.batch * m->attention.seq);
    const double block = m->recompute == SLT_RECOMPUTE_BLOCK;
    struct slt_work w = {0};
    for (int64_t i = 0; i < slt_model_groups(m); i++)
        add_group(&w, m, slt_model_group(m, i), t, block);
    for (int64_t l = 0; l < m->config.num_hidden_layers; l++)
        add_layer(&w, m, t);
    add_ends(&w, m, t);
    for (int k = 0; k < SLT_STEP_PARTS; k++) {
        w.bytes[k] *= (double)micro_batches;
        w.flops[k] *= (double)micro_batches;
    }
    // The norm reads the gradients, the update reads them and reads and writes the rest.
    add(&w, SLT_STEP_UPDATE,
        2 * ((double)plan->bytes[SLT_REGION_GRADIENTS] + (double)plan->bytes[SLT_REGION_MOMENTS] +
             (double)plan->bytes[SLT_REGION_WEIGHTS]),
        0);
    w.micro_batches = micro_batches;
    *work = w;
}
