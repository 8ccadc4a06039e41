// Laying out a model in memory, and making it.
#include <stdlib.h>
#include <string.h>

#include "core/threads.h"
#include "model/layout.h"

// ---- Activations ----

struct slt_act slt_model_act(struct slt_model *m, int64_t tokens, int64_t features)
{
    return slt_memory_act(&m->memory, SLT_REGION_ACTIVATIONS, m->act_dtype, tokens, features);
}

struct slt_tensor slt_model_kept(struct slt_model *m, enum slt_dtype dtype, int64_t rows,
                                 int64_t cols)
{
    return slt_memory_tensor(&m->memory, SLT_REGION_ACTIVATIONS, dtype, rows, cols);
}

static void layout_acts(struct slt_model *m, const struct slt_model_shape *shape)
{
    const int64_t t = shape->batch * shape->seq;
    m->tokens = slt_model_kept(m, SLT_I32, 1, t);
    m->targets = slt_model_kept(m, SLT_I32, 1, t);
    m->scalars = slt_model_kept(m, SLT_F64, 1, SLT_SCALARS);
    m->stack->layout(m, shape);
    if (shape->logits > 0)
        m->logits = slt_model_act(m, shape->logits, m->config.vocab_size);
}

// ---- Scratch and workspace ----

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

// What all weights of a group take as F32, in elements.
static int64_t group_elements(const struct slt_group *g)
{
    const struct slt_tensor parts[] = {g->w, g->a, g->b, g->values};
    uint64_t bytes = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        bytes += slt_memory_rounded((uint64_t)(parts[i].rows * parts[i].cols) * sizeof(float));
    return (int64_t)(bytes / sizeof(float));
}

// What is unpacked at once, as F32: to compute with, all weights of a group, or the head; for an
// optimizer, those of a group that is merged (ReLoRA), or one linear.
static int64_t unpacked_elements(const struct slt_model *m)
{
    const bool computes = m->act_dtype != SLT_BF16;
    const struct slt_tensor head = m->part[m->head_part].value;
    int64_t most = computes ? head.rows * head.cols : 0;
    for (int64_t k = 0; k < slt_model_groups(m); k++) {
        const struct slt_group *g = slt_model_group(m, k);
        const bool whole = computes || g->kind->merges;
        if (whole)
            most = max64(most, group_elements(g));
        for (int i = 0; !whole && i < g->shape.members; i++)
            most = max64(most, g->shape.out[i] * g->shape.in);
    }
    return most;
}

static void layout_scratch(struct slt_model *m, int64_t t, const struct slt_model_shape *shape)
{
    int64_t dense = 0, stacked = shape->projected;
    for (int64_t k = 0; k < slt_model_groups(m); k++) {
        const struct slt_group *g = slt_model_group(m, k);
        if (g->rank > 0 && g->route == SLT_ROUTE_DENSE)
            dense = max64(dense, g->rows * slt_dense_ld(g->shape.in));
        stacked = max64(stacked, slt_group_kept(g));
    }
    if (dense > 0)
        m->scratch.w = slt_memory_tensor(&m->memory, SLT_REGION_WORKSPACE, m->act_dtype, 1, dense);
    if (dense > 0 && m->training)
        m->scratch.g = slt_memory_tensor(&m->memory, SLT_REGION_WORKSPACE, m->act_dtype, 1, dense);
    if (m->weight_dtype == SLT_BF16 && (m->act_dtype != SLT_BF16 || shape->unpacks))
        m->unpacked =
            slt_memory_tensor(&m->memory, SLT_REGION_WORKSPACE, SLT_F32, 1, unpacked_elements(m));
    if (stacked > 0 && m->training)
        m->scratch.dh = slt_memory_act(&m->memory, SLT_REGION_WORKSPACE, m->act_dtype, t, stacked);
}

bool slt_model_computes_in(const struct slt_model *m, enum slt_op op, enum slt_dtype dtype)
{
    const struct slt_op_shape shape = {.dtype = dtype};
    return m->ops->supports(m->ctx, op, &shape);
}

// What an operation needs in the workspace; SLT_ERR_RANGE if the device cannot do it in this shape.
static int reserve_workspace(struct slt_model *m, enum slt_op op, struct slt_op_shape shape,
                             struct slt_error *err)
{
    shape.dtype = m->act_dtype;
    if (!m->ops->supports(m->ctx, op, &shape)) {
        char text[160];
        return slt_error_set(err, SLT_ERR_RANGE, "device '%s' cannot do %s", m->ops->name,
                             slt_op_describe(text, sizeof text, op, &shape));
    }
    const uint64_t bytes = m->ops->work_bytes(m->ctx, op, &shape);
    if (bytes > m->work_bytes)
        m->work_bytes = bytes;
    return 0;
}

static int64_t divisor(int64_t a, int64_t b)
{
    return b == 0 ? a : divisor(b, a % b);
}

// The greatest common divisor of what a group's products are wide (struct slt_op_shape).
static int64_t group_step(const struct slt_group *g, int64_t projected)
{
    int64_t step = divisor(divisor(g->shape.in, g->rank), projected);
    for (int i = 0; i < g->shape.members; i++)
        step = divisor(step, g->shape.out[i]);
    return step;
}

static int reserve_group(struct slt_model *m, const struct slt_group *g, int64_t t,
                         int64_t projected, struct slt_error *err)
{
    struct slt_op_shape s = {
        .tokens = t, .in = g->shape.in, .out = g->rows, .step = group_step(g, projected)};
    s.nnz =
        m->coded ? g->rows * g->shape.in : projected * slt_dense_ld(max64(g->shape.in, g->rows));
    int rc = reserve_workspace(m, SLT_OP_LINEAR, s, err);
    s.nnz = g->support.nnz;
    if (rc == 0 && s.nnz > 0)
        rc = reserve_workspace(m, SLT_OP_SPARSE, s, err);
    if (rc == 0 && slt_csr_has_bands(&g->support))
        rc = reserve_workspace(m, SLT_OP_BANDS, s, err);
    return rc;
}

static int layout_workspace(struct slt_model *m, int64_t t, int64_t projected,
                            struct slt_error *err)
{
    const struct slt_config *c = &m->config;
    int64_t values = 0; // rows of zeros among them
    struct slt_op_shape plain = {
        .tokens = t, .in = c->hidden_size, .out = c->vocab_size, .attention = m->attention};
    plain.attention.position = m->cache.tokens;
    const struct slt_op_shape gated = {.tokens = t, .in = c->intermediate_size};
    for (int i = 0; i < m->part_count; i++)
        values += m->part[i].value.rows * m->part[i].value.cols;
    const struct slt_op_shape all = {.nnz = values, .out = (int64_t)m->param_count};
    int rc;
    m->work_bytes = 0;
    if ((rc = reserve_workspace(m, SLT_OP_EMBEDDING, plain, err)) != 0 ||
        (rc = reserve_workspace(m, SLT_OP_RMSNORM, plain, err)) != 0 ||
        (rc = reserve_workspace(m, SLT_OP_ATTENTION, plain, err)) != 0 ||
        (rc = reserve_workspace(m, SLT_OP_HEAD_LOSS, plain, err)) != 0 ||
        (rc = reserve_workspace(m, SLT_OP_SWIGLU, gated, err)) != 0)
        return rc;
    for (int64_t k = 0; k < slt_model_groups(m); k++)
        if ((rc = reserve_group(m, slt_model_group(m, k), t, projected, err)) != 0)
            return rc;
    if (m->training && ((rc = reserve_workspace(m, SLT_OP_GRAD_NORM, all, err)) != 0 ||
                        (rc = reserve_workspace(m, SLT_OP_ADAM, all, err)) != 0))
        return rc;
    m->work_offset = slt_memory_take(&m->memory, SLT_REGION_WORKSPACE, m->work_bytes);
    return 0;
}

static int layout(struct slt_model *m, struct slt_error *err)
{
    const struct slt_model_shape *shape = &m->shape;
    const int64_t t = shape->batch * shape->seq;
    slt_model_layout_parts(m, t);
    layout_acts(m, shape);
    layout_scratch(m, t, shape);
    int rc = layout_workspace(m, t, shape->projected, err);
    return rc == 0 && m->extra != NULL ? m->extra(m, m->extra_user, err) : rc;
}

// ---- Creation ----

static int allocate_lists(struct slt_model *m, struct slt_error *err)
{
    const size_t layers = (size_t)m->config.num_hidden_layers;
    struct slt_param_info *infos;
    int rc = slt_config_params(&m->config, &infos, &m->param_count, err);
    if (rc != 0)
        return rc;
    m->param = calloc(m->param_count, sizeof *m->param);
    m->part = calloc(m->param_count, sizeof *m->part);
    m->layer = calloc(layers, sizeof *m->layer);
    m->acts = calloc(m->training ? layers : 1, sizeof *m->acts);
    if (m->param == NULL || m->part == NULL || m->layer == NULL || m->acts == NULL)
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a model of %zu tensors",
                           m->param_count);
    for (size_t i = 0; rc == 0 && i < m->param_count; i++) {
        m->param[i].info = infos[i];
        m->param[i].info.frozen |= !(m->trains >> infos[i].role & 1);
    }
    free(infos);
    return rc;
}

int slt_model_prepare(struct slt_model **model, const struct slt_device *device,
                      const struct slt_config *config, enum slt_dtype dtype,
                      const struct slt_model_shape *shape, slt_model_layout_fn *extra, void *user,
                      struct slt_error *err)
{
    struct slt_model *m = calloc(1, sizeof *m);
    if (m == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a model");
    m->ops = device->ops;
    m->ctx = device->ctx;
    m->threads = slt_thread_count(device->threads);
    m->config = *config;
    m->stack = slt_stack(config);
    m->shape = *shape;
    m->extra = extra;
    m->extra_user = user;
    m->dtype = dtype;
    m->weight_dtype = shape->bf16 ? SLT_BF16 : dtype;
    m->act_dtype =
        slt_model_computes_in(m, SLT_OP_LINEAR, m->weight_dtype) ? m->weight_dtype : dtype;
    m->coded = shape->codes && config->quantization.type == SLT_QUANT_INT8 &&
               slt_model_computes_in(m, SLT_OP_LINEAR, SLT_I8) &&
               slt_model_computes_in(m, SLT_OP_EMBEDDING, SLT_I8);
    m->training = shape->training;
    m->trains = shape->trains != 0 ? shape->trains : ~0u;
    m->recompute = shape->training ? shape->recompute : SLT_RECOMPUTE_NONE;
    m->route_wish = shape->cache > 0 ? SLT_ROUTE_FACTORED : shape->route;
    m->attention = (struct slt_attention){.batch = shape->batch,
                                          .seq = shape->seq,
                                          .heads = config->num_attention_heads,
                                          .kv_heads = config->num_key_value_heads,
                                          .head_dim = config->head_dim};
    slt_memory_init(&m->memory, device);
    int rc = allocate_lists(m, err);
    if (rc == 0)
        rc = layout(m, err);
    if (rc != 0) {
        slt_model_free(m);
        return rc;
    }
    *model = m;
    return 0;
}

struct slt_plan slt_model_plan(const struct slt_model *m)
{
    struct slt_plan plan = {.parameters = slt_config_param_count(&m->config)};
    memcpy(plan.bytes, m->memory.used, sizeof plan.bytes);
    return plan;
}

int slt_model_allocate(struct slt_model *m, struct slt_error *err)
{
    int rc = slt_memory_commit(&m->memory, err);
    if (rc != 0 || (rc = layout(m, err)) != 0)
        return rc;
    m->ops->set_workspace(m->ctx, m->memory.buffer[SLT_REGION_WORKSPACE], m->work_offset,
                          m->work_bytes);
    m->ops->allow_reduced(m->ctx, m->shape.bf16);
    if ((rc = slt_model_write_rope(m, err)) != 0)
        return rc;
    if (slt_method_has(m->config.method, SLT_ROLE_SPARSE) &&
        m->config.support.kind != SLT_SUPPORT_EXPLICIT)
        rc = slt_model_draw_supports(m, err);
    return rc;
}

int slt_model_create(struct slt_model **model, const struct slt_device *device,
                     const struct slt_config *config, enum slt_dtype dtype,
                     const struct slt_model_shape *shape, slt_model_layout_fn *extra, void *user,
                     struct slt_error *err)
{
    struct slt_model *m;
    int rc = slt_model_prepare(&m, device, config, dtype, shape, extra, user, err);
    if (rc != 0)
        return rc;
    if ((rc = slt_model_allocate(m, err)) != 0)
        slt_model_free(m);
    else
        *model = m;
    return rc;
}

void slt_model_free(struct slt_model *m)
{
    if (m == NULL)
        return;
    slt_memory_free(&m->memory);
    free(m->param);
    free(m->part);
    free(m->layer);
    free(m->acts);
    free(m);
}
