// The list of tensors that a configuration stands for, in file order.
#include <stdio.h>
#include <stdlib.h>

#include "config/architecture.h"
#include "config/linear_kind.h"

// A growing list that only counts while list is NULL.
struct builder {
    struct slt_param_info *list;
    size_t count;
};

static void add(struct builder *b, struct slt_param_info info)
{
    if (b->list != NULL)
        b->list[b->count] = info;
    b->count++;
}

// An embedding, a norm (of its kind, else -1) or the head.
static void add_plain(struct builder *b, const char *name, enum slt_role role, int32_t norm,
                      int64_t rows, int64_t cols)
{
    struct slt_param_info info = {.role = role, .rows = rows, .cols = cols, .norm = norm};
    info.is_vector = role == SLT_ROLE_NORM;
    info.layer = info.group = info.member = -1;
    snprintf(info.name, sizeof info.name, "%s", name);
    add(b, info);
}

// The name and the shape that a linear's tensor has by its role.
static const char *shape_by_role(struct slt_param_info *info)
{
    const struct slt_form *form = &info->form;
    switch (info->role) {
    case SLT_ROLE_WEIGHT:
        info->rows = info->out, info->cols = info->in;
        return "weight";
    case SLT_ROLE_LORA_A:
        info->rows = form->rank, info->cols = info->in;
        return "lora_A";
    case SLT_ROLE_LORA_B:
        info->rows = info->out, info->cols = form->rank;
        return "lora_B";
    default:
        info->rows = 1;
        info->cols = slt_support_count(&form->support, form->density, info->out, info->in);
        info->is_vector = true;
        return info->role == SLT_ROLE_INDEX ? "sparse_index" : "sparse_value";
    }
}

static void add_linear(struct builder *b, const struct slt_config *c, int32_t layer, int32_t group,
                       int32_t member)
{
    const struct slt_group_shape shape = slt_group_shape(c, group);
    const struct slt_form form = slt_config_form(c, layer, group);
    const struct slt_kind_info *kind = slt_kind_info(form.method);
    for (int i = 0; i < kind->tensors; i++) {
        // Positions that a seed gives are in no file.
        if (kind->tensor[i].role == SLT_ROLE_INDEX && form.support.kind != SLT_SUPPORT_EXPLICIT)
            continue;
        struct slt_param_info info = {.role = kind->tensor[i].role,
                                      .frozen = kind->tensor[i].frozen,
                                      .layer = layer,
                                      .norm = -1,
                                      .group = group,
                                      .member = member,
                                      .out = shape.out[member],
                                      .in = shape.in,
                                      .form = form};
        const char *suffix = shape_by_role(&info);
        char linear[100];
        slt_linear_name(linear, sizeof linear, c, layer, group, member);
        snprintf(info.name, sizeof info.name, "%s.%s", linear, suffix);
        add(b, info);
    }
}

static void add_layer(struct builder *b, const struct slt_config *c, int32_t layer)
{
    const struct slt_architecture *a = slt_architecture(c);
    for (int i = 0; i < a->items; i++) {
        const struct slt_layer_item *item = &a->item[i];
        if (item->role == SLT_ROLE_NORM) {
            struct slt_param_info info = {.role = SLT_ROLE_NORM,
                                          .rows = 1,
                                          .cols = c->hidden_size,
                                          .is_vector = true,
                                          .layer = layer,
                                          .norm = item->which,
                                          .group = -1,
                                          .member = -1};
            snprintf(info.name, sizeof info.name, "%s.%d.%s.weight", a->layer, layer,
                     item->name[0]);
            add(b, info);
            continue;
        }
        for (int32_t m = 0; m < slt_group_shape(c, item->which).members; m++)
            add_linear(b, c, layer, item->which, m);
    }
}

static void add_all(struct builder *b, const struct slt_config *c)
{
    const struct slt_architecture *a = slt_architecture(c);
    add_plain(b, a->embedding, SLT_ROLE_EMBEDDING, -1, c->vocab_size, c->hidden_size);
    for (int32_t layer = 0; layer < c->num_hidden_layers; layer++)
        add_layer(b, c, layer);
    add_plain(b, a->norm, SLT_ROLE_NORM, SLT_NORM_FINAL, 1, c->hidden_size);
    if (!c->tie_word_embeddings)
        add_plain(b, a->head, SLT_ROLE_HEAD, -1, c->vocab_size, c->hidden_size);
}

enum slt_dtype slt_param_dtype(const struct slt_param_info *p)
{
    if (p->role != SLT_ROLE_INDEX)
        return SLT_F32;
    return p->out * p->in < (int64_t)1 << 31 ? SLT_I32 : SLT_I64;
}

int slt_config_params(const struct slt_config *config, struct slt_param_info **list, size_t *count,
                      struct slt_error *err)
{
    int rc = slt_config_check(config, err);
    if (rc != 0)
        return rc;
    struct builder b = {0};
    add_all(&b, config);
    struct slt_param_info *infos = calloc(b.count, sizeof *infos);
    if (infos == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the list of %zu tensors",
                             b.count);
    b = (struct builder){.list = infos};
    add_all(&b, config);
    *list = infos;
    *count = b.count;
    return 0;
}

uint64_t slt_config_param_count(const struct slt_config *config)
{
    struct slt_param_info *list;
    size_t count;
    uint64_t sum = 0;
    if (slt_config_params(config, &list, &count, NULL) != 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        if (!list[i].frozen)
            sum += (uint64_t)list[i].rows * (uint64_t)list[i].cols;
    free(list);
    return sum;
}
