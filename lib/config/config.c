// Names and checks of model configurations.
#include <string.h>

#include "config/architecture.h"
#include "config/forms.h"
#include "config/rope.h"
#include "slt/config.h"

#define MAX_DIM    ((int64_t)1 << 24)
#define MAX_LAYERS 4096

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

void slt_config_make_full(struct slt_config *c)
{
    c->method = SLT_FULL;
    c->rank = 0;
    c->alpha = c->density = 0;
    c->support = (struct slt_support_spec){0};
    c->support_crc = 0;
    c->lora_b_zero = false;
    c->layers_count = 0;
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

static int check_factors(const struct slt_config *c, struct slt_error *err)
{
    int rc;
    if ((rc = check_range("rank", c->rank, 1, MAX_DIM, err)) != 0 ||
        (rc = check_real("alpha", c->alpha, 0, 1e6, err)) != 0)
        return rc;
    if (c->rank > slt_largest_rank(c))
        return slt_error_set(err, SLT_ERR_RANGE, "rank %lld is above the smallest size %lld",
                             (long long)c->rank, (long long)slt_largest_rank(c));
    return 0;
}

static int check_sparse(const struct slt_config *c, struct slt_error *err)
{
    if (c->support.kind == SLT_SUPPORT_NONE)
        return slt_error_set(err, SLT_ERR_RANGE, "method %s needs a support",
                             slt_method_name(c->method));
    for (int kind = 0; c->support.kind == SLT_SUPPORT_BLOCK && kind < SLT_GROUP_KINDS; kind++) {
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

static int check_method(const struct slt_config *c, struct slt_error *err)
{
    int rc = slt_method_has(c->method, SLT_ROLE_LORA_A) ? check_factors(c, err) : 0;
    if (rc == 0 && slt_method_has(c->method, SLT_ROLE_SPARSE))
        rc = check_sparse(c, err);
    return rc == 0 ? slt_layers_check(c, err) : rc;
}

static int check_quantization(const struct slt_quantization *q, struct slt_error *err)
{
    if (q->type == SLT_QUANT_NONE)
        return check_range("quantization.block without a type", q->block, 0, 0, err);
    return check_range("quantization.block", q->block, 1, SLT_QUANT_BLOCK_MAX, err);
}

static int check_ends(const struct slt_config *c, struct slt_error *err)
{
    int rc = check_range("number of further ends", c->more_eos_count, 0, SLT_MORE_EOS, err);
    for (int64_t i = 0; rc == 0 && i < c->more_eos_count; i++)
        rc = check_range("eos_token_id", c->more_eos[i], 0, c->vocab_size - 1, err);
    return rc;
}

bool slt_config_is_eos(const struct slt_config *c, int64_t id)
{
    bool is = id >= 0 && id == c->eos_token_id;
    for (int64_t i = 0; i < c->more_eos_count; i++)
        is = is || id == c->more_eos[i];
    return is;
}

int slt_config_add_eos(struct slt_config *c, int64_t id, struct slt_error *err)
{
    if (slt_config_is_eos(c, id))
        return 0;
    if (c->eos_token_id < 0) {
        c->eos_token_id = id;
        return 0;
    }
    if (c->more_eos_count == SLT_MORE_EOS)
        return slt_error_set(err, SLT_ERR_RANGE, "more than %d tokens end a text",
                             SLT_MORE_EOS + 1);
    c->more_eos[c->more_eos_count++] = id;
    return 0;
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
    if (!(c->rms_norm_eps >= 0 && c->rms_norm_eps <= 1))
        return slt_error_set(err, SLT_ERR_RANGE, "rms_norm_eps %g is outside [0, 1]",
                             c->rms_norm_eps);
    if ((rc = check_real("rope_theta", c->rope_theta, 0, 1e12, err)) != 0 ||
        (rc = slt_rope_check(&c->rope_scaling, err)) != 0 ||
        (rc = check_real("initializer_range", c->initializer_range, 0, 100, err)) != 0 ||
        (rc = check_ends(c, err)) != 0 || (rc = check_quantization(&c->quantization, err)) != 0)
        return rc;
    return check_method(c, err);
}
