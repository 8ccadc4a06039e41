// Presets, names and checks of model configurations.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/params.h"
#include "slt/config.h"
#include "slt/number.h"
#include "slt/support.h"

#define MAX_DIM    ((int64_t)1 << 24)
#define MAX_LAYERS 4096

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

static const char *const method_names[SLT_METHOD_COUNT] = {"full", "lowrank", "sltrain", "relora"};

const char *slt_method_name(enum slt_method method)
{
    return method_names[method];
}

int slt_method_parse(enum slt_method *method, const char *text, struct slt_error *err)
{
    for (int i = 0; i < SLT_METHOD_COUNT; i++) {
        if (strcmp(text, method_names[i]) == 0) {
            *method = (enum slt_method)i;
            return 0;
        }
    }
    return slt_error_set(err, SLT_ERR_RANGE,
                         "unknown method '%s' (known: full, lowrank, sltrain, relora)", text);
}

static const char *const quant_names[SLT_QUANT_TYPES] = {"none", "int8", "dyn8", "nf4"};

const char *slt_quant_name(enum slt_quant_type type)
{
    return quant_names[type];
}

int slt_quant_parse(enum slt_quant_type *type, const char *text, struct slt_error *err)
{
    for (int i = SLT_QUANT_NONE + 1; i < SLT_QUANT_TYPES; i++) {
        if (strcmp(text, quant_names[i]) == 0) {
            *type = (enum slt_quant_type)i;
            return 0;
        }
    }
    return slt_error_set(err, SLT_ERR_RANGE,
                         "unknown type of quantization '%s' (known: int8, dyn8, nf4)", text);
}

int slt_support_parse(struct slt_support_spec *spec, const char *text, struct slt_error *err)
{
    if (strcmp(text, "random") == 0) {
        *spec = (struct slt_support_spec){SLT_SUPPORT_RANDOM, 0, 0};
        return 0;
    }
    if (strcmp(text, "explicit") == 0) {
        *spec = (struct slt_support_spec){SLT_SUPPORT_EXPLICIT, 0, 0};
        return 0;
    }
    int rows, cols, end = 0;
    if (sscanf(text, "block:%4dx%4d%n", &rows, &cols, &end) == 2 && text[end] == '\0' && rows > 0 &&
        cols > 0) {
        *spec = (struct slt_support_spec){SLT_SUPPORT_BLOCK, rows, cols};
        return 0;
    }
    return slt_error_set(err, SLT_ERR_RANGE,
                         "unknown support '%s' (known: random, block:RxC, explicit)", text);
}

char *slt_support_format(char *text, size_t size, const struct slt_support_spec *spec)
{
    static const char *const names[] = {"none", "random", "block", "explicit"};
    if (spec->kind == SLT_SUPPORT_BLOCK)
        snprintf(text, size, "block:%dx%d", spec->block_rows, spec->block_cols);
    else
        snprintf(text, size, "%s", names[spec->kind]);
    return text;
}

const char *slt_config_preset_name(size_t index)
{
    return index < sizeof presets / sizeof *presets ? presets[index].name : NULL;
}

int slt_config_preset(struct slt_config *config, const char *name, struct slt_error *err)
{
    for (size_t i = 0; slt_config_preset_name(i) != NULL; i++) {
        const struct preset *p = &presets[i];
        if (strcmp(name, p->name) != 0)
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
        if (strcmp(preset, presets[i].name) == 0) {
            config->rank = presets[i].rank;
            config->density = presets[i].density;
            config->alpha = presets[i].alpha;
        }
    }
}

void slt_config_make_full(struct slt_config *c)
{
    c->method = SLT_FULL;
    c->rank = 0;
    c->alpha = c->density = 0;
    c->support = (struct slt_support_spec){0};
    c->support_crc = 0;
    c->lora_b_zero = false;
    c->quantization = (struct slt_quantization){0};
}

static int check_range(const char *key, int64_t value, int64_t min, int64_t max,
                       struct slt_error *err)
{
    if (value >= min && value <= max)
        return 0;
    return slt_error_set(err, SLT_ERR_RANGE, "%s %lld is outside [%lld, %lld]", key,
                         (long long)value, (long long)min, (long long)max);
}

static int check_real(const char *key, double value, double above, double max,
                      struct slt_error *err)
{
    if (value > above && value <= max)
        return 0;
    return slt_error_set(err, SLT_ERR_RANGE, "%s %g is outside (%g, %g]", key, value, above, max);
}

static int check_method(const struct slt_config *c, struct slt_error *err)
{
    int rc;
    if (c->method == SLT_FULL)
        return 0;
    if ((rc = check_range("rank", c->rank, 1, MAX_DIM, err)) != 0 ||
        (rc = check_real("alpha", c->alpha, 0, 1e6, err)) != 0)
        return rc;
    const int64_t least =
        c->hidden_size < c->intermediate_size ? c->hidden_size : c->intermediate_size;
    if (c->rank > least)
        return slt_error_set(err, SLT_ERR_RANGE, "rank %lld is above the smallest size %lld",
                             (long long)c->rank, (long long)least);
    if (c->method != SLT_SLTRAIN)
        return 0;
    if (c->support.kind == SLT_SUPPORT_NONE)
        return slt_error_set(err, SLT_ERR_RANGE, "method sltrain needs a support");
    if (c->support.kind == SLT_SUPPORT_BLOCK)
        for (int kind = 0; kind < SLT_GROUP_KINDS; kind++) {
            const struct slt_group_shape g = slt_group_shape(c, kind);
            for (int m = 0; m < g.members; m++)
                if (c->support.block_rows > g.out[m] || c->support.block_cols > g.in)
                    return slt_error_set(err, SLT_ERR_RANGE,
                                         "a block of %dx%d does not fit into a linear of %lldx%lld",
                                         c->support.block_rows, c->support.block_cols,
                                         (long long)g.out[m], (long long)g.in);
        }
    return check_real("density", c->density, 0, 1, err);
}

static int check_quantization(const struct slt_quantization *q, struct slt_error *err)
{
    if (q->type == SLT_QUANT_NONE)
        return check_range("quantization.block without a type", q->block, 0, 0, err);
    return check_range("quantization.block", q->block, 1, SLT_QUANT_BLOCK_MAX, err);
}

int slt_config_check(const struct slt_config *c, struct slt_error *err)
{
    const struct {
        const char *key;
        int64_t value, min, max;
    } whole[] = {
        {"vocab_size", c->vocab_size, 2, MAX_DIM},
        {"hidden_size", c->hidden_size, 2, MAX_DIM},
        {"intermediate_size", c->intermediate_size, 1, MAX_DIM},
        {"num_hidden_layers", c->num_hidden_layers, 1, MAX_LAYERS},
        {"num_attention_heads", c->num_attention_heads, 1, 4096},
        {"num_key_value_heads", c->num_key_value_heads, 1, c->num_attention_heads},
        {"head_dim", c->head_dim, 2, 4096},
        {"max_position_embeddings", c->max_position_embeddings, 1, MAX_DIM},
        {"bos_token_id", c->bos_token_id, -1, c->vocab_size - 1},
        {"eos_token_id", c->eos_token_id, -1, c->vocab_size - 1},
        {"pad_token_id", c->pad_token_id, -1, c->vocab_size - 1},
    };
    int rc;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if ((rc = check_range(whole[i].key, whole[i].value, whole[i].min, whole[i].max, err)) != 0)
            return rc;
    if (c->num_attention_heads % c->num_key_value_heads != 0)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "num_attention_heads %lld is no multiple of num_key_value_heads %lld",
                             (long long)c->num_attention_heads, (long long)c->num_key_value_heads);
    if (c->head_dim % 2 != 0)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "head_dim %lld is odd, which rotary positions cannot use",
                             (long long)c->head_dim);
    if ((rc = check_real("rms_norm_eps", c->rms_norm_eps, 0, 1, err)) != 0 ||
        (rc = check_real("rope_theta", c->rope_theta, 0, 1e12, err)) != 0 ||
        (rc = check_real("initializer_range", c->initializer_range, 0, 100, err)) != 0 ||
        (rc = check_quantization(&c->quantization, err)) != 0)
        return rc;
    return check_method(c, err);
}
