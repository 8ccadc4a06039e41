// The table of architectures.
#include <stdio.h>
#include <string.h>

#include "config/architecture.h"

static const struct slt_architecture architectures[SLT_ARCHITECTURES] = {
    [SLT_LLAMA] = {
        .model_type = "llama",
        .class_name = "LlamaForCausalLM",
        .embedding = "model.embed_tokens.weight",
        .norm = "model.norm.weight",
        .head = "lm_head.weight",
        .layer = "model.layers",
        .item = {{SLT_ROLE_NORM, SLT_NORM_ATTENTION, {"input_layernorm"}},
                 {SLT_ROLE_WEIGHT,
                  SLT_GROUP_QKV,
                  {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
                 {SLT_ROLE_WEIGHT, SLT_GROUP_O, {"self_attn.o_proj"}},
                 {SLT_ROLE_NORM, SLT_NORM_MLP, {"post_attention_layernorm"}},
                 {SLT_ROLE_WEIGHT, SLT_GROUP_GATE_UP, {"mlp.gate_proj", "mlp.up_proj"}},
                 {SLT_ROLE_WEIGHT, SLT_GROUP_DOWN, {"mlp.down_proj"}}},
        .items = 6,
    }};

const struct slt_architecture *slt_architecture(const struct slt_config *config)
{
    return &architectures[config->architecture];
}

bool slt_architecture_find(enum slt_architecture_id *id, const char *model_type)
{
    for (int i = 0; i < SLT_ARCHITECTURES; i++) {
        if (strcmp(model_type, architectures[i].model_type) == 0) {
            *id = (enum slt_architecture_id)i;
            return true;
        }
    }
    return false;
}

const char *slt_group_name(enum slt_group_kind group)
{
    static const char *const names[SLT_GROUP_KINDS] = {"qkv", "o", "gate_up", "down"};
    return names[group];
}

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

char *slt_linear_name(char *text, size_t size, const struct slt_config *config, int32_t layer,
                      int32_t group, int32_t member)
{
    const struct slt_architecture *a = slt_architecture(config);
    int i = 0;
    while (a->item[i].role != SLT_ROLE_WEIGHT || a->item[i].which != group)
        i++;
    snprintf(text, size, "%s.%d.%s", a->layer, layer, a->item[i].name[member]);
    return text;
}
