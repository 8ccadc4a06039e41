// slt-quantize: a checkpoint's weights as codes of 8 or 4 bits, and back.
#include <string.h>

#include "cli.h"
#include "slt/quantize.h"

struct options {
    struct cli_common common;
    int type;
    int64_t block, threads;
    const char *report;
    bool dequantize, no_provenance;
};

// What is known about the tensors so far.
struct session {
    const struct options *options;
    struct slt_output *report; // NULL: none
    struct slt_quant_error total;
    struct cli_progress progress;
};

// ---- Errors of the tensors ----

static int print_row(struct slt_output *report, const char *name, const struct slt_quant_error *e,
                     struct slt_error *err)
{
    return slt_output_printf(report, err, "%s\t%lld\t%.6g\t%.6g\n", name, (long long)e->values,
                             slt_quant_rms_error(e), e->max_error);
}

static void say_row(struct session *s, const char *name, const struct slt_quant_error *e)
{
    cli_progress_clear(&s->progress);
    cli_say("%s: %lld values, rms error %.3g of rms, largest error %.3g", name,
            (long long)e->values, slt_quant_rms_error(e), e->max_error);
}

static int on_tensor(void *user, const char *name, const struct slt_quant_error *e,
                     struct slt_error *err)
{
    struct session *s = user;
    s->total.values += e->values;
    s->total.square += e->square;
    s->total.error_square += e->error_square;
    if (e->max_error > s->total.max_error)
        s->total.max_error = e->max_error;
    if (s->options->common.verbose > 0)
        say_row(s, name, e);
    else if (cli_progress_due(&s->progress))
        cli_progress_line(&s->progress, "%lld values, %s", (long long)s->total.values, name);
    return s->report != NULL ? print_row(s->report, name, e, err) : 0;
}

// ---- The run ----

// Both outputs are complete on disk before the first one is renamed.
static int publish(struct slt_output *out, struct slt_output *report)
{
    struct slt_error err;
    int code = 0;
    if (report != NULL &&
        (slt_output_finish(out, &err) != 0 || slt_output_finish(report, &err) != 0))
        code = cli_error(&err);
    if (report != NULL)
        code = cli_close_output(report, code);
    return cli_close_output(out, code);
}

static int convert(struct session *s, struct slt_output *out, struct slt_input *in,
                   slt_stop_flag *stop)
{
    const struct options *o = s->options;
    struct slt_checkpoint_reader *reader = NULL;
    struct slt_error err;
    struct slt_quantize_run run = {.tool = o->no_provenance ? NULL : cli_name,
                                   .threads = (int)o->threads,
                                   .stop = stop,
                                   .on_tensor = on_tensor,
                                   .user = s};
    if (!o->dequantize) {
        run.how.type = (enum slt_quant_type)(o->type < 0 ? SLT_QUANT_INT8 : o->type + 1);
        run.how.block = o->block > 0 ? o->block : slt_quant_default_block(run.how.type);
    }
    int rc = slt_checkpoint_open(&reader, in, &err);
    if (rc == 0)
        slt_checkpoint_use_threads(reader, (int)o->threads);
    if (rc == 0 && s->report != NULL)
        rc = slt_output_printf(s->report, &err, "tensor\tvalues\trms_relative_error\tmax_error\n");
    if (rc == 0)
        rc = slt_checkpoint_quantize(out, reader, &run, &err);
    if (rc == 0 && s->report != NULL)
        rc = print_row(s->report, "total", &s->total, &err);
    slt_checkpoint_close(reader);
    cli_progress_clear(&s->progress);
    return rc == 0 ? 0 : cli_error(&err);
}

static int quantize(const struct options *o, const char *model, slt_stop_flag *stop)
{
    struct session s = {.options = o};
    struct slt_input *in = NULL;
    struct slt_output *out = NULL;
    struct slt_error err;
    int code = cli_open_model(&in, model, o->common.quiet, stop);
    if (code != 0)
        return code;
    if ((code = cli_open_binary_output(&out, o->common.output, stop)) != 0) {
        slt_input_close(in);
        return code;
    }
    if (o->report != NULL && slt_output_open(&s.report, o->report, stop, &err) != 0) {
        slt_input_close(in);
        return cli_close_output(out, cli_error(&err));
    }
    cli_progress_start(&s.progress, &o->common);
    code = convert(&s, out, in, stop);
    if (code == 0) {
        code = publish(out, s.report);
    } else {
        slt_output_abandon(s.report);
        slt_output_abandon(out);
    }
    if (code == 0 && o->common.verbose > 0 && !o->dequantize)
        say_row(&s, "total", &s.total);
    return code;
}

int main(int argc, char **argv)
{
    struct options o = {.common = {.output = "-"}, .type = -1};
    const struct cli_option options[] = {
        CLI_COMMON(&o.common),
        {"type", 't', CLI_CHOICE, &o.type, "int8|dyn8|nf4", 0, 0, "what values become (int8)"},
        {"block", 'b', CLI_WHOLE, &o.block, "N", 1, SLT_QUANT_BLOCK_MAX,
         "values that share a scale (256; 64 for nf4)"},
        {"dequantize", 'd', CLI_FLAG, &o.dequantize, NULL, 0, 0, "turn codes into values again"},
        {"report", 'r', CLI_TEXT, &o.report, "FILE", 0, 0,
         "write a table of the error of each tensor"},
        {"threads", 0, CLI_WHOLE, &o.threads, "N", 0, 4096, "CPU threads; 0: all (0)"},
        {"no-provenance", 0, CLI_FLAG, &o.no_provenance, NULL, 0, 0, "add no provenance line"},
    };
    const struct cli_program program = {
        "slt-quantize", "[options] [MODEL.slt]",
        "Stores a checkpoint's weights in 8 or 4 bits with a scale for each block.", options,
        sizeof options / sizeof *options};
    const int first = cli_parse(&program, argc, &argv);
    const char *model = cli_one_input(argv, first);
    if (o.dequantize && (o.type >= 0 || o.block > 0 || o.report != NULL))
        cli_usage("--type, --block and --report do not go with --dequantize");
    if (o.report != NULL && strcmp(o.report, "-") == 0 && strcmp(o.common.output, "-") == 0)
        cli_usage("only one of the outputs can be '-'");
    cli_keep_apart("--output", o.common.output, "--report", o.report);
    slt_stop_flag *stop = cli_catch_signals();
    return cli_finish(quantize(&o, model, stop));
}
