// The parameters of a model in memory: parts, groups, and where each parameter lies.
#include "config/linear_kind.h"
#include "model/bands.h"
#include "model/layout.h"
#include "slt/quantize.h"
#include "slt/support.h"

// A part, whose values are kept in the codes of the file if coded is set.
static int add_part_coded(struct slt_model *m, enum slt_role role, int64_t rows, int64_t cols,
                          bool coded)
{
    struct slt_part *part = &m->part[m->part_count];
    const int64_t block = m->config.quantization.block;
    *part =
        (struct slt_part){.role = role, .unit = m->part_count, .frozen = !(m->trains >> role & 1)};
    part->value = slt_memory_tensor(&m->memory, SLT_REGION_WEIGHTS,
                                    coded                   ? SLT_I8
                                    : role == SLT_ROLE_NORM ? m->dtype
                                                            : m->weight_dtype,
                                    rows, cols);
    if (coded) {
        const struct slt_tensor absmax =
            slt_memory_tensor(&m->memory, SLT_REGION_WEIGHTS, SLT_F32, 1,
                              slt_quant_blocks(&m->config.quantization, rows * cols));
        part->value.absmax = absmax.offset;
        part->value.block = block;
    }
    return m->part_count++;
}

static int add_part(struct slt_model *m, enum slt_role role, int64_t rows, int64_t cols)
{
    return add_part_coded(m, role, rows, cols, m->coded && role != SLT_ROLE_NORM);
}

// ---- Groups ----

// Whether supports come with the index of their bands.
static bool has_bands(const struct slt_model *m)
{
    return slt_bands_fit(&m->config.support) &&
           slt_model_computes_in(m, SLT_OP_BANDS, m->act_dtype);
}

static struct slt_csr layout_support(struct slt_model *m, const struct slt_group *g,
                                     const struct slt_form *form)
{
    struct slt_csr s = {.rows = g->rows, .cols = g->shape.in};
    for (int i = 0; i < g->shape.members; i++)
        s.nnz += slt_support_count(&form->support, form->density, g->own[i], g->shape.in);
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

// What all members of a group have of a role, stacked.
static void stacked_shape(int64_t *rows, int64_t *cols, const struct slt_group *g,
                          enum slt_role role)
{
    *rows = role == SLT_ROLE_SPARSE   ? 1
            : role == SLT_ROLE_LORA_A ? g->shape.members * g->rank
                                      : g->rows;
    *cols = role == SLT_ROLE_SPARSE   ? g->support.nnz
            : role == SLT_ROLE_LORA_B ? g->rank
                                      : g->shape.in;
}

// The group's tensor of a role, and its part.
static struct slt_tensor *tensor_of(struct slt_group *g, enum slt_role role, int **part)
{
    switch (role) {
    case SLT_ROLE_WEIGHT:
        *part = &g->w_part;
        return &g->w;
    case SLT_ROLE_LORA_A:
        *part = &g->a_part;
        return &g->a;
    case SLT_ROLE_LORA_B:
        *part = &g->b_part;
        return &g->b;
    default:
        *part = &g->values_part;
        return &g->values;
    }
}

// Elements of member i in its group's tensor of a role with as many in every layout.
static int64_t factor_elements(const struct slt_group *g, enum slt_role role, int i)
{
    const int64_t in = g->shape.in, out = g->shape.out[i];
    return role == SLT_ROLE_WEIGHT   ? out * in
           : role == SLT_ROLE_LORA_A ? g->rank * in
                                     : out * g->rank;
}

// Whether a group's tensor can be kept in codes: products of sparse matrices take none, and every
// member's blocks have to be blocks of the stacked tensor.
static bool can_be_coded(const struct slt_model *m, const struct slt_group *g, enum slt_role role)
{
    bool can = m->coded && role != SLT_ROLE_SPARSE;
    for (int i = 0; can && i + 1 < g->shape.members; i++)
        can = factor_elements(g, role, i) % m->config.quantization.block == 0;
    return can;
}

// The features of gate up to where up begins (struct slt_ops, up_align).
static int64_t spread(const struct slt_model *m, int64_t features)
{
    const int64_t align = m->ops->up_align;
    return align > 0 ? (features + align - 1) / align * align : features;
}

static void layout_group(struct slt_model *m, struct slt_group *g, int64_t layer, int kind,
                         int64_t tokens)
{
    const struct slt_form form = slt_config_form(&m->config, layer, kind);
    const struct slt_kind_info *info = slt_kind_info(form.method);
    *g = (struct slt_group){.kind = slt_linear_kind(form.method),
                            .shape = slt_group_shape(&m->config, kind),
                            .rank = form.rank,
                            .scale = form.scale,
                            .first_part = m->part_count};
    for (int i = 0; i < g->shape.members; i++) {
        g->own[i] = g->shape.out[i];
        if (kind == SLT_GROUP_GATE_UP)
            g->shape.out[i] = spread(m, g->own[i]);
        g->rows += g->shape.out[i];
        g->outputs += g->own[i];
    }
    if (slt_method_has(form.method, SLT_ROLE_SPARSE))
        g->support = layout_support(m, g, &form);
    for (int i = 0; i < info->tensors; i++) {
        const struct slt_kind_tensor *t = &info->tensor[i];
        if (t->role == SLT_ROLE_INDEX) // lies with the support
            continue;
        int64_t rows, cols;
        int *part;
        stacked_shape(&rows, &cols, g, t->role);
        struct slt_tensor *tensor = tensor_of(g, t->role, &part);
        *part = add_part_coded(m, t->role, rows, cols, can_be_coded(m, g, t->role));
        *tensor = m->part[*part].value;
        m->part[*part].unit = g->first_part;
        m->part[*part].frozen |= t->frozen;
    }
    g->parts = m->part_count - g->first_part;
    g->route = !g->kind->routes                  ? SLT_ROUTE_FACTORED
               : m->route_wish != SLT_ROUTE_AUTO ? m->route_wish
                                                 : slt_route_choose(g, tokens, &m->ops->route_cost);
}

// ---- The whole ----

// Elements of member i of a group in the part that a parameter lies in.
static int64_t member_elements(const struct slt_param_info *p, const struct slt_group *g, int i)
{
    return p->role == SLT_ROLE_SPARSE || p->role == SLT_ROLE_INDEX
               ? slt_support_count(&p->form.support, p->form.density, g->own[i], g->shape.in)
               : factor_elements(g, p->role, i);
}

// The part that holds a parameter, and where in it.
static void place_param(struct slt_model *m, struct slt_param *p)
{
    const struct slt_param_info *info = &p->info;
    p->first = 0;
    if (info->role == SLT_ROLE_EMBEDDING || info->role == SLT_ROLE_HEAD) {
        p->part = info->role == SLT_ROLE_HEAD ? m->head_part : m->embedding_part;
        return;
    }
    if (info->role == SLT_ROLE_NORM) {
        p->part = info->norm == SLT_NORM_FINAL ? m->norm_part
                                               : m->layer[info->layer].norm_part[info->norm];
        return;
    }
    // Positions are no part of their own; they lie with the group, by the element of their values.
    struct slt_group *g = &m->layer[info->layer].group[info->group];
    int *part;
    tensor_of(g, info->role, &part);
    p->part = *part;
    for (int i = 0; i < info->member; i++)
        p->first += member_elements(info, g, i);
}

void slt_model_layout_parts(struct slt_model *m, int64_t tokens)
{
    const struct slt_config *c = &m->config;
    const struct slt_architecture *a = slt_architecture(c);
    m->part_count = 0;
    m->embedding_part = add_part(m, SLT_ROLE_EMBEDDING, c->vocab_size, c->hidden_size);
    for (int64_t l = 0; l < c->num_hidden_layers; l++) {
        struct slt_layer *layer = &m->layer[l];
        for (int i = 0; i < a->items; i++) {
            const struct slt_layer_item *item = &a->item[i];
            if (item->role == SLT_ROLE_NORM)
                layer->norm_part[item->which] = add_part(m, SLT_ROLE_NORM, 1, c->hidden_size);
            else
                layout_group(m, &layer->group[item->which], l, item->which, tokens);
        }
    }
    m->norm_part = add_part(m, SLT_ROLE_NORM, 1, c->hidden_size);
    m->head_part = m->embedding_part;
    if (!c->tie_word_embeddings)
        m->head_part = add_part(m, SLT_ROLE_HEAD, c->vocab_size, c->hidden_size);
    for (size_t i = 0; i < m->param_count; i++)
        place_param(m, &m->param[i]);
}
