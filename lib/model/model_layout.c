// Laying out a model in memory: parts, activations, scratch and workspace, then supports and rope.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/bands.h"
#include "model/model.h"
#include "model/support.h"

// ---- Parameters ----

static int add_part(struct slt_model *m, enum slt_role role, int64_t rows, int64_t cols)
{
    m->part[m->part_count] = (struct slt_part){
        .role = role,
        .unit = m->part_count,
        .frozen = !(m->trains >> role & 1),
        .value = slt_memory_tensor(&m->memory, SLT_REGION_WEIGHTS,
                                   role == SLT_ROLE_NORM ? m->dtype : m->weight_dtype, rows, cols)};
    return m->part_count++;
}

static bool computes_in(const struct slt_model *m, enum slt_op op, enum slt_dtype dtype)
{
    const struct slt_op_shape shape = {.dtype = dtype};
    return m->ops->supports(m->ctx, op, &shape);
}

// Whether supports come with the index of their bands.
static bool has_bands(const struct slt_model *m)
{
    return slt_bands_fit(&m->config.support) && computes_in(m, SLT_OP_BANDS, m->act_dtype);
}

static struct slt_csr layout_support(struct slt_model *m, const struct slt_group *g)
{
    struct slt_csr s = {.rows = g->rows, .cols = g->shape.in};
    for (int i = 0; i < g->shape.members; i++)
        s.nnz +=
            slt_support_count(&m->config.support, m->config.density, g->shape.out[i], g->shape.in);
    s.row_start = slt_memory_tensor(&m->memory, SLT_REGION_INDEX, SLT_I64, 1, s.rows + 1);
    s.column = slt_memory_tensor(&m->memory, SLT_REGION_INDEX, s.cols <= 65536 ? SLT_U16 : SLT_I32,
                                 1, s.nnz);
    if (has_bands(m)) {
        const int64_t groups = slt_bands_groups(s.cols), parts = slt_bands_most_parts(s.nnz);
        s.band_row =
            slt_memory_tensor(&m->memory, SLT_REGION_INDEX, SLT_I32, 1, slt_bands_most(s.rows));
        s.group_start = slt_memory_tensor(&m->memory, SLT_REGION_INDEX, SLT_I32, 1, groups + 1);
        s.group_part = slt_memory_tensor(&m->memory, SLT_REGION_INDEX, SLT_I32, parts, 3);
    }
    return s;
}

static void layout_group(struct slt_model *m, struct slt_group *g, int kind, int64_t tokens)
{
    const struct slt_config *c = &m->config;
    *g = (struct slt_group){.kind = slt_linear_kind(c->method),
                            .shape = slt_group_shape(c, kind),
                            .first_part = m->part_count};
    for (int i = 0; i < g->shape.members; i++)
        g->rows += g->shape.out[i];
    if (c->method == SLT_FULL) {
        g->w = m->part[add_part(m, SLT_ROLE_WEIGHT, g->rows, g->shape.in)].value;
    } else {
        const int64_t stacked = g->shape.members * c->rank;
        g->rank = c->rank;
        g->scale = c->alpha / (double)c->rank;
        g->a = m->part[add_part(m, SLT_ROLE_LORA_A, stacked, g->shape.in)].value;
        g->b = m->part[add_part(m, SLT_ROLE_LORA_B, g->rows, c->rank)].value;
    }
    if (c->method == SLT_SLTRAIN) {
        g->support = layout_support(m, g);
        g->values = m->part[add_part(m, SLT_ROLE_SPARSE, 1, g->support.nnz)].value;
    }
    g->parts = m->part_count - g->first_part;
    for (int i = 0; i < g->parts; i++)
        m->part[g->first_part + i].unit = g->first_part;
    g->route = m->route_wish != SLT_ROUTE_AUTO ? m->route_wish
                                               : slt_route_choose(g, tokens, &m->ops->route_cost);
    if (c->method == SLT_RELORA) {
        const int frozen = add_part(m, SLT_ROLE_WEIGHT, g->rows, g->shape.in);
        m->part[frozen].frozen = true;
        g->w = m->part[frozen].value;
        g->route = SLT_ROUTE_FACTORED; // W needs its own product anyway
    }
}

static void layout_parts(struct slt_model *m, int64_t tokens)
{
    const struct slt_config *c = &m->config;
    m->part_count = 0;
    m->embedding_part = add_part(m, SLT_ROLE_EMBEDDING, c->vocab_size, c->hidden_size);
    for (int64_t l = 0; l < c->num_hidden_layers; l++) {
        struct slt_layer *layer = &m->layer[l];
        layer->norm1_part = add_part(m, SLT_ROLE_NORM, 1, c->hidden_size);
        layer->norm1 = m->part[layer->norm1_part].value;
        layout_group(m, &layer->group[SLT_GROUP_QKV], SLT_GROUP_QKV, tokens);
        layout_group(m, &layer->group[SLT_GROUP_O], SLT_GROUP_O, tokens);
        layer->norm2_part = add_part(m, SLT_ROLE_NORM, 1, c->hidden_size);
        layer->norm2 = m->part[layer->norm2_part].value;
        layout_group(m, &layer->group[SLT_GROUP_GATE_UP], SLT_GROUP_GATE_UP, tokens);
        layout_group(m, &layer->group[SLT_GROUP_DOWN], SLT_GROUP_DOWN, tokens);
    }
    m->norm_part = add_part(m, SLT_ROLE_NORM, 1, c->hidden_size);
    m->head_part = m->embedding_part;
    if (!c->tie_word_embeddings)
        m->head_part = add_part(m, SLT_ROLE_HEAD, c->vocab_size, c->hidden_size);
}

// The part that holds a parameter, and where in it.
static void place_param(const struct slt_model *m, struct slt_param *p)
{
    const struct slt_param_info *info = &p->info;
    p->first = 0;
    if (info->role == SLT_ROLE_EMBEDDING || info->role == SLT_ROLE_HEAD) {
        p->part = info->role == SLT_ROLE_HEAD ? m->head_part : m->embedding_part;
        return;
    }
    if (info->role == SLT_ROLE_NORM) {
        p->part = m->norm_part;
        if (info->layer >= 0)
            p->part = info->norm == SLT_NORM_ATTENTION ? m->layer[info->layer].norm1_part
                                                            : m->layer[info->layer].norm2_part;
        return;
    }
    // Positions are no part of their own; they lie with the group, by the element of their values.
    const struct slt_group *g = &m->layer[info->layer].group[info->group];
    const enum slt_role role = info->role == SLT_ROLE_INDEX ? SLT_ROLE_SPARSE : info->role;
    for (p->part = g->first_part; m->part[p->part].role != role;)
        p->part++;
    for (int i = 0; i < info->member; i++) {
        const int64_t out = g->shape.out[i], in = g->shape.in;
        if (info->role == SLT_ROLE_WEIGHT)
            p->first += out * in;
        else if (info->role == SLT_ROLE_LORA_A)
            p->first += g->rank * in;
        else if (info->role == SLT_ROLE_LORA_B)
            p->first += out * g->rank;
        else
            p->first += slt_support_count(&m->config.support, m->config.density, out, in);
    }
}

// ---- Activations ----

static int64_t qkv_features(const struct slt_config *c)
{
    return (c->num_attention_heads + 2 * c->num_key_value_heads) * c->head_dim;
}

static struct slt_act act(struct slt_model *m, int64_t tokens, int64_t features)
{
    return slt_memory_act(&m->memory, SLT_REGION_ACTIVATIONS, m->act_dtype, tokens, features);
}

static struct slt_tensor kept(struct slt_model *m, enum slt_dtype dtype, int64_t rows, int64_t cols)
{
    return slt_memory_tensor(&m->memory, SLT_REGION_ACTIVATIONS, dtype, rows, cols);
}

// Everything a layer leaves behind, in memory of its own.
static void layout_layer_acts(struct slt_model *m, int64_t l, int64_t t)
{
    const struct slt_config *c = &m->config;
    const int64_t d = c->hidden_size, heads = c->num_attention_heads;
    struct slt_layer_acts *s = &m->acts[l], *first = &m->acts[0];
    const bool all = l == 0 || m->recompute == SLT_RECOMPUTE_NONE;
    if (l > 0)
        *s = *first;
    if (m->recompute != SLT_RECOMPUTE_BLOCK || l == 0) {
        s->qkv = act(m, t, qkv_features(c));
        s->o = act(m, t, heads * c->head_dim);
        s->z2 = act(m, t, d);
        s->gu = act(m, t, 2 * c->intermediate_size);
        s->rstd1 = kept(m, m->dtype, 1, t);
        s->rstd2 = kept(m, m->dtype, 1, t);
        s->lse = kept(m, m->dtype, heads, t);
        for (int k = 0; k < SLT_GROUP_KINDS; k++) {
            const struct slt_group *g = &m->layer[l].group[k];
            if (g->route == SLT_ROUTE_FACTORED && g->rank > 0)
                s->h[k] = act(m, t, g->shape.members * g->rank);
        }
    }
    s->z1 = act(m, t, d);
    if (!all)
        return;
    s->n1 = act(m, t, d);
    s->n2 = m->recompute == SLT_RECOMPUTE_NONE ? act(m, t, d) : s->n1;
    s->a = act(m, t, c->intermediate_size);
}

static void layout_acts(struct slt_model *m, const struct slt_model_shape *shape)
{
    const struct slt_config *c = &m->config;
    const int64_t t = shape->batch * shape->seq, d = c->hidden_size;
    const int64_t heads = c->num_attention_heads * c->head_dim;
    for (int64_t l = 0; l < (m->training ? c->num_hidden_layers : 1); l++)
        layout_layer_acts(m, l, t);
    m->zf = act(m, t, d);
    m->nf = act(m, t, d);
    m->rstd_f = kept(m, m->dtype, 1, t);
    m->branch = act(m, t, d);
    if (m->training) {
        m->dres = act(m, t, d);
        m->dn = act(m, t, d);
        m->dqkv = act(m, t, qkv_features(c));
        m->dbranch = act(m, t, heads > c->intermediate_size ? heads : c->intermediate_size);
    }
    m->tokens = kept(m, SLT_I32, 1, t);
    m->targets = kept(m, SLT_I32, 1, t);
    m->scalars = kept(m, SLT_F64, 1, SLT_SCALARS);
    m->rope = kept(m, m->dtype, c->head_dim, shape->cache > 0 ? shape->cache : shape->seq);
    if (shape->cache > 0)
        m->cache =
            act(m, shape->cache, c->num_hidden_layers * 2 * c->num_key_value_heads * c->head_dim);
    if (shape->logits > 0)
        m->logits = act(m, shape->logits, c->vocab_size);
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
    const bool computes = m->act_dtype != SLT_BF16,
               whole = computes || m->config.method != SLT_FULL;
    const struct slt_tensor head = m->part[m->head_part].value;
    int64_t most = computes ? head.rows * head.cols : 0;
    for (int k = 0; k < SLT_GROUP_KINDS; k++) {
        const struct slt_group *g = &m->layer[0].group[k];
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
    for (int k = 0; k < SLT_GROUP_KINDS; k++) {
        const struct slt_group *g = &m->layer[0].group[k];
        const int64_t elements = g->rows * slt_dense_ld(g->shape.in);
        if (g->rank > 0 && g->route == SLT_ROUTE_DENSE && elements > dense)
            dense = elements;
        if (g->route == SLT_ROUTE_FACTORED && g->shape.members * g->rank > stacked)
            stacked = g->shape.members * g->rank;
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

static void want(struct slt_model *m, enum slt_op op, struct slt_op_shape shape)
{
    shape.dtype = m->act_dtype;
    const uint64_t bytes = m->ops->work_bytes(m->ctx, op, &shape);
    if (bytes > m->work_bytes)
        m->work_bytes = bytes;
}

static void layout_workspace(struct slt_model *m, int64_t t, int64_t projected)
{
    const struct slt_config *c = &m->config;
    struct slt_op_shape plain = {
        .tokens = t, .in = c->hidden_size, .out = c->vocab_size, .attention = m->attention};
    plain.attention.position = m->cache.tokens;
    m->work_bytes = 0;
    want(m, SLT_OP_EMBEDDING, plain);
    want(m, SLT_OP_RMSNORM, plain);
    want(m, SLT_OP_ATTENTION, plain);
    want(m, SLT_OP_HEAD_LOSS, plain);
    want(m, SLT_OP_SWIGLU, (struct slt_op_shape){.tokens = t, .in = c->intermediate_size});
    for (int k = 0; k < SLT_GROUP_KINDS; k++) {
        const struct slt_group *g = &m->layer[0].group[k];
        struct slt_op_shape s = {.tokens = t, .in = g->shape.in, .out = g->rows};
        s.nnz = projected * max64(g->shape.in, g->rows);
        want(m, SLT_OP_LINEAR, s);
        s.nnz = g->support.nnz;
        want(m, SLT_OP_SPARSE, s);
        if (slt_csr_has_bands(&g->support))
            want(m, SLT_OP_BANDS, s);
    }
    const int64_t values = (int64_t)slt_config_param_count(c);
    want(m, SLT_OP_GRAD_NORM, (struct slt_op_shape){.nnz = values, .out = m->part_count});
    want(m, SLT_OP_ADAM, (struct slt_op_shape){.nnz = values, .out = m->part_count});
    m->work_offset = slt_memory_take(&m->memory, SLT_REGION_WORKSPACE, m->work_bytes);
}

static int layout(struct slt_model *m, const struct slt_model_shape *shape,
                  slt_model_layout_fn *extra, void *user, struct slt_error *err)
{
    const int64_t t = shape->batch * shape->seq;
    layout_parts(m, t);
    for (size_t i = 0; i < m->param_count; i++)
        place_param(m, &m->param[i]);
    layout_acts(m, shape);
    layout_scratch(m, t, shape);
    layout_workspace(m, t, shape->projected);
    return extra != NULL ? extra(m, user, err) : 0;
}

// ---- Values that do not come from a file ----

// Draws the support of one member into row_start (from its first row on) and column (from position
// at).
static int draw_member(const struct slt_model *m, int64_t layer, int kind, int member,
                       int64_t *row_start, void *column, int64_t at, uint32_t *crc,
                       struct slt_error *err)
{
    const struct slt_group *g = &m->layer[layer].group[kind];
    const int64_t out = g->shape.out[member], in = g->shape.in;
    uint16_t *column16 = in <= 65536 ? (uint16_t *)column + at : NULL;
    int32_t *column32 = in <= 65536 ? NULL : (int32_t *)column + at;
    char name[100];
    slt_linear_name(name, sizeof name, &m->config, (int32_t)layer, kind, member);
    int rc = slt_support_draw(row_start, column16, column32, &m->config.support, m->config.density,
                              out, in, name, m->config.seed, err);
    if (rc != 0)
        return rc;
    *crc = slt_support_linear_crc(row_start, column16, column32, out, in);
    for (int64_t row = 0; row <= out; row++)
        row_start[row] += at;
    return 0;
}

static void write_bands(struct slt_model *m, const struct slt_csr *s, const struct slt_bands *bands)
{
    const struct slt_tensor *row = &s->band_row;
    m->ops->write(m->ctx, row->buffer, row->offset, bands->row,
                  (uint64_t)row->cols * sizeof *bands->row);
    m->ops->write(m->ctx, s->group_start.buffer, s->group_start.offset, bands->start,
                  ((uint64_t)bands->groups + 1) * sizeof *bands->start);
    m->ops->write(m->ctx, s->group_part.buffer, s->group_part.offset, bands->part,
                  (uint64_t)bands->parts * 3 * sizeof *bands->part);
}

// Draws a group's stacked support and writes it to the device; crc (members).
static int draw_group(struct slt_model *m, int64_t layer, int kind, uint32_t *crc,
                      struct slt_error *err)
{
    const struct slt_group *g = &m->layer[layer].group[kind];
    const struct slt_csr *s = &g->support;
    const size_t width = slt_dtype_size(s->column.dtype);
    int64_t *row_start = malloc(((size_t)s->rows + 1) * sizeof *row_start);
    void *column = malloc(((size_t)s->nnz + 1) * width);
    struct slt_bands bands = {0};
    int rc = 0;
    if (row_start == NULL || column == NULL)
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a support of %lld positions",
                           (long long)s->nnz);
    for (int i = 0, row = 0; rc == 0 && i < g->shape.members; row += (int)g->shape.out[i++])
        rc = draw_member(m, layer, kind, i, row_start + row, column, i == 0 ? 0 : row_start[row],
                         &crc[i], err);
    if (rc == 0 && slt_csr_has_bands(s))
        rc = slt_bands_find(&bands, row_start, column, s->rows, s->cols, err);
    if (rc == 0) {
#pragma omp critical(slt_model_write)
        {
            m->ops->write(m->ctx, s->row_start.buffer, s->row_start.offset, row_start,
                          ((uint64_t)s->rows + 1) * sizeof *row_start);
            m->ops->write(m->ctx, s->column.buffer, s->column.offset, column,
                          (uint64_t)s->nnz * width);
            if (slt_csr_has_bands(s))
                write_bands(m, s, &bands);
        }
    }
    slt_bands_free(&bands);
    free(row_start);
    free(column);
    return rc;
}

static int draw_supports(struct slt_model *m, struct slt_error *err)
{
    const int64_t groups = m->config.num_hidden_layers * SLT_GROUP_KINDS;
    uint32_t(*crc)[SLT_GROUP_MEMBERS] = calloc((size_t)groups, sizeof *crc);
    if (crc == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the check of the supports");
    int rc = 0;
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < groups; i++) {
        struct slt_error mine;
        int one = draw_group(m, i / SLT_GROUP_KINDS, (int)(i % SLT_GROUP_KINDS), crc[i], &mine);
        if (one != 0) {
#pragma omp critical(slt_model_error)
            rc = slt_error_set(err, one, "%s", mine.message);
        }
    }
    uint32_t sum = 0;
    for (int64_t i = 0; i < groups; i++)
        for (int k = 0; k < m->layer[0].group[i % SLT_GROUP_KINDS].shape.members; k++)
            sum = slt_support_crc_add(sum, crc[i][k]);
    free(crc);
    if (rc == 0 && sum != m->config.support_crc)
        rc = slt_error_set(err, SLT_ERR_MISMATCH,
                           "the positions drawn from seed %llu have CRC-32 %08x, but the "
                           "checkpoint's have %08x",
                           (unsigned long long)m->config.seed, sum, m->config.support_crc);
    return rc;
}

// rope (head_dim, positions): cos rows, then sin rows, computed in double.
static int write_rope(struct slt_model *m, struct slt_error *err)
{
    const int64_t half = m->config.head_dim / 2, positions = m->rope.cols;
    const size_t size = slt_dtype_size(m->dtype);
    void *values = malloc((size_t)(2 * half * positions) * size);
    if (values == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the table of rotations");
    for (int64_t i = 0; i < 2 * half * positions; i++) {
        const int64_t row = i / positions % half;
        const double frequency =
            pow(m->config.rope_theta, -2.0 * (double)row / (double)m->config.head_dim);
        const double angle = (double)(i % positions) * frequency;
        const double value = i < half * positions ? cos(angle) : sin(angle);
        if (m->dtype == SLT_F64)
            ((double *)values)[i] = value;
        else
            ((float *)values)[i] = (float)value;
    }
    m->ops->write(m->ctx, m->rope.buffer, m->rope.offset, values,
                  (uint64_t)(2 * half * positions) * size);
    int rc = m->ops->synchronize(m->ctx, err);
    free(values);
    return rc;
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
    m->part = calloc(3 + layers * (2 + SLT_GROUP_KINDS * SLT_GROUP_PARTS), sizeof *m->part);
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

// A model with everything planned and nothing allocated on the device.
static int prepare(struct slt_model **model, const struct slt_device *device,
                   const struct slt_config *config, enum slt_dtype dtype,
                   const struct slt_model_shape *shape, slt_model_layout_fn *extra, void *user,
                   struct slt_error *err)
{
    struct slt_model *m = calloc(1, sizeof *m);
    if (m == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a model");
    m->ops = device->ops;
    m->ctx = device->ctx;
    m->config = *config;
    m->dtype = dtype;
    m->weight_dtype = shape->bf16 ? SLT_BF16 : dtype;
    m->act_dtype = computes_in(m, SLT_OP_LINEAR, m->weight_dtype) ? m->weight_dtype : dtype;
    m->training = shape->training;
    m->trains = shape->trains != 0 ? shape->trains : ~0u;
    m->recompute = shape->training ? shape->recompute : SLT_RECOMPUTE_NONE;
    m->route_wish = shape->cache > 0 ? SLT_ROUTE_FACTORED : shape->route;
    m->attention = (struct slt_attention){
        shape->batch,     shape->seq, config->num_attention_heads, config->num_key_value_heads,
        config->head_dim, 0};
    slt_memory_init(&m->memory, device);
    int rc = allocate_lists(m, err);
    if (rc == 0)
        rc = layout(m, shape, extra, user, err);
    if (rc != 0) {
        slt_model_free(m);
        return rc;
    }
    *model = m;
    return 0;
}

int slt_model_create(struct slt_model **model, const struct slt_device *device,
                     const struct slt_config *config, enum slt_dtype dtype,
                     const struct slt_model_shape *shape, slt_model_layout_fn *extra, void *user,
                     struct slt_error *err)
{
    struct slt_model *m;
    int rc = prepare(&m, device, config, dtype, shape, extra, user, err);
    if (rc != 0)
        return rc;
    if ((rc = slt_memory_commit(&m->memory, err)) != 0 ||
        (rc = layout(m, shape, extra, user, err)) != 0)
        goto out;
    m->ops->set_workspace(m->ctx, m->memory.buffer[SLT_REGION_WORKSPACE], m->work_offset,
                          m->work_bytes);
    m->ops->allow_reduced(m->ctx, shape->bf16);
    if ((rc = write_rope(m, err)) != 0)
        goto out;
    if (config->method == SLT_SLTRAIN && config->support.kind != SLT_SUPPORT_EXPLICIT)
        rc = draw_supports(m, err);
out:
    if (rc != 0)
        slt_model_free(m);
    else
        *model = m;
    return rc;
}

int slt_model_plan(struct slt_plan *plan, const struct slt_device *device,
                   const struct slt_config *config, enum slt_dtype dtype,
                   const struct slt_model_shape *shape, slt_model_layout_fn *extra, void *user,
                   struct slt_error *err)
{
    struct slt_model *m;
    int rc = prepare(&m, device, config, dtype, shape, extra, user, err);
    if (rc != 0)
        return rc;
    memcpy(plan->bytes, m->memory.used, sizeof plan->bytes);
    plan->parameters = slt_config_param_count(config);
    slt_model_free(m);
    return 0;
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

// ---- Resizing ----

static void resize_layer(struct slt_layer_acts *s, int64_t t)
{
    struct slt_act *const acts[] = {&s->z1, &s->n1, &s->qkv, &s->o, &s->z2, &s->n2, &s->gu, &s->a};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        acts[i]->tokens = t;
    for (int k = 0; k < SLT_GROUP_KINDS; k++)
        s->h[k].tokens = t;
    s->rstd1.cols = s->rstd1.ld = s->rstd2.cols = s->rstd2.ld = s->lse.cols = s->lse.ld = t;
}

void slt_model_resize(struct slt_model *m, int64_t batch, int64_t seq)
{
    const int64_t t = batch * seq;
    m->attention.batch = batch;
    m->attention.seq = seq;
    for (int64_t l = 0; l < (m->training ? m->config.num_hidden_layers : 1); l++)
        resize_layer(&m->acts[l], t);
    struct slt_act *const acts[] = {&m->zf,   &m->nf,      &m->branch,     &m->dres,  &m->dn,
                                    &m->dqkv, &m->dbranch, &m->scratch.dh, &m->logits};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        acts[i]->tokens = t;
    m->rstd_f.cols = m->rstd_f.ld = t;
    m->tokens.cols = m->tokens.ld = m->targets.cols = m->targets.ld = t;
}

void slt_model_set_position(struct slt_model *m, int64_t position)
{
    m->attention.position = position;
}
