// config.json: Hugging Face's LlamaConfig keys plus our "slt" object.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/architecture.h"
#include "core/json.h"
#include "slt/config.h"

#define SUPPORT_SCHEME "slt-support-1"

// ---- Reading ----

// Where a sentence about a key comes from.
struct source {
    const char *name;
    struct slt_error *err;
};

static int bad(const struct source *s, const char *key, const char *what)
{
    return slt_error_set(s->err, SLT_ERR_FORMAT, "'%s': \"%s\" %s", s->name, key, what);
}

// A whole number; absent or null gives the fallback.
static int get_whole(const struct source *s, const json_t *object, const char *key,
                     int64_t fallback, int64_t *value)
{
    const json_t *item = json_object_get(object, key);
    if (item != NULL && !json_is_null(item) && !json_is_integer(item))
        return bad(s, key, "is no whole number");
    *value = json_is_integer(item) ? json_integer_value(item) : fallback;
    return 0;
}

static int get_required(const struct source *s, const json_t *object, const char *key,
                        int64_t *value)
{
    if (!json_is_integer(json_object_get(object, key)))
        return bad(s, key, "is missing or no whole number");
    return get_whole(s, object, key, 0, value);
}

static int get_real(const struct source *s, const json_t *object, const char *key, double fallback,
                    double *value)
{
    const json_t *item = json_object_get(object, key);
    if (item != NULL && !json_is_null(item) && !json_is_number(item))
        return bad(s, key, "is no number");
    *value = json_is_number(item) ? json_number_value(item) : fallback;
    return 0;
}

static int get_flag(const struct source *s, const json_t *object, const char *key, bool *value)
{
    const json_t *item = json_object_get(object, key);
    if (item != NULL && !json_is_null(item) && !json_is_boolean(item))
        return bad(s, key, "is neither true nor false");
    *value = json_is_true(item);
    return 0;
}

// A token, or a list of them, of which the first one is given out.
static int get_token(const struct source *s, const json_t *object, const char *key, int64_t *value)
{
    const json_t *item = json_object_get(object, key);
    if (json_is_array(item) && json_is_integer(json_array_get(item, 0))) {
        *value = json_integer_value(json_array_get(item, 0));
        return 0;
    }
    return get_whole(s, object, key, -1, value);
}

// eos_token_id may be a list.
static int get_ends(const struct source *s, const json_t *object, struct slt_config *c)
{
    const json_t *list = json_object_get(object, "eos_token_id"), *one;
    size_t i;
    int rc = get_token(s, object, "eos_token_id", &c->eos_token_id);
    json_array_foreach (list, i, one) {
        if (!json_is_integer(one))
            return bad(s, "eos_token_id", "is no list of whole numbers");
        if (rc == 0 && (rc = slt_config_add_eos(c, json_integer_value(one), s->err)) != 0)
            slt_error_prefix(s->err, rc, "'%s'", s->name);
    }
    return rc;
}

// The architecture, and keys that would change the function computed.
static int refuse_unsupported(const struct source *s, const json_t *object, struct slt_config *c)
{
    static const char *const flags[] = {"attention_bias", "mlp_bias"};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (json_is_true(json_object_get(object, flags[i])))
            return bad(s, flags[i], "is true, which is not supported");
    static const char *const scaling[] = {"rope_scaling", "rope_parameters"};
    for (size_t i = 0; i < sizeof scaling / sizeof *scaling; i++) {
        const json_t *rope = json_object_get(object, scaling[i]);
        const char *type = json_string_value(json_object_get(rope, "rope_type"));
        if (rope != NULL && !json_is_null(rope) && (type == NULL || strcmp(type, "default") != 0))
            return bad(s, scaling[i], "scales rotary positions, which is not supported");
    }
    const json_t *act = json_object_get(object, "hidden_act");
    if (act != NULL && (!json_is_string(act) || strcmp(json_string_value(act), "silu") != 0))
        return bad(s, "hidden_act", "is not \"silu\", the only one supported");
    const json_t *type = json_object_get(object, "model_type");
    if (type != NULL && (!json_is_string(type) ||
                         !slt_architecture_find(&c->architecture, json_string_value(type))))
        return bad(s, "model_type", "is not \"llama\", the only one supported");
    return 0;
}

static int read_llama(const struct source *s, const json_t *o, struct slt_config *c)
{
    int rc;
    const json_t *rope = json_object_get(o, "rope_parameters");
    if ((rc = refuse_unsupported(s, o, c)) != 0 ||
        (rc = get_required(s, o, "vocab_size", &c->vocab_size)) != 0 ||
        (rc = get_required(s, o, "hidden_size", &c->hidden_size)) != 0 ||
        (rc = get_required(s, o, "intermediate_size", &c->intermediate_size)) != 0 ||
        (rc = get_required(s, o, "num_hidden_layers", &c->num_hidden_layers)) != 0 ||
        (rc = get_required(s, o, "num_attention_heads", &c->num_attention_heads)) != 0 ||
        (rc = get_whole(s, o, "num_key_value_heads", c->num_attention_heads,
                        &c->num_key_value_heads)) != 0 ||
        (rc = get_whole(s, o, "max_position_embeddings", 2048, &c->max_position_embeddings)) != 0 ||
        (rc = get_real(s, o, "rms_norm_eps", 1e-6, &c->rms_norm_eps)) != 0 ||
        (rc = get_real(s, o, "rope_theta", 10000, &c->rope_theta)) != 0 ||
        (rc = get_real(s, rope, "rope_theta", c->rope_theta, &c->rope_theta)) != 0 ||
        (rc = get_real(s, o, "initializer_range", 0.02, &c->initializer_range)) != 0 ||
        (rc = get_flag(s, o, "tie_word_embeddings", &c->tie_word_embeddings)) != 0 ||
        (rc = get_token(s, o, "bos_token_id", &c->bos_token_id)) != 0 ||
        (rc = get_ends(s, o, c)) != 0 ||
        (rc = get_token(s, o, "pad_token_id", &c->pad_token_id)) != 0)
        return rc;
    int64_t natural = 0;
    if (c->num_attention_heads > 0 && c->hidden_size % c->num_attention_heads == 0)
        natural = c->hidden_size / c->num_attention_heads;
    return get_whole(s, o, "head_dim", natural, &c->head_dim);
}

// Absent or null: the weights are plain.
static int read_quantization(const struct source *s, const json_t *o, struct slt_quantization *q)
{
    const json_t *type = json_object_get(o, "type");
    if (o == NULL || json_is_null(o))
        return 0;
    if (!json_is_string(type))
        return bad(s, "slt.quantization.type", "is missing or no string");
    int rc = slt_quant_parse(&q->type, json_string_value(type), s->err);
    if (rc != 0)
        return slt_error_prefix(s->err, rc, "'%s'", s->name);
    return get_required(s, o, "block", &q->block);
}

static int read_slt(const struct source *s, const json_t *o, struct slt_config *c)
{
    int rc;
    int64_t seed, crc;
    const json_t *method = json_object_get(o, "method");
    if (!json_is_string(method))
        return bad(s, "slt.method", "is missing or no string");
    if ((rc = slt_method_parse(&c->method, json_string_value(method), s->err)) != 0)
        return slt_error_prefix(s->err, rc, "'%s'", s->name);
    if ((rc = get_whole(s, o, "seed", 0, &seed)) != 0)
        return rc;
    c->seed = (uint64_t)seed;
    if ((rc = read_quantization(s, json_object_get(o, "quantization"), &c->quantization)) != 0)
        return rc;
    if (slt_method_has(c->method, SLT_ROLE_LORA_A) &&
        ((rc = get_required(s, o, "rank", &c->rank)) != 0 ||
         (rc = get_real(s, o, "alpha", (double)c->rank, &c->alpha)) != 0 ||
         (rc = get_flag(s, o, "lora_b_zero", &c->lora_b_zero)) != 0))
        return rc;
    if (!slt_method_has(c->method, SLT_ROLE_SPARSE))
        return 0;
    const json_t *support = json_object_get(o, "support");
    const json_t *scheme = json_object_get(o, "support_scheme");
    if (!json_is_string(support) ||
        slt_support_parse(&c->support, json_string_value(support), NULL) != 0)
        return bad(s, "slt.support", "is missing or not random, block:RxC or explicit");
    if ((rc = get_real(s, o, "density", 0, &c->density)) != 0 ||
        c->support.kind == SLT_SUPPORT_EXPLICIT)
        return rc;
    if (!json_is_string(scheme) || strcmp(json_string_value(scheme), SUPPORT_SCHEME) != 0)
        return bad(s, "slt.support_scheme", "is not \"" SUPPORT_SCHEME "\", the only one known");
    if ((rc = get_required(s, o, "support_crc32", &crc)) != 0)
        return rc;
    if (crc < 0 || crc > UINT32_MAX)
        return bad(s, "slt.support_crc32", "is outside [0, 4294967295]");
    c->support_crc = (uint32_t)crc;
    return 0;
}

int slt_config_parse(struct slt_config *config, const char *name, const char *json, size_t bytes,
                     struct slt_error *err)
{
    const struct source s = {name, err};
    struct slt_config c = {0};
    json_t *root = NULL;
    int rc = slt_json_parse(&root, name, json, bytes, err);
    if (rc != 0)
        return rc;
    const json_t *slt = json_object_get(root, "slt");
    if ((rc = read_llama(&s, root, &c)) != 0)
        goto out;
    if (slt != NULL) {
        if (!json_is_object(slt))
            rc = bad(&s, "slt", "is no object");
        else
            rc = read_slt(&s, slt, &c);
        if (rc != 0)
            goto out;
    }
    rc = slt_config_check(&c, err);
    if (rc != 0) {
        rc = slt_error_prefix(err, SLT_ERR_FORMAT, "'%s'", name);
        goto out;
    }
    *config = c;
out:
    json_decref(root);
    return rc;
}

// ---- Writing ----

static json_t *whole_or_null(int64_t value)
{
    return value < 0 ? json_null() : json_integer(value);
}

static json_t *ends(const struct slt_config *c)
{
    if (c->more_eos_count == 0)
        return whole_or_null(c->eos_token_id);
    json_t *list = json_array();
    json_array_append_new(list, json_integer(c->eos_token_id));
    for (int64_t i = 0; i < c->more_eos_count; i++)
        json_array_append_new(list, json_integer(c->more_eos[i]));
    return list;
}

static json_t *slt_object(const struct slt_config *c)
{
    char text[64];
    json_t *o = json_object();
    json_object_set_new(o, "method", json_string(slt_method_name(c->method)));
    const bool sparse = slt_method_has(c->method, SLT_ROLE_SPARSE);
    if (slt_method_has(c->method, SLT_ROLE_LORA_A)) {
        json_object_set_new(o, "rank", json_integer(c->rank));
        json_object_set_new(o, "alpha", json_real(c->alpha));
        if (c->lora_b_zero)
            json_object_set_new(o, "lora_b_zero", json_true());
    }
    if (sparse) {
        slt_support_format(text, sizeof text, &c->support);
        json_object_set_new(o, "density", json_real(c->density));
        json_object_set_new(o, "support", json_string(text));
    }
    if (sparse && c->support.kind != SLT_SUPPORT_EXPLICIT) {
        json_object_set_new(o, "support_scheme", json_string(SUPPORT_SCHEME));
        json_object_set_new(o, "support_crc32", json_integer(c->support_crc));
    }
    json_object_set_new(o, "seed", json_integer((json_int_t)c->seed));
    if (c->quantization.type != SLT_QUANT_NONE) {
        json_t *q = json_object();
        json_object_set_new(q, "type", json_string(slt_quant_name(c->quantization.type)));
        json_object_set_new(q, "block", json_integer(c->quantization.block));
        json_object_set_new(o, "quantization", q);
    }
    return o;
}

// 15 digits if they give back every number, else 17.
static size_t real_flags(const struct slt_config *c)
{
    const double reals[] = {c->rms_norm_eps, c->rope_theta, c->initializer_range, c->alpha,
                            c->density};
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        char text[40];
        snprintf(text, sizeof text, "%.15g", reals[i]);
        if (strtod(text, NULL) != reals[i])
            return JSON_REAL_PRECISION(17);
    }
    return JSON_REAL_PRECISION(15);
}

int slt_config_write(const struct slt_config *c, char **json, struct slt_error *err)
{
    json_t *o = json_object();
    json_t *architectures = json_array();
    json_array_append_new(architectures, json_string(slt_architecture(c)->class_name));
    json_object_set_new(o, "architectures", architectures);
    json_object_set_new(o, "model_type", json_string(slt_architecture(c)->model_type));
    json_object_set_new(o, "vocab_size", json_integer(c->vocab_size));
    json_object_set_new(o, "hidden_size", json_integer(c->hidden_size));
    json_object_set_new(o, "intermediate_size", json_integer(c->intermediate_size));
    json_object_set_new(o, "num_hidden_layers", json_integer(c->num_hidden_layers));
    json_object_set_new(o, "num_attention_heads", json_integer(c->num_attention_heads));
    json_object_set_new(o, "num_key_value_heads", json_integer(c->num_key_value_heads));
    json_object_set_new(o, "head_dim", json_integer(c->head_dim));
    json_object_set_new(o, "max_position_embeddings", json_integer(c->max_position_embeddings));
    json_object_set_new(o, "rms_norm_eps", json_real(c->rms_norm_eps));
    json_object_set_new(o, "rope_theta", json_real(c->rope_theta));
    json_object_set_new(o, "initializer_range", json_real(c->initializer_range));
    json_object_set_new(o, "hidden_act", json_string("silu"));
    json_object_set_new(o, "attention_bias", json_false());
    json_object_set_new(o, "mlp_bias", json_false());
    json_object_set_new(o, "tie_word_embeddings", json_boolean(c->tie_word_embeddings));
    json_object_set_new(o, "bos_token_id", whole_or_null(c->bos_token_id));
    json_object_set_new(o, "eos_token_id", ends(c));
    json_object_set_new(o, "pad_token_id", whole_or_null(c->pad_token_id));
    json_object_set_new(o, "torch_dtype", json_string("float32"));
    json_object_set_new(o, "slt", slt_object(c));
    char *text = json_dumps(o, JSON_INDENT(2) | real_flags(c));
    json_decref(o);
    if (text == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the text of config.json");
    *json = text;
    return 0;
}
