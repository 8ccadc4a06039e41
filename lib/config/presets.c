// The sizes of the paper's models and what its method has at each of them.
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "slt/config.h"

// Sizes, and the method's rank, density and alpha: the paper's from 60m on (arXiv 2406.02214),
// before that a quarter of the hidden size and of the rank.
static const struct preset {
    const char *name;
    int64_t hidden, intermediate, heads, layers;
    int64_t rank;
    double density, alpha;
} presets[] = {
    {"nano", 128, 352, 4, 4, 32, .03, 8},       {"9m", 128, 352, 4, 4, 32, .03, 8},
    {"20m", 256, 688, 4, 4, 64, .03, 16},       {"35m", 384, 1024, 8, 6, 96, .03, 24},
    {"60m", 512, 1376, 8, 8, 128, .03, 32},     {"130m", 768, 2048, 12, 12, 256, .03, 16},
    {"350m", 1024, 2736, 16, 24, 256, .03, 16}, {"1b", 2048, 5461, 32, 24, 512, .03, 8},
    {"7b", 4096, 11008, 32, 32, 1024, .05, 8},
};

const char *slt_config_preset_name(size_t index)
{
    return index < sizeof presets / sizeof *presets ? presets[index].name : NULL;
}

const char *slt_config_preset_find(const char *name)
{
    const char *known;
    for (size_t i = 0; (known = slt_config_preset_name(i)) != NULL; i++)
        if (strcasecmp(name, known) == 0)
            return known;
    return NULL;
}

int slt_config_preset(struct slt_config *config, const char *name, struct slt_error *err)
{
    for (size_t i = 0; slt_config_preset_name(i) != NULL; i++) {
        const struct preset *p = &presets[i];
        if (strcasecmp(name, p->name) != 0)
            continue;
        *config = (struct slt_config){
            .vocab_size = i == 0 ? 4096 : 32000,
            .hidden_size = p->hidden,
            .intermediate_size = p->intermediate,
            .num_hidden_layers = p->layers,
            .num_attention_heads = p->heads,
            .num_key_value_heads = p->heads,
            .head_dim = p->hidden / p->heads,
            .max_position_embeddings = 1024,
            .rms_norm_eps = 1e-6,
            .rope_theta = 10000,
            .initializer_range = 0.02,
            .bos_token_id = -1,
            .eos_token_id = -1,
            .pad_token_id = -1,
        };
        return 0;
    }
    char known[128] = "";
    for (size_t i = 0; slt_config_preset_name(i) != NULL; i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "",
                 slt_config_preset_name(i));
    return slt_error_set(err, SLT_ERR_RANGE, "unknown preset '%s' (known: %s)", name, known);
}

void slt_config_method_defaults(struct slt_config *config, const char *preset)
{
    config->rank = config->hidden_size / 4 > 0 ? config->hidden_size / 4 : 1;
    config->density = .03;
    config->alpha = (double)config->rank / 4;
    for (size_t i = 0; preset != NULL && slt_config_preset_name(i) != NULL; i++) {
        if (strcasecmp(preset, presets[i].name) == 0) {
            config->rank = presets[i].rank;
            config->density = presets[i].density;
            config->alpha = presets[i].alpha;
        }
    }
}
