// slt-init: a new checkpoint from a preset or a config.json.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "cli_model.h"
#include "slt/checkpoint.h"
#include "slt/init.h"
#include "slt/support.h"

struct options {
    struct cli_common common;
    struct cli_model model;
    const char *tokenizer, *from;
    int64_t threads;
    int sparse;          // enum slt_init_sparse, -1: not given
    int start;           // enum slt_init_factors, -1: not given
    double sparse_scale; // of the drawn values of S, -1: not given
    bool dry_run, no_provenance;
};

static int load_tokenizer(const struct options *o, struct slt_tokenizer **tokenizer,
                          struct slt_config *c, slt_stop_flag *stop)
{
    struct slt_error err;
    if (slt_tokenizer_open(tokenizer, o->tokenizer, stop, &err) != 0)
        return cli_error(&err);
    const struct slt_tokenizer_info *info = slt_tokenizer_info(*tokenizer);
    c->vocab_size = info->vocab_size;
    c->bos_token_id = info->bos == SLT_TOKEN_NONE ? -1 : (int64_t)info->bos;
    c->eos_token_id = info->eos == SLT_TOKEN_NONE ? -1 : (int64_t)info->eos;
    c->more_eos_count = 0;
    c->pad_token_id = info->pad == SLT_TOKEN_NONE ? -1 : (int64_t)info->pad;
    return 0;
}

// A model to start from gives sizes and tokenizer.
static int open_start(const struct options *o, struct slt_checkpoint_reader **from,
                      struct slt_tokenizer **tokenizer, struct slt_config *c, slt_stop_flag *stop)
{
    struct slt_error err;
    struct slt_input *in;
    const char *member;
    size_t bytes;
    const int code = cli_open_model(&in, o->from, o->common.quiet, stop);
    if (code != 0)
        return code;
    if (slt_checkpoint_open(from, in, &err) != 0)
        return cli_error(&err);
    slt_checkpoint_use_threads(*from, (int)o->threads);
    *c = *slt_checkpoint_config(*from);
    cli_model_apply(c, &o->model);
    const void *data = slt_checkpoint_tokenizer(*from, &bytes, &member);
    if (data == NULL)
        return 0;
    int rc = slt_tokenizer_load(tokenizer, member, data, bytes, &err);
    if (rc == 0)
        rc = slt_tokenizer_check_size(*tokenizer, c->vocab_size, o->from, &err);
    return rc == 0 ? 0 : cli_error(&err);
}

static int report(const struct options *o, const struct slt_config *c, slt_stop_flag *stop)
{
    static const char *const roles[] = {"embedding", "head",   "norm",  "weight",
                                        "lora_A",    "lora_B", "sparse"};
    enum { COUNTED = sizeof roles / sizeof *roles };
    struct slt_error err;
    struct slt_param_info *list;
    struct cli_report *r;
    size_t count;
    int64_t sum[SLT_ROLES] = {0}, total = 0;
    if (slt_config_params(c, &list, &count, &err) != 0)
        return cli_error(&err);
    for (size_t i = 0; i < count; i++) {
        sum[list[i].role] += list[i].rows * list[i].cols;
        total += list[i].role == SLT_ROLE_INDEX ? 0 : list[i].rows * list[i].cols;
    }
    free(list);
    int code = cli_report_open(&r, o->common.output, false, stop);
    if (code != 0)
        return code;
    cli_report_text(r, "method", slt_method_name(c->method));
    cli_report_whole(r, "vocab_size", c->vocab_size);
    cli_report_whole(r, "hidden_size", c->hidden_size);
    cli_report_whole(r, "intermediate_size", c->intermediate_size);
    cli_report_whole(r, "layers", c->num_hidden_layers);
    cli_model_report(r, c);
    cli_report_whole(r, "parameters", (int64_t)slt_config_param_count(c));
    for (size_t i = 0; i < COUNTED; i++) {
        char name[32];
        snprintf(name, sizeof name, "parameters_%s", roles[i]);
        if (sum[i] > 0)
            cli_report_whole(r, name, sum[i]);
    }
    cli_report_whole(r, "weight_bytes", total * 4);
    return cli_report_close(r, 0);
}

static const char *const sparse_starts[] = {"residual", "zero", "random"};
static const char *const factor_starts[] = {"kaiming", "svd", "orthogonal"};

// The options of the line of provenance, as far as they are written.
struct line {
    char text[1024 + 160 * SLT_LAYERS_LIMIT];
    size_t used;
};

static SLT_PRINTF(2, 3) void add(struct line *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    l->used += (size_t)vsnprintf(l->text + l->used, sizeof l->text - l->used, format, args);
    va_end(args);
}

// What the linears are made of.
static void add_forms(struct line *l, const struct slt_config *c)
{
    char text[160];
    if (c->rank > 0)
        add(l, ", \"rank\": %lld, \"alpha\": %.17g", (long long)c->rank, c->alpha);
    if (c->density > 0)
        add(l, ", \"density\": %.17g, \"support\": \"%s\"", c->density,
            slt_support_format(text, sizeof text, &c->support));
    for (int64_t i = 0; i < c->layers_count; i++)
        add(l, "%s\"%s\"%s", i == 0 ? ", \"layers\": [" : ", ",
            slt_layers_format(text, sizeof text, &c->layers[i]),
            i == c->layers_count - 1 ? "]" : "");
}

// The line of provenance with the options that matter; the caller frees it.
static int make_provenance(char **text, const struct options *o, const struct slt_config *c,
                           struct slt_error *err)
{
    struct line l = {.used = 0};
    const char *preset = o->model.preset, *kind = preset != NULL ? "preset" : "config";
    add(&l, "{\"%s\": \"%.200s\", \"method\": \"%s\", \"seed\": %lld",
        o->from != NULL ? "from" : kind, preset != NULL ? slt_config_preset_find(preset) : "file",
        slt_method_name(c->method), (long long)c->seed);
    add_forms(&l, c);
    if (c->density > 0 && o->from != NULL)
        add(&l, ", \"sparse\": \"%s\"", sparse_starts[o->sparse > 0 ? o->sparse : 0]);
    if (o->start > 0)
        add(&l, ", \"start\": \"%s\"", factor_starts[o->start]);
    if (o->sparse_scale >= 0)
        add(&l, ", \"sparse_scale\": %.17g", o->sparse_scale);
    add(&l, "}");
    return slt_provenance_add(text, NULL, cli_name, l.text, err);
}

static int write_model(const struct options *o, const struct slt_config *c,
                       const struct slt_tokenizer *tokenizer, struct slt_checkpoint_reader *from,
                       slt_stop_flag *stop)
{
    struct slt_error err;
    struct slt_output *out;
    int code = cli_open_binary_output(&out, o->common.output, stop);
    if (code != 0)
        return code;
    const struct slt_init_from source = {from,
                                         (enum slt_init_sparse)(o->sparse > 0 ? o->sparse : 0)};
    const struct slt_init_start start = {(enum slt_init_factors)(o->start > 0 ? o->start : 0),
                                         o->sparse_scale >= 0 ? o->sparse_scale : 1};
    char *provenance = NULL;
    int rc = o->no_provenance ? 0 : make_provenance(&provenance, o, c, &err);
    if (rc == 0)
        rc = slt_init_write(out, c, tokenizer, from != NULL ? &source : NULL, &start, provenance,
                            (int)o->threads, stop, &err);
    if (rc != 0)
        code = cli_error(&err);
    free(provenance);
    code = cli_close_output(out, code);
    if (code == 0 && o->common.verbose > 0 && o->model.budget > 0)
        cli_say("rank %lld: the linears have %.4g of the full-rank model's parameters",
                (long long)c->rank, slt_config_linear_share(c));
    if (code == 0 && o->common.verbose > 0)
        cli_say("%s: %llu parameters", slt_method_name(c->method),
                (unsigned long long)slt_config_param_count(c));
    return code;
}

// How the values of the linears start.
static void check_starts(const struct options *o)
{
    const enum slt_method method = (enum slt_method)o->model.method;
    const bool sparse = slt_method_has(method, SLT_ROLE_SPARSE);
    if (o->from != NULL && (o->model.lora_b >= 0 || o->start >= 0))
        cli_usage("--lora-b and --start say how a new model starts, and go without --from");
    if (o->start >= 0 && !slt_method_has(method, SLT_ROLE_LORA_A))
        cli_usage("--start is of factors, and --method %s has none", slt_method_name(method));
    if (o->start > 0 && o->model.lora_b >= 0)
        cli_usage("--lora-b goes with --start kaiming only");
    if (o->sparse >= 0 && (o->from == NULL || !sparse))
        cli_usage("--sparse goes with --from and --method sltrain");
    if (o->sparse_scale >= 0 && (!sparse || (o->from != NULL && o->sparse != SLT_INIT_RANDOM)))
        cli_usage(
            "--sparse-scale goes with --method sltrain, and with --from if --sparse is random");
}

int main(int argc, char **argv)
{
    struct options o = {.common = {.output = "-"},
                        .model = CLI_MODEL_DEFAULTS,
                        .sparse = -1,
                        .start = -1,
                        .sparse_scale = -1};
    const struct cli_option options[] = {
        CLI_COMMON(&o.common),
        CLI_MODEL(&o.model),
        {"from", 'f', CLI_TEXT, &o.from, "MODEL.slt", 0, 0,
         "start from this trained model: the best low-rank part of its weights, and a sparse one"},
        {"sparse", 0, CLI_CHOICE, &o.sparse, "residual|zero|random", 0, 0,
         "with --from: start of the values of S (residual)"},
        {"tokenizer", 't', CLI_TEXT, &o.tokenizer, "FILE", 0, 0,
         "put this tokenizer in and take its vocabulary"},
        {"vocab-size", 0, CLI_WHOLE, &o.model.vocab_size, "N", 2, 1 << 24,
         "vocabulary without a tokenizer"},
        {"method", 'm', CLI_CHOICE, &o.model.method, SLT_METHOD_CHOICES, 0, 0,
         "what the linears are (sltrain)"},
        {"lora-b", 0, CLI_CHOICE, &o.model.lora_b, "kaiming|zero", 0, 0,
         "start of B for lowrank (kaiming)"},
        {"start", 0, CLI_CHOICE, &o.start, SLT_INIT_FACTORS, 0, 0, "start of A and B (kaiming)"},
        {"sparse-scale", 0, CLI_REAL, &o.sparse_scale, "X", 0, 1e6,
         "what the drawn values of S are multiplied by (1)"},
        {"seed", 's', CLI_WHOLE, &o.model.seed, "N", 0, 9.2e18, "of values and support (1)"},
        {"threads", 0, CLI_WHOLE, &o.threads, "N", 0, 4096, "CPU threads; 0: all (0)"},
        {"dry-run", 'n', CLI_FLAG, &o.dry_run, NULL, 0, 0,
         "print the parameter counts and write no model"},
        {"no-provenance", 0, CLI_FLAG, &o.no_provenance, NULL, 0, 0,
         "leave the provenance line out"},
    };
    const struct cli_program program = {
        "slt-init", "[options] --preset NAME | --config FILE | --from MODEL.slt",
        "Writes a new LLaMA checkpoint whose linears are "
        "full-rank, low-rank or sparse plus low-rank.",
        options, sizeof options / sizeof *options};
    const int first = cli_parse(&program, argc, &argv);
    if (argv[first] != NULL)
        cli_usage("unexpected operand '%s'", argv[first]);
    if (o.tokenizer != NULL && o.model.vocab_size > 0)
        cli_usage("--vocab-size does not go with --tokenizer, which has its own vocabulary");

    slt_stop_flag *stop = cli_catch_signals();
    struct slt_tokenizer *tokenizer = NULL;
    struct slt_config config;
    struct slt_error err;
    struct slt_checkpoint_reader *from = NULL;
    if (o.from != NULL && (o.model.preset != NULL || o.model.config != NULL ||
                           o.tokenizer != NULL || o.model.vocab_size > 0))
        cli_usage("--from brings sizes and tokenizer: no --preset, --config, --tokenizer or "
                  "--vocab-size with it");
    check_starts(&o);
    if (o.from == NULL && o.model.support != NULL && strcmp(o.model.support, "top") == 0)
        cli_usage(
            "--support top needs --from: it is where a weight differs most from its low-rank part");
    int code = o.from != NULL ? open_start(&o, &from, &tokenizer, &config, stop)
                              : cli_model_config(&config, &o.model, stop);
    if (code == 0 && o.tokenizer != NULL)
        code = load_tokenizer(&o, &tokenizer, &config, stop);
    if (code == 0 && slt_config_check(&config, &err) != 0)
        cli_usage("%s", err.message);
    if (code == 0)
        code =
            o.dry_run ? report(&o, &config, stop) : write_model(&o, &config, tokenizer, from, stop);
    slt_checkpoint_close(from);
    slt_tokenizer_free(tokenizer);
    free(o.model.layers.item);
    return cli_finish(code);
}
