// config.json: Hugging Face's LlamaConfig keys plus our "slt" object.
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/architecture.h"
#include "config/forms.h"
#include "config/rope.h"
#include "core/json.h"
#include "slt/config.h"

#define SUPPORT_SCHEME "slt-support-1"

// ---- Reading ----

// Where a sentence about a key comes from.
struct source {
    const char *name;
    struct slt_error *err;
};

static bool is_given(const json_t *item)
{
    return item != NULL && !json_is_null(item);
}

static int bad(const struct source *s, const char *key, const char *what)
{
    return slt_error_set(s->err, SLT_ERR_FORMAT, "'%s': \"%s\" %s", s->name, key, what);
}

// What is wrong with a value that is no number: as Python writes them, NaN and the infinities are
// strings here.
static int bad_number(const struct source *s, const char *key, const json_t *item,
                      const char *otherwise)
{
    static const char *const names[] = {"NaN", "Infinity", "-Infinity"};
    char what[40];
    for (size_t i = 0; json_is_string(item) && i < sizeof names / sizeof *names; i++) {
        if (strcmp(json_string_value(item), names[i]) == 0) {
            snprintf(what, sizeof what, "is %s", names[i]);
            return bad(s, key, what);
        }
    }
    return bad(s, key, otherwise);
}

// A whole number; absent or null gives the fallback.
static int get_whole(const struct source *s, const json_t *object, const char *key,
                     int64_t fallback, int64_t *value)
{
    const json_t *item = json_object_get(object, key);
    if (is_given(item) && !json_is_integer(item))
        return bad_number(s, key, item, "is no whole number");
    *value = json_is_integer(item) ? json_integer_value(item) : fallback;
    return 0;
}

static int get_required(const struct source *s, const json_t *object, const char *key,
                        int64_t *value)
{
    if (!is_given(json_object_get(object, key)))
        return bad(s, key, "is missing");
    return get_whole(s, object, key, 0, value);
}

static int get_real(const struct source *s, const json_t *object, const char *key, double fallback,
                    double *value)
{
    const json_t *item = json_object_get(object, key);
    if (is_given(item) && !json_is_number(item))
        return bad_number(s, key, item, "is no number");
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

// A token, or a list of them, of which the first one is given out; an empty one is none.
static int get_token(const struct source *s, const json_t *object, const char *key, int64_t *value)
{
    const json_t *item = json_object_get(object, key);
    if (json_is_array(item) && json_is_integer(json_array_get(item, 0))) {
        *value = json_integer_value(json_array_get(item, 0));
        return 0;
    }
    if (json_is_array(item) && json_array_size(item) == 0) {
        *value = -1;
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

static int read_architecture(const struct source *s, const json_t *object, struct slt_config *c)
{
    char what[120];
    const json_t *type = json_object_get(object, "model_type");
    if (!is_given(type) ||
        (json_is_string(type) && slt_architecture_find(&c->architecture, json_string_value(type))))
        return 0;
    snprintf(what, sizeof what, "is \"%.40s\", and only LLaMA models (\"llama\") are supported",
             json_is_string(type) ? json_string_value(type) : "");
    return bad(s, "model_type", json_is_string(type) ? what : "is no string");
}

// Keys that would change the function computed.
static int refuse_unsupported(const struct source *s, const json_t *object)
{
    static const char *const flags[] = {"attention_bias", "mlp_bias"};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        bool is_set = false;
        const int rc = get_flag(s, object, flags[i], &is_set);
        if (rc != 0)
            return rc;
        if (is_set)
            return bad(s, flags[i], "is true, which is not supported");
    }
    const json_t *act = json_object_get(object, "hidden_act");
    const char *name = json_string_value(act);
    if (act != NULL && (name == NULL || (strcmp(name, "silu") != 0 && strcmp(name, "swish") != 0)))
        return bad(s, "hidden_act", "is not \"silu\" (or \"swish\"), the only one supported");
    if (is_given(json_object_get(object, "quantization_config")))
        return bad(s, "quantization_config",
                   "says that another program quantized the model, which is not read");
    return 0;
}

// ---- Rotary positions ----

// The object that says how they are scaled, and the key it has in config.json.
struct rope_source {
    const struct source *file;
    const char *key;
    const json_t *object;
};

static const char *rope_path(char *path, size_t size, const struct rope_source *r, const char *key)
{
    snprintf(path, size, "%s.%s", r->key, key);
    return path;
}

static int bad_rope(const struct rope_source *r, const char *key, const char *what)
{
    char path[80];
    return bad(r->file, rope_path(path, sizeof path, r, key), what);
}

static int get_factor(const struct rope_source *r, const char *key, double *value)
{
    char path[80];
    const json_t *item = json_object_get(r->object, key);
    if (!json_is_number(item))
        return bad_number(r->file, rope_path(path, sizeof path, r, key), item,
                          is_given(item) ? "is no number" : "is missing");
    *value = json_number_value(item);
    return 0;
}

// transformers 5 prefers the key of the whole configuration, which older versions do not know.
static int get_original_length(const struct rope_source *r, const json_t *config, int64_t *value)
{
    static const char key[] = "original_max_position_embeddings";
    const json_t *item = json_object_get(config, key);
    if (!is_given(item))
        item = json_object_get(r->object, key);
    const double length = json_number_value(item);
    if (!json_is_number(item) || !(fabs(length) < 1e15) || length != floor(length))
        return bad_rope(r, key, is_given(item) ? "is no whole number" : "is missing");
    *value = (int64_t)length;
    return 0;
}

// The type, by its key or by the older one. transformers takes neither to mean the default,
// whatever else the object has.
static int get_rope_type(const struct rope_source *r, enum slt_rope_type *type)
{
    const char *key = is_given(json_object_get(r->object, "rope_type")) ? "rope_type" : "type";
    const json_t *item = json_object_get(r->object, key);
    char what[160];
    *type = SLT_ROPE_DEFAULT;
    if (!is_given(item))
        return 0;
    if (!json_is_string(item))
        return bad_rope(r, key, "is no string");
    if (slt_rope_find(type, json_string_value(item)))
        return 0;
    snprintf(what, sizeof what,
             "is \"%.40s\", and only the types default, linear and llama3 are supported",
             json_string_value(item));
    return bad_rope(r, key, what);
}

// Parts of a head that are not rotated, and layers that differ, would pass unseen.
static int refuse_partial(const struct rope_source *r, const json_t *config)
{
    static const char key[] = "partial_rotary_factor";
    static const char what[] = "is not 1: heads that are rotated in part are not supported";
    const char *name;
    json_t *item;
    if (is_given(json_object_get(config, key)) &&
        json_number_value(json_object_get(config, key)) != 1)
        return bad(r->file, key, what);
    json_object_foreach ((json_t *)r->object, name, item) {
        if (strcmp(name, key) == 0 && !json_is_null(item) && json_number_value(item) != 1)
            return bad_rope(r, key, what);
        if (json_is_object(item))
            return bad_rope(r, name, "is an object: layers that differ are not supported");
    }
    return 0;
}

// As transformers 5 reads them: rope_scaling, the older key, counts if it has anything in it, else
// rope_parameters; a theta in there counts before the one outside.
static int read_rope(const struct source *s, const json_t *o, struct slt_config *c)
{
    static const char *const keys[] = {"rope_scaling", "rope_parameters"};
    struct rope_source r = {s, NULL, NULL};
    struct slt_rope_scaling *scaling = &c->rope_scaling;
    int rc;
    for (int i = 0; i < 2; i++) {
        const json_t *object = json_object_get(o, keys[i]);
        if (is_given(object) && !json_is_object(object))
            return bad(s, keys[i], "is no object");
        if (r.key == NULL && json_object_size(object) > 0)
            r = (struct rope_source){s, keys[i], object};
    }
    if ((rc = get_real(s, o, "rope_theta", 10000, &c->rope_theta)) != 0 ||
        (rc = get_real(s, r.object, "rope_theta", c->rope_theta, &c->rope_theta)) != 0 ||
        (rc = refuse_partial(&r, o)) != 0 || (rc = get_rope_type(&r, &scaling->type)) != 0)
        return rc;
    if (scaling->type != SLT_ROPE_DEFAULT && (rc = get_factor(&r, "factor", &scaling->factor)) != 0)
        return rc;
    if (scaling->type == SLT_ROPE_LLAMA3 &&
        ((rc = get_factor(&r, "low_freq_factor", &scaling->low_freq_factor)) != 0 ||
         (rc = get_factor(&r, "high_freq_factor", &scaling->high_freq_factor)) != 0 ||
         (rc = get_original_length(&r, o, &scaling->original_max_position_embeddings)) != 0))
        return rc;
    return 0;
}

// A share of the hidden size, if it is not given.
static int read_head_dim(const struct source *s, const json_t *o, struct slt_config *c)
{
    const int64_t hidden = c->hidden_size, heads = c->num_attention_heads;
    if (!is_given(json_object_get(o, "head_dim")) && heads > 0 && hidden > 0 && hidden % heads != 0)
        return slt_error_set(s->err, SLT_ERR_FORMAT,
                             "'%s': \"hidden_size\" %lld is no multiple of "
                             "\"num_attention_heads\" %lld, and there is no \"head_dim\"",
                             s->name, (long long)hidden, (long long)heads);
    return get_whole(s, o, "head_dim", heads > 0 ? hidden / heads : 0, &c->head_dim);
}

static int read_llama(const struct source *s, const json_t *o, struct slt_config *c)
{
    int rc;
    if ((rc = read_architecture(s, o, c)) != 0 || (rc = refuse_unsupported(s, o)) != 0 ||
        (rc = get_required(s, o, "vocab_size", &c->vocab_size)) != 0 ||
        (rc = get_required(s, o, "hidden_size", &c->hidden_size)) != 0 ||
        (rc = get_required(s, o, "intermediate_size", &c->intermediate_size)) != 0 ||
        (rc = get_required(s, o, "num_hidden_layers", &c->num_hidden_layers)) != 0 ||
        (rc = get_required(s, o, "num_attention_heads", &c->num_attention_heads)) != 0 ||
        (rc = get_whole(s, o, "num_key_value_heads", c->num_attention_heads,
                        &c->num_key_value_heads)) != 0 ||
        (rc = get_whole(s, o, "max_position_embeddings", 2048, &c->max_position_embeddings)) != 0 ||
        (rc = get_real(s, o, "rms_norm_eps", 1e-6, &c->rms_norm_eps)) != 0 ||
        (rc = read_rope(s, o, c)) != 0 ||
        (rc = get_real(s, o, "initializer_range", 0.02, &c->initializer_range)) != 0 ||
        (rc = get_flag(s, o, "tie_word_embeddings", &c->tie_word_embeddings)) != 0 ||
        (rc = get_token(s, o, "bos_token_id", &c->bos_token_id)) != 0 ||
        (rc = get_ends(s, o, c)) != 0 ||
        (rc = get_token(s, o, "pad_token_id", &c->pad_token_id)) != 0)
        return rc;
    return read_head_dim(s, o, c);
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

// What the options are is the trainer's business.
static int read_training(const struct source *s, const json_t *o, struct slt_config *c)
{
    if (!is_given(o))
        return 0;
    if (!json_is_object(o))
        return bad(s, "slt.training", "is no object");
    char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(15));
    const bool fits = text != NULL && strlen(text) < sizeof c->training;
    if (fits)
        memcpy(c->training, text, strlen(text) + 1);
    free(text);
    return fits ? 0 : bad(s, "slt.training", "is too long");
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
    if ((rc = slt_layers_read(c, s->name, json_object_get(o, "layers"), s->err)) != 0 ||
        (rc = read_quantization(s, json_object_get(o, "quantization"), &c->quantization)) != 0 ||
        (rc = read_training(s, json_object_get(o, "training"), c)) != 0)
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
        return bad(s, "slt.support",
                   "is missing or not random, rows, channels, block:RxC or explicit");
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
    int rc = slt_json_parse_python(&root, name, json, bytes, err);
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

// The keys that transformers 4 and 5 read both; the theta is outside.
static json_t *rope_object(const struct slt_rope_scaling *s)
{
    json_t *o = json_object();
    json_object_set_new(o, "rope_type", json_string(slt_rope_name(s->type)));
    json_object_set_new(o, "factor", json_real(s->factor));
    if (s->type == SLT_ROPE_LLAMA3) {
        json_object_set_new(o, "low_freq_factor", json_real(s->low_freq_factor));
        json_object_set_new(o, "high_freq_factor", json_real(s->high_freq_factor));
        json_object_set_new(o, "original_max_position_embeddings",
                            json_integer(s->original_max_position_embeddings));
    }
    return o;
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
    if (c->layers_count > 0)
        json_object_set_new(o, "layers", slt_layers_list(c));
    if (c->training[0] != '\0')
        json_object_set_new(o, "training", json_loads(c->training, 0, NULL));
    if (c->quantization.type != SLT_QUANT_NONE) {
        json_t *q = json_object();
        json_object_set_new(q, "type", json_string(slt_quant_name(c->quantization.type)));
        json_object_set_new(q, "block", json_integer(c->quantization.block));
        json_object_set_new(o, "quantization", q);
    }
    return o;
}

// Whether 15 digits give back a number.
static bool is_short(double real)
{
    char text[40];
    snprintf(text, sizeof text, "%.15g", real);
    return strtod(text, NULL) == real;
}

// 15 digits if they give back every number, else 17.
static size_t real_flags(const struct slt_config *c)
{
    bool all_short = true;
    const double reals[] = {c->rms_norm_eps,
                            c->rope_theta,
                            c->initializer_range,
                            c->alpha,
                            c->density,
                            c->rope_scaling.factor,
                            c->rope_scaling.low_freq_factor,
                            c->rope_scaling.high_freq_factor};
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        all_short &= is_short(reals[i]);
    for (int64_t i = 0; i < c->layers_count; i++)
        all_short &= is_short(c->layers[i].density);
    return all_short ? JSON_REAL_PRECISION(15) : JSON_REAL_PRECISION(17);
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
    if (c->rope_scaling.type != SLT_ROPE_DEFAULT)
        json_object_set_new(o, "rope_scaling", rope_object(&c->rope_scaling));
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
