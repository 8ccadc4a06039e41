// The list of tensors that a configuration stands for, in file order.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/params.h"
#include "slt/checkpoint.h"
#include "slt/support.h"

static const char *const linear_names[SLT_GROUP_KINDS][SLT_GROUP_MEMBERS] = {
    [SLT_GROUP_QKV] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
    [SLT_GROUP_O] = {"self_attn.o_proj"},
    [SLT_GROUP_GATE_UP] = {"mlp.gate_proj", "mlp.up_proj"},
    [SLT_GROUP_DOWN] = {"mlp.down_proj"},
};

struct slt_group_shape slt_group_shape(const struct slt_config *c, int32_t group)
{
    const int64_t q = c->num_attention_heads * c->head_dim;
    const int64_t kv = c->num_key_value_heads * c->head_dim;
    switch (group) {
    case SLT_GROUP_QKV:
        return (struct slt_group_shape){3, c->hidden_size, {q, kv, kv}};
    case SLT_GROUP_O:
        return (struct slt_group_shape){1, q, {c->hidden_size}};
    case SLT_GROUP_GATE_UP:
        return (struct slt_group_shape){
            2, c->hidden_size, {c->intermediate_size, c->intermediate_size}};
    default:
        return (struct slt_group_shape){1, c->intermediate_size, {c->hidden_size}};
    }
}

char *slt_linear_name(char *text, size_t size, int32_t layer, int32_t group, int32_t member)
{
    snprintf(text, size, "model.layers.%d.%s", layer, linear_names[group][member]);
    return text;
}

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

static void add_plain(struct builder *b, const char *name, int32_t layer, enum slt_role role,
                      int64_t rows, int64_t cols)
{
    struct slt_param_info info = {.role = role, .rows = rows, .cols = cols, .layer = layer};
    info.is_vector = role == SLT_ROLE_NORM;
    info.group = info.member = -1;
    if (layer < 0)
        snprintf(info.name, sizeof info.name, "%s", name);
    else
        snprintf(info.name, sizeof info.name, "model.layers.%d.%s", layer, name);
    add(b, info);
}

static void add_linear(struct builder *b, const struct slt_config *c, int32_t layer, int32_t group,
                       int32_t member)
{
    const struct slt_group_shape shape = slt_group_shape(c, group);
    const int64_t out = shape.out[member], in = shape.in;
    const struct {
        const char *suffix;
        enum slt_role role;
        int64_t rows, cols;
        bool present;
    } parts[] = {
        {"weight", SLT_ROLE_WEIGHT, out, in, c->method == SLT_FULL || c->method == SLT_RELORA},
        {"lora_A", SLT_ROLE_LORA_A, c->rank, in, c->method != SLT_FULL},
        {"lora_B", SLT_ROLE_LORA_B, out, c->rank, c->method != SLT_FULL},
        {"sparse_index", SLT_ROLE_INDEX, 1, slt_support_count(&c->support, c->density, out, in),
         c->method == SLT_SLTRAIN && c->support.kind == SLT_SUPPORT_EXPLICIT},
        {"sparse_value", SLT_ROLE_SPARSE, 1, slt_support_count(&c->support, c->density, out, in),
         c->method == SLT_SLTRAIN},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!parts[i].present)
            continue;
        struct slt_param_info info = {
            .role = parts[i].role,
            .rows = parts[i].rows,
            .cols = parts[i].cols,
            .is_vector = parts[i].role == SLT_ROLE_SPARSE || parts[i].role == SLT_ROLE_INDEX,
            .frozen = parts[i].role == SLT_ROLE_INDEX ||
                      (parts[i].role == SLT_ROLE_WEIGHT && c->method == SLT_RELORA),
            .layer = layer,
            .group = group,
            .member = member,
            .out = out,
            .in = in};
        char linear[100];
        slt_linear_name(linear, sizeof linear, layer, group, member);
        snprintf(info.name, sizeof info.name, "%s.%s", linear, parts[i].suffix);
        add(b, info);
    }
}

static void add_all(struct builder *b, const struct slt_config *c)
{
    add_plain(b, "model.embed_tokens.weight", -1, SLT_ROLE_EMBEDDING, c->vocab_size,
              c->hidden_size);
    for (int32_t layer = 0; layer < c->num_hidden_layers; layer++) {
        add_plain(b, "input_layernorm.weight", layer, SLT_ROLE_NORM, 1, c->hidden_size);
        for (int32_t m = 0; m < 3; m++)
            add_linear(b, c, layer, SLT_GROUP_QKV, m);
        add_linear(b, c, layer, SLT_GROUP_O, 0);
        add_plain(b, "post_attention_layernorm.weight", layer, SLT_ROLE_NORM, 1, c->hidden_size);
        for (int32_t m = 0; m < 2; m++)
            add_linear(b, c, layer, SLT_GROUP_GATE_UP, m);
        add_linear(b, c, layer, SLT_GROUP_DOWN, 0);
    }
    add_plain(b, "model.norm.weight", -1, SLT_ROLE_NORM, 1, c->hidden_size);
    if (!c->tie_word_embeddings)
        add_plain(b, "lm_head.weight", -1, SLT_ROLE_HEAD, c->vocab_size, c->hidden_size);
}

enum slt_dtype slt_param_dtype(const struct slt_param_info *p)
{
    if (p->role != SLT_ROLE_INDEX)
        return SLT_F32;
    return p->out * p->in < (int64_t)1 << 31 ? SLT_I32 : SLT_I64;
}

void slt_param_tensor(struct slt_tensor_info *tensor, const struct slt_param_info *p)
{
    *tensor = (struct slt_tensor_info){.dtype = slt_param_dtype(p), .dims = p->is_vector ? 1 : 2};
    memcpy(tensor->name, p->name, sizeof tensor->name);
    tensor->shape[0] = p->is_vector ? p->cols : p->rows;
    tensor->shape[1] = p->is_vector ? 0 : p->cols;
    tensor->bytes = (uint64_t)(p->rows * p->cols) * slt_dtype_size(tensor->dtype);
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
