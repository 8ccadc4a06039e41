// Optimizer steps of one model on one device, with weights and data made up in the process: what
// they cost in time and memory, without a checkpoint that is written and read.
//
// usage: bench_speed --preset NAME [--layers N] [--device cuda] [--warm N] [options of slt-init and
//        slt-train]
//     --layers is the model's, --warm the steps before the --steps that are timed. cuda is the
//     library that SLT_TEST_CUDA names, or libslt-cuda.so in the folder above the program's.
// Prints name<TAB>value lines: the plan's bytes by region and in total; taken, the bytes that the
// device has less of than before, libraries' own included, where it says how many are free; seconds
// until the first step; flops_per_token of the full-rank model of the same sizes; tokens_per_second
// of the median step, with its lower and upper quartile; the last step's loss.
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "device/library.h"
#include "device/memory.h"
#include "slt/clock.h"
#include "slt/estimate.h"
#include "slt/support.h"
#include "tools/cli_model.h"
#include "tools/cli_train.h"
#include "training.h"

#define MAX_STEPS 1000

struct options {
    struct cli_common common;
    struct cli_model model;
    struct slt_train_options train;
    const char *device;
    int64_t threads, layers, warm;
    bool eager;
};

// ---- The device ----

static const struct slt_ops *cuda_ops(void)
{
    static struct slt_library library;
    typedef const struct slt_ops *table_fn(void);
    char path[PATH_MAX] = "";
    const char *named = getenv("SLT_TEST_CUDA");
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
    path[n > 0 ? n : 0] = '\0';
    for (int up = 0; up < 2 && strrchr(path, '/') != NULL; up++)
        *strrchr(path, '/') = '\0';
    strcat(path, "/libslt-cuda.so");
    slt_library_open(&library, named != NULL ? named : path);
    void *symbol = library.handle != NULL ? dlsym(library.handle, "slt_cuda_ops") : NULL;
    table_fn *table;
    memcpy(&table, &symbol, sizeof table);
    if (table == NULL || table()->version != SLT_OPS_VERSION) {
        cli_say("cannot use device 'cuda': %s",
                table != NULL ? "another version of the operations" : library.reason);
        exit(1);
    }
    return table();
}

static struct slt_device open_device(const struct options *o)
{
    struct slt_error err;
    struct slt_device device = {.threads = (int)o->threads};
    device.ops = strcmp(o->device, "cuda") == 0 ? cuda_ops() : bench_ops(NULL);
    if (device.ops->open(&device.ctx, &(struct slt_ops_options){.threads = (int)o->threads},
                         &err) != 0)
        bench_die(&err);
    device.ops->describe(device.ctx, device.text, sizeof device.text);
    return device;
}

// ---- The steps ----

struct measured {
    uint64_t free_before, free_after;
    double start;                   // seconds until the first step
    double speed[MAX_STEPS];        // tokens/s
    struct slt_train_record record; // of the last step
};

static struct slt_trainer *create(const struct options *o, const struct slt_config *config,
                                  const struct slt_device *device, struct slt_tokens *tokens)
{
    struct slt_error err;
    struct slt_trainer *trainer;
    if (make_trainer(&trainer, device, config, tokens, &o->train, &err) != 0)
        bench_die(&err);
    trainer->eager = o->eager;
    bench_fill_weights(trainer->model);
    slt_optimizer_start(&trainer->optimizer);
    if (device->ops->synchronize(device->ctx, &err) != 0)
        bench_die(&err);
    return trainer;
}

static void measure(struct measured *m, struct slt_trainer *trainer,
                    const struct slt_device *device, int64_t warm)
{
    struct slt_error err;
    for (int64_t i = 0; i < trainer->options.steps; i++) {
        if (slt_trainer_step(trainer, &m->record, NULL, &err) != 0)
            bench_die(&err);
        if (i >= warm)
            m->speed[i - warm] = m->record.tokens_per_second;
    }
    if (m->record.skipped_updates > 0) {
        cli_say("%llu updates were skipped", (unsigned long long)m->record.skipped_updates);
        exit(1);
    }
    m->free_after = slt_device_available(device);
}

static int report(const struct options *o, const struct slt_config *config,
                  const struct slt_trainer *trainer, struct measured *m, struct slt_device *device,
                  slt_stop_flag *stop)
{
    struct slt_error err;
    struct slt_plan plan;
    struct slt_flops flops;
    struct slt_work work;
    struct cli_report *r;
    const int steps = (int)(trainer->options.steps - o->warm);
    int code = cli_report_open(&r, o->common.output, false, stop);
    if (code != 0)
        return code;
    if (slt_estimate_run(&plan, &flops, &work, device, config, &trainer->options, &err) != 0)
        bench_die(&err);
    cli_report_text(r, "device", device->text);
    cli_report_whole(r, "tokens_per_step", trainer->options.batch * trainer->options.seq);
    cli_report_plan(r, &trainer->plan);
    if (m->free_before != UINT64_MAX)
        cli_report_whole(r, "taken", (int64_t)(m->free_before - m->free_after));
    cli_report_real(r, "start_seconds", m->start);
    cli_report_whole(r, "flops_per_token", (int64_t)flops.model);
    cli_report_real(r, "tokens_per_second", bench_quantile(m->speed, steps, 0.5));
    cli_report_real(r, "lower_quartile", bench_quantile(m->speed, steps, 0.25));
    cli_report_real(r, "upper_quartile", bench_quantile(m->speed, steps, 0.75));
    cli_report_real(r, "loss", m->record.loss);
    cli_report_times(r, &work, flops.model, trainer->options.batch * trainer->options.seq, 1, 0);
    return cli_report_close(r, 0);
}

static int run(struct options *o, slt_stop_flag *stop)
{
    static struct measured m;
    struct slt_config config;
    int code = cli_model_config(&config, &o->model, stop);
    if (code != 0)
        return code;
    if (o->layers > 0)
        config.num_hidden_layers = o->layers;
    struct slt_error err;
    if (slt_support_crc(&config.support_crc, &config, &err) != 0)
        bench_die(&err);
    o->train.steps += o->warm;
    const double start = slt_clock_now();
    struct slt_tokens *tokens =
        bench_tokens(config.vocab_size, (o->train.steps + 1) * o->train.batch * (o->train.seq + 1));
    struct slt_device device = open_device(o);
    m.free_before = slt_device_available(&device);
    struct slt_trainer *trainer = create(o, &config, &device, tokens);
    m.start = slt_clock_now() - start;
    measure(&m, trainer, &device, o->warm);
    code = report(o, &config, trainer, &m, &device, stop);
    slt_trainer_free(trainer);
    slt_tokens_close(tokens);
    device.ops->close(device.ctx);
    return code;
}

int main(int argc, char **argv)
{
    struct options o = {
        .common = {.output = "-"}, .model = CLI_MODEL_DEFAULTS, .device = "cpu", .warm = 2};
    slt_train_defaults(&o.train);
    o.train.steps = 8;
    o.train.lr = 1e-4;
    const struct cli_option own[] = {
        CLI_COMMON(&o.common),
        CLI_MODEL(&o.model),
        {"vocab-size", 0, CLI_WHOLE, &o.model.vocab_size, "N", 4, 1 << 24, "vocabulary"},
        {"method", 'm', CLI_CHOICE, &o.model.method, SLT_METHOD_CHOICES, 0, 0,
         "what the linears are (sltrain)"},
        {"layers", 0, CLI_WHOLE, &o.layers, "N", 1, 1000, "layers of the model (the preset's)"},
        {"device", 0, CLI_WORD, &o.device, "cpu|cuda", 0, 0, "where it runs (cpu)"},
        {"threads", 0, CLI_WHOLE, &o.threads, "N", 0, 4096, "CPU threads; 0: all (0)"},
        {"warm", 0, CLI_WHOLE, &o.warm, "N", 0, MAX_STEPS, "steps before those timed (2)"},
        {"eager", 0, CLI_FLAG, &o.eager, NULL, 0, 0, "run each operation by itself"},
    };
    struct cli_option options[CLI_MAX_OPTIONS];
    size_t count = cli_add_options(options, 0, own, sizeof own / sizeof *own);
    count = cli_train_options(options, count, &o.train, false);
    const struct cli_program program = {"bench_speed", "[options] --preset NAME | --config FILE",
                                        "Times optimizer steps of a model with made-up weights.",
                                        options, count};
    const int first = cli_parse(&program, argc, &argv);
    if (argv[first] != NULL)
        cli_usage("unexpected operand '%s'", argv[first]);
    if (o.train.steps > MAX_STEPS)
        cli_usage("--steps is at most %d", MAX_STEPS);
    const int code = run(&o, cli_catch_signals());
    free(o.model.layers.item);
    return cli_finish(code);
}
