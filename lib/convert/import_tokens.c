// Which tokens of a Hugging Face directory begin, end and fill texts: its files may each say so.
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "convert/import_tokens.h"
#include "core/json.h"
#include "text/kinds.h"

#define TOKENIZER_CONFIG_MAX (16 << 20)

struct source {
    struct slt_config *config; // to be completed
    const char *directory;
    const struct slt_convert_options *options;
};

void import_note(const struct slt_convert_options *options, const char *format, ...)
{
    char text[512];
    struct slt_error said;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    slt_error_set(&said, SLT_ERR_FORMAT, "%s", text);
    if (options->on_note != NULL)
        options->on_note(options->user, said.message);
}

// A JSON file of the directory; NULL where there is none.
static int read_json(json_t **json, const struct source *s, const char *name, struct slt_error *err)
{
    char path[PATH_MAX];
    bool exists = false;
    void *data;
    size_t bytes;
    snprintf(path, sizeof path, "%s/%s", s->directory, name);
    int rc = slt_file_exists(&exists, path, err);
    if (rc != 0 || !exists ||
        (rc = slt_file_read(&data, &bytes, path, TOKENIZER_CONFIG_MAX, s->options->stop, err)) != 0)
        return rc;
    rc = slt_json_parse_python(json, path, data, bytes, err);
    free(data);
    return rc;
}

// Ids that config.json lacks: those of the tokens which tokenizer_config.json names, each as a text
// or as an object with it.
static int find_named(const struct source *s, struct slt_error *err)
{
    static const char *const keys[] = {"bos_token", "eos_token", "pad_token"};
    int64_t *const ids[] = {&s->config->bos_token_id, &s->config->eos_token_id,
                            &s->config->pad_token_id};
    json_t *json = NULL;
    const int rc = read_json(&json, s, "tokenizer_config.json", err);
    for (size_t i = 0; rc == 0 && i < 3; i++) {
        const json_t *token = json_object_get(json, keys[i]);
        if (json_is_object(token))
            token = json_object_get(token, "content");
        const uint32_t id = slt_tokenizer_find(s->options->tokenizer, json_string_value(token));
        if (*ids[i] < 0 && id < s->config->vocab_size)
            *ids[i] = id;
    }
    json_decref(json);
    return rc;
}

// Those that are still missing: the tokenizer's own.
static void find_own(const struct source *s)
{
    const struct slt_tokenizer_info *info = slt_tokenizer_info(s->options->tokenizer);
    const uint32_t own[] = {info->bos, info->eos, info->pad};
    int64_t *const ids[] = {&s->config->bos_token_id, &s->config->eos_token_id,
                            &s->config->pad_token_id};
    for (size_t i = 0; i < 3; i++)
        if (*ids[i] < 0 && own[i] < s->config->vocab_size)
            *ids[i] = own[i];
}

// What generation_config.json says of ends counts besides config.json's; but where only
// tokenizer_config.json names another one, that one alone.
static int find_ends(const struct source *s, bool is_said, struct slt_error *err)
{
    json_t *json = NULL, *one;
    size_t i;
    int rc = read_json(&json, s, "generation_config.json", err);
    json_t *eos = json_object_get(json, "eos_token_id"), *list = json_array();
    if (json_is_integer(eos))
        json_array_append(list, eos);
    else if (json_is_array(eos))
        json_array_extend(list, eos);
    bool agrees = is_said || s->config->eos_token_id < 0 || json_array_size(list) == 0;
    json_array_foreach (list, i, one)
        agrees = agrees || slt_config_is_eos(s->config, json_integer_value(one));
    if (!agrees)
        import_note(
            s->options,
            "'%.300s': generation_config.json ends texts with token %lld, the model with %lld",
            s->directory, (long long)json_integer_value(json_array_get(list, 0)),
            (long long)s->config->eos_token_id);
    json_array_foreach (list, i, one)
        if (rc == 0 && agrees && json_is_integer(one))
            rc = slt_config_add_eos(s->config, json_integer_value(one), err);
    json_decref(list);
    json_decref(json);
    if (rc == 0 && (rc = slt_config_check(s->config, err)) != 0)
        slt_error_prefix(err, rc, "'%s/generation_config.json'", s->directory);
    return rc;
}

int import_find_ids(struct slt_config *config, const char *directory,
                    const struct slt_convert_options *options, struct slt_error *err)
{
    const struct source all = {config, directory, options}, *s = &all;
    const struct slt_tokenizer *t = s->options->tokenizer;
    const bool is_said = s->config->eos_token_id >= 0;
    int rc = 0;
    if (t != NULL &&
        (rc = slt_tokenizer_check_size(t, s->config->vocab_size, s->directory, err)) == 0)
        rc = find_named(s, err);
    if (rc == 0)
        rc = find_ends(s, is_said, err);
    if (rc != 0 || t == NULL)
        return rc;
    find_own(s);
    const uint32_t eos = slt_tokenizer_info(t)->eos;
    if (eos != SLT_TOKEN_NONE && !slt_config_is_eos(s->config, eos))
        import_note(s->options,
                    "'%.300s': the tokenizer ends documents with token %lld, the model with %lld",
                    s->directory, (long long)eos, (long long)s->config->eos_token_id);
    return 0;
}
