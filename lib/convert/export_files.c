// What transformers reads beside the weights.
#include "convert/export_files.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/json.h"
#include "slt/support.h"
#include "text/json_tokenizer.h"
#include "text/kinds.h"
#include "text/spm_tokenizer.h"

static int path_of(char path[PATH_MAX], const struct export_folder *f, const char *name,
                   struct slt_error *err)
{
    return snprintf(path, PATH_MAX, "%s/%s", f->path, name) < PATH_MAX
               ? 0
               : slt_error_set(err, SLT_ERR_RANGE, "the name '%s' is too long", f->path);
}

int export_file(const struct export_folder *f, const char *name, const void *data, size_t bytes,
                struct slt_error *err)
{
    char path[PATH_MAX];
    struct slt_output *out;
    int rc = path_of(path, f, name, err);
    if (rc != 0 || (rc = slt_output_open(&out, path, f->stop, err)) != 0)
        return rc;
    if ((rc = slt_output_write(out, data, bytes, err)) != 0) {
        slt_output_abandon(out);
        return rc;
    }
    return slt_output_publish(out, err);
}

// Takes json over.
static int write_json(const struct export_folder *f, const char *name, json_t *json,
                      struct slt_error *err)
{
    char *text = json != NULL ? json_dumps(json, JSON_INDENT(2)) : NULL;
    json_decref(json);
    int rc = text == NULL
                 ? slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the text of '%s'", name)
                 : export_file(f, name, text, strlen(text), err);
    free(text);
    return rc;
}

int export_clear(const struct export_folder *f, struct slt_error *err)
{
    // config.json first: without it the rest is no model.
    static const char *const names[] = {"config.json",       "model.safetensors.index.json",
                                        "tokenizer.model",   "tokenizer.json",
                                        "added_tokens.json", "spiece.model"};
    char path[PATH_MAX];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof names / sizeof *names; i++)
        if ((rc = path_of(path, f, names[i], err)) == 0 && unlink(path) != 0 && errno != ENOENT)
            rc = slt_error_errno(err, "cannot remove '%s'", path);
    return rc;
}

// ---- Tokenizer ----

// "bos_token" and the like: what the tokenizer has, which is what its files are read back to.
static json_t *make_names(const struct slt_tokenizer *t)
{
    const struct slt_tokenizer_info *info = slt_tokenizer_info(t);
    const struct {
        const char *key;
        uint32_t id;
    } tokens[] = {{"bos_token", info->bos},
                  {"eos_token", info->eos},
                  {"pad_token", info->pad},
                  {"unk_token", info->unk}};
    json_t *names = json_object();
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        if (tokens[i].id != SLT_TOKEN_NONE)
            json_object_set_new(names, tokens[i].key,
                                json_string(slt_tokenizer_piece(t, tokens[i].id).text));
    return names;
}

// tokenizer.json's added tokens by their ids.
static json_t *make_decoder(const json_t *added)
{
    json_t *decoder = json_object(), *one;
    size_t i;
    json_array_foreach (added, i, one) {
        char id[24];
        json_t *token = json_copy(one);
        snprintf(id, sizeof id, "%lld", (long long)json_integer_value(json_object_get(one, "id")));
        json_object_del(token, "id");
        json_object_set_new(decoder, id, token);
    }
    return decoder;
}

// A class that takes tokenizer.json as it is: those of models build their own from it.
static json_t *make_config(const struct export_folder *f, const struct slt_tokenizer *t,
                           const json_t *added)
{
    const struct slt_tokenizer_info *info = slt_tokenizer_info(t);
    const struct spm_tokenizer *spm = slt_tokenizer_model(t, &spm_kind);
    json_t *config = make_names(t);
    json_object_set_new(config, "tokenizer_class", json_string("PreTrainedTokenizerFast"));
    json_object_set_new(config, "model_max_length",
                        json_integer(f->config->max_position_embeddings));
    // LLaMA's generate takes no token_type_ids, which this class gives out otherwise.
    json_object_set_new(config, "model_input_names",
                        json_pack("[s, s]", "input_ids", "attention_mask"));
    json_object_set_new(config, "clean_up_tokenization_spaces", json_false());
    json_object_set_new(config, "add_bos_token", json_boolean(info->adds_bos));
    json_object_set_new(config, "add_eos_token", json_boolean(info->adds_eos));
    // Older versions of transformers go by this of a ByteLevel, whatever tokenizer.json says.
    if (slt_tokenizer_model(t, &bpe_kind) != NULL && slt_tokenizer_adds_space(t))
        json_object_set_new(config, "add_prefix_space", json_true());
    if (spm != NULL)
        json_object_set_new(config, "legacy", json_boolean(!spm->model.space_first));
    if (spm != NULL && spm->model.added_count == 0) // the texts of BOS and the like are text
        json_object_set_new(config, "split_special_tokens", json_true());
    json_object_set_new(config, "added_tokens_decoder", make_decoder(added));
    return config;
}

int export_tokenizer(const struct export_folder *f, const struct slt_tokenizer *tokenizer,
                     const void *json, size_t bytes, struct slt_error *err)
{
    const struct spm_tokenizer *spm = slt_tokenizer_model(tokenizer, &spm_kind);
    json_t *root = NULL;
    int rc = json_tokenizer_parse(&root, "tokenizer.json", json, bytes, err);
    if (rc == 0)
        rc = export_file(f, "tokenizer.json", json, bytes, err);
    if (rc == 0 && spm != NULL)
        rc = export_file(f, "tokenizer.model", spm->file, spm->model.own_bytes, err);
    if (rc == 0)
        rc = write_json(f, "special_tokens_map.json", make_names(tokenizer), err);
    if (rc == 0)
        rc = write_json(f, "tokenizer_config.json",
                        make_config(f, tokenizer, json_object_get(root, "added_tokens")), err);
    json_decref(root);
    return rc;
}

// ---- Generation ----

int export_generation(const struct export_folder *f, struct slt_error *err)
{
    const struct slt_config *c = f->config;
    json_t *json = json_object();
    if (c->bos_token_id >= 0)
        json_object_set_new(json, "bos_token_id", json_integer(c->bos_token_id));
    if (c->eos_token_id >= 0 && c->more_eos_count == 0)
        json_object_set_new(json, "eos_token_id", json_integer(c->eos_token_id));
    if (c->more_eos_count > 0) {
        json_t *list = json_array();
        json_array_append_new(list, json_integer(c->eos_token_id));
        for (int64_t i = 0; i < c->more_eos_count; i++)
            json_array_append_new(list, json_integer(c->more_eos[i]));
        json_object_set_new(json, "eos_token_id", list);
    }
    if (c->pad_token_id >= 0)
        json_object_set_new(json, "pad_token_id", json_integer(c->pad_token_id));
    return write_json(f, "generation_config.json", json, err);
}

// ---- Model card ----

static int put_method(struct slt_output *out, const struct export_folder *f,
                      const struct slt_config *source, struct slt_error *err)
{
    char support[48];
    const char *merged = source->method != f->config->method ? ", merged into one matrix each" : "";
    if (slt_method_is_dense(source->method))
        return slt_output_printf(out, err, "| linears | full-rank |\n");
    if (!slt_method_has(source->method, SLT_ROLE_SPARSE))
        return slt_output_printf(out, err, "| linears | %s, rank %lld, alpha %g%s |\n",
                                 slt_method_name(source->method), (long long)source->rank,
                                 source->alpha, merged);
    return slt_output_printf(
        out, err, "| linears | %s, rank %lld, alpha %g, density %g, support %s%s |\n",
        slt_method_name(source->method), (long long)source->rank, source->alpha, source->density,
        slt_support_format(support, sizeof support, &source->support), merged);
}

// The linears that are made of something else in some layers.
static int put_layers(struct slt_output *out, const struct slt_config *source,
                      struct slt_error *err)
{
    char text[160];
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < source->layers_count; i++)
        rc = slt_output_printf(out, err, "| but for layers | %s |\n",
                               slt_layers_format(text, sizeof text, &source->layers[i]));
    return rc;
}

// What it was trained on, as far as its provenance says: so many tokens of data that a person has to
// name.
static int put_training(struct slt_output *out, const char *provenance, struct slt_error *err)
{
    int rc = 0;
    for (const char *line = provenance; rc == 0 && line != NULL && *line != '\0';) {
        const size_t length = strcspn(line, "\n");
        json_t *json = json_loadb(line, length, 0, NULL);
        const json_int_t steps = json_integer_value(json_object_get(json, "steps")),
                         batch = json_integer_value(json_object_get(json, "batch")),
                         seq = json_integer_value(json_object_get(json, "seq"));
        if (strcmp(slt_json_string(json, "tool"), "slt-train") == 0 && steps > 0 && batch > 0 &&
            seq > 0)
            rc = slt_output_printf(
                out, err,
                "| trained for | %lld steps of %lld sequences of %lld tokens, %.4g in all |\n",
                (long long)steps, (long long)batch, (long long)seq,
                (double)steps * (double)batch * (double)seq);
        json_decref(json);
        line += length + (line[length] == '\n');
    }
    return rc;
}

static int put_card(struct slt_output *out, const struct export_folder *f,
                    const struct slt_config *source, const char *provenance, struct slt_error *err)
{
    const struct slt_config *c = f->config;
    int rc = slt_output_printf(
        out, err,
        "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- llama\n- slt\n"
        "- %s\n---\n\n# LLaMA model of %llu parameters\n\n| | |\n|---|---|\n",
        slt_method_name(source->method), (unsigned long long)slt_config_param_count(c));
    if (rc == 0)
        rc = put_method(out, f, source, err);
    if (rc == 0)
        rc = put_layers(out, source, err);
    if (rc == 0)
        rc = slt_output_printf(
            out, err,
            "| trained parameters | %llu |\n| layers | %lld |\n| hidden size | %lld |\n"
            "| intermediate size | %lld |\n| heads, of keys and values | %lld, %lld |\n"
            "| vocabulary | %lld |\n| positions | %lld |\n",
            (unsigned long long)slt_config_param_count(source), (long long)c->num_hidden_layers,
            (long long)c->hidden_size, (long long)c->intermediate_size,
            (long long)c->num_attention_heads, (long long)c->num_key_value_heads,
            (long long)c->vocab_size, (long long)c->max_position_embeddings);
    if (rc == 0)
        rc = put_training(out, provenance, err);
    if (rc == 0 && provenance != NULL && *provenance != '\0')
        rc = slt_output_printf(out, err,
                               "\nHow it was made, one program and its options in each line:\n\n"
                               "```json\n%s```\n",
                               provenance);
    return rc;
}

int export_card(const struct export_folder *f, const struct slt_config *source,
                const char *provenance, struct slt_error *err)
{
    char path[PATH_MAX];
    struct slt_output *out;
    int rc = path_of(path, f, "README.md", err);
    if (rc != 0 || (rc = slt_output_open(&out, path, f->stop, err)) != 0)
        return rc;
    if ((rc = put_card(out, f, source, provenance, err)) != 0) {
        slt_output_abandon(out);
        return rc;
    }
    return slt_output_publish(out, err);
}
