// slt-plan: parameters, memory and arithmetic of a training run, before there is one.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "cli_model.h"
#include "cli_train.h"
#include "slt/estimate.h"
#include "slt/train.h"

struct options {
    struct cli_common common;
    struct cli_model model;
    struct slt_train_options train;
    int method; // enum slt_method, -1: not given
    const char *device;
    int64_t threads, memory, link;
    bool table2, json;
};

// ---- The plan of one run ----

struct answer {
    struct slt_config config;
    struct slt_plan plan;
    struct slt_estimate paper;
    struct slt_flops flops;
    struct slt_work work;
    bool on_gpu;
};

// A size that the library refuses was asked for by an option.
static int refuse(const struct slt_error *err)
{
    if (err->code == SLT_ERR_RANGE)
        cli_usage("%s", err->message);
    return cli_error(err);
}

// GaLore takes its rank from the options of the optimizer; where there is none, the paper's stands
// for it.
static int count_paper(struct answer *a, const struct options *o, struct slt_error *err)
{
    struct slt_config usual = a->config;
    slt_config_method_defaults(&usual, o->model.preset);
    const int64_t given = o->train.optimizer.galore_rank;
    return slt_estimate_paper(&a->paper, &a->config, o->train.optimizer.kind,
                              given > 0 ? given : usual.rank, err);
}

static int compute(struct answer *a, const struct options *o)
{
    struct slt_error err;
    struct slt_device *device;
    if (slt_device_open_to_plan(&device, o->device, (int)o->threads, (uint64_t)o->memory, &err) !=
        0)
        return cli_error(&err);
    if (o->common.verbose > 0)
        cli_say("%s", slt_device_describe(device));
    int code = 0;
    a->on_gpu = strcmp(slt_device_name(device), "cuda") == 0;
    if (slt_estimate_run(&a->plan, &a->flops, &a->work, device, &a->config, &o->train, &err) != 0 ||
        count_paper(a, o, &err) != 0)
        code = refuse(&err);
    slt_device_close(device);
    return code;
}

static void report_model(struct cli_report *r, const struct options *o, const struct slt_config *c)
{
    cli_report_text(r, "method", slt_method_name(c->method));
    cli_model_report(r, c);
    cli_report_text(r, "optimizer", slt_optimizer_name(o->train.optimizer.kind));
    cli_report_whole(r, "tokens_per_step", o->train.batch * o->train.seq);
}

static void report_flops(struct cli_report *r, const struct slt_flops *f)
{
    for (int k = 0; k < SLT_GROUP_KINDS; k++) {
        char name[32];
        snprintf(name, sizeof name, "route_%s", slt_group_name((enum slt_group_kind)k));
        cli_report_text(r, name, f->route[k]);
    }
    cli_report_whole(r, "flops_per_token", (int64_t)f->model);
    cli_report_whole(r, "computed_flops_per_token", (int64_t)f->computed);
}

static int plan(struct options *o, slt_stop_flag *stop)
{
    struct slt_error err;
    struct answer a;
    struct cli_report *r;
    int code = cli_model_config(&a.config, &o->model, stop);
    if (code != 0)
        return code;
    char recommended[2 * SLT_CONFIG_TRAINING];
    if (slt_train_adopt(&o->train, &a.config, cli_was_given, recommended, sizeof recommended,
                        &err) != 0)
        return cli_error(&err);
    if (slt_config_check(&a.config, &err) != 0 || slt_train_resolve(&o->train, &err) != 0)
        cli_usage("%s", err.message);
    if ((code = compute(&a, o)) != 0 ||
        (code = cli_report_open(&r, o->common.output, o->json, stop)) != 0)
        return code;
    cli_say_seq_beyond(&o->common, &a.config, o->train.seq);
    report_model(r, o, &a.config);
    cli_report_plan(r, &a.plan);
    cli_report_whole(r, "paper_weights", (int64_t)a.paper.weights);
    cli_report_whole(r, "paper_moments", (int64_t)a.paper.moments);
    cli_report_whole(r, "paper_projectors", (int64_t)a.paper.projectors);
    cli_report_whole(r, "paper_index", (int64_t)a.paper.index);
    cli_report_whole(r, "paper", (int64_t)slt_estimate_total(&a.paper));
    report_flops(r, &a.flops);
    // Every rank sends and receives at the same time.
    const double exchange = o->link > 0 ? (double)a.plan.sent / (double)a.plan.ranks / (double)o->link : 0;
    if (exchange > 0)
        cli_report_real(r, "exchange_ms", 1e3 * exchange);
    if (a.on_gpu && o->train.precision != SLT_PRECISION_F32)
        cli_report_times(r, &a.work, a.flops.model, o->train.batch * o->train.seq, a.plan.ranks,
                         exchange);
    if (o->memory > 0) {
        cli_report_whole(r, "memory", o->memory);
        cli_report_text(r, "fits", slt_plan_total(&a.plan) <= (uint64_t)o->memory ? "yes" : "no");
    }
    return cli_report_close(r, 0);
}

// ---- The published tables ----

// A printed number, or "-" for none.
static const char *printed(char *text, size_t size, const char *format, double value)
{
    snprintf(text, size, value > 0 ? format : "-", value);
    return text;
}

static int print_row(struct slt_output *out, const struct slt_published *row, struct slt_error *err)
{
    struct slt_estimate e;
    char millions[32], giga[32];
    int rc = slt_published_estimate(&e, row, err);
    if (rc != 0)
        return rc;
    const char *digits = row->kind == SLT_PRINTED_ESTIMATE ? "%.2f" : "%.1f";
    return slt_output_printf(
        out, err, "%s\t%s\t%s\t%s\t%llu\t%s\t%.3f\t%s\t%s\t%llu\t%llu\t%llu\t%llu\n", row->source,
        slt_scheme_name(row->scheme), row->preset, slt_accounting_name(row->accounting),
        (unsigned long long)e.parameters, printed(millions, sizeof millions, "%.0f", row->millions),
        (double)slt_estimate_total(&e) / 1e9, printed(giga, sizeof giga, digits, row->giga),
        slt_published_mark(row, &e), (unsigned long long)e.weights, (unsigned long long)e.moments,
        (unsigned long long)e.projectors, (unsigned long long)e.index);
}

static int table2(const struct options *o, slt_stop_flag *stop)
{
    struct slt_error err;
    struct slt_output *out;
    const struct slt_published *row;
    if (slt_output_open(&out, o->common.output, stop, &err) != 0)
        return cli_error(&err);
    int rc = slt_output_printf(out, &err,
                               "source\tmethod\tpreset\taccounting\tparameters\tprinted_parameters"
                               "\tmemory\tprinted_memory\tmark\tweights\tmoments\tprojectors\tindex"
                               "\n");
    for (size_t i = 0; rc == 0 && (row = slt_published_row(i)) != NULL; i++)
        rc = print_row(out, row, &err);
    return cli_close_output(out, rc != 0 ? cli_error(&err) : 0);
}

static void check_table2(const struct options *o)
{
    const struct cli_model *m = &o->model;
    if (m->preset != NULL || m->config != NULL || m->rank > 0 || m->density >= 0 || m->alpha > 0 ||
        m->support != NULL || m->dense_layers != NULL || m->layers.count > 0 || m->budget > 0 ||
        m->vocab_size > 0 || o->method >= 0 || o->memory > 0 || o->json)
        cli_usage("--table2 goes with no option of a model, and not with --memory and --json");
}

int main(int argc, char **argv)
{
    struct options o = {
        .common = {.output = "-"}, .model = CLI_MODEL_DEFAULTS, .method = -1, .device = "auto"};
    slt_train_defaults(&o.train);
    o.train.steps = 1;
    const struct cli_option own[] = {
        CLI_COMMON(&o.common),
        CLI_MODEL(&o.model),
        {"vocab-size", 0, CLI_WHOLE, &o.model.vocab_size, "N", 2, 1 << 24,
         "vocabulary (the preset's or the file's)"},
        {"method", 'm', CLI_CHOICE, &o.method, SLT_METHOD_CHOICES, 0, 0,
         "what the linears are (sltrain)"},
        {"device", 0, CLI_WORD, &o.device, CLI_DEVICES, 0, 0, "where it would run (auto)"},
        {"threads", 0, CLI_WHOLE, &o.threads, "N", 0, 4096, "CPU threads; 0: all (0)"},
        {"memory", 0, CLI_WHOLE, &o.memory, "BYTES", 1, 9e18, "say whether the run fits in BYTES"},
        {"link", 0, CLI_WHOLE, &o.link, "BYTES", 1, 1e15,
         "bytes per second from a rank to the others, for what --ranks exchange"},
        {"table2", 0, CLI_FLAG, &o.table2, NULL, 0, 0,
         "print the paper's memory tables beside the formulas"},
        {"json", 0, CLI_FLAG, &o.json, NULL, 0, 0, "print one JSON object"},
    };
    struct cli_option options[CLI_MAX_OPTIONS];
    size_t count = cli_add_options(options, 0, own, sizeof own / sizeof *own);
    count = cli_train_options(options, count, &o.train, true);
    const struct cli_program program = {
        "slt-plan", "[options] --preset NAME | --config FILE | --table2",
        "Prints parameters, memory and arithmetic of a training run, without data or GPU.", options,
        count};
    const int first = cli_parse(&program, argc, &argv);
    if (argv[first] != NULL)
        cli_usage("unexpected operand '%s'", argv[first]);
    if (o.link > 0 && o.train.ranks < 2)
        cli_usage("--link is between ranks, and without --ranks there is one");
    if (o.table2)
        check_table2(&o);
    if (o.method >= 0)
        o.model.method = o.method;
    slt_stop_flag *stop = cli_catch_signals();
    const int code = o.table2 ? table2(&o, stop) : plan(&o, stop);
    free(o.model.layers.item);
    return cli_finish(code);
}
