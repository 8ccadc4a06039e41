// slt-eval: the exact loss of a checkpoint on a token file.
#include <stdlib.h>

#include "cli.h"
#include "cli_model.h"
#include "cli_ranks.h"
#include "slt/evaluate.h"

struct options {
    struct cli_common common;
    struct cli_ranks ranks;
    struct cli_list data;
    const char *model, *device;
    int route; // enum slt_route
    int64_t batch, seq, limit, threads;
    int packing, protocol;
    bool json;
};

static void show_progress(void *user, uint64_t tokens, double loss)
{
    if (cli_progress_due(user))
        cli_progress_line(user, "%llu tokens, loss %.4f", (unsigned long long)tokens, loss);
}

static int print(const struct options *o, const struct slt_eval_result *r, slt_stop_flag *stop)
{
    struct cli_report *report;
    int code = cli_report_open(&report, o->common.output, o->json, stop);
    if (code != 0)
        return code;
    cli_report_real(report, "loss", r->loss);
    cli_report_real(report, "perplexity", r->perplexity);
    cli_report_whole(report, "tokens", (int64_t)r->tokens);
    cli_report_real(report, "bits_per_byte", r->bits_per_byte);
    if (o->protocol == 1) {
        cli_report_whole(report, "batches", (int64_t)r->batches);
        cli_report_real(report, "galore_loss", r->galore_loss);
        cli_report_real(report, "galore_perplexity", r->galore_perplexity);
    }
    return cli_report_close(report, 0);
}

static int open_inputs(void *user, struct cli_inputs *in, slt_stop_flag *stop)
{
    const struct options *o = user;
    struct slt_error err;
    struct slt_input *file = NULL;
    int code = cli_open_model(&file, o->model, o->common.quiet, stop);
    if (code != 0)
        return code;
    if ((code = cli_open_tokens(&in->tokens, &o->data, stop)) != 0) {
        slt_input_close(file);
        return code;
    }
    if (slt_checkpoint_open(&in->reader, file, &err) != 0)
        return cli_error(&err);
    const struct slt_config *config = slt_checkpoint_config(in->reader);
    const int threads = slt_ranks_threads(o->ranks.ranks, (int)o->threads);
    slt_checkpoint_use_threads(in->reader, threads);
    if (!o->common.quiet)
        cli_compare_ends(in->tokens, config);
    if ((code = cli_ranks_device(&o->ranks, &in->device, o->device, o->threads)) != 0)
        return code;
    cli_say_seq_beyond(&o->common, config, o->seq);
    return 0;
}

static int evaluate(void *user, const struct cli_inputs *in, slt_stop_flag *stop)
{
    struct options *o = user;
    struct slt_error err;
    struct slt_eval_result result;
    struct cli_progress progress;
    struct slt_eval_options options = {.batch = o->batch,
                                       .seq = o->seq,
                                       .packing = (enum slt_packing)o->packing,
                                       .limit = (uint64_t)o->limit,
                                       .route = (enum slt_route)o->route,
                                       .stop = stop,
                                       .ranks = o->ranks.ranks,
                                       .user = &progress};
    cli_progress_start(&progress, &o->common);
    if (cli_ranks_speaks(&o->ranks))
        options.progress = show_progress;
    const int rc = slt_evaluate(&result, in->device, in->reader, in->tokens, &options, &err);
    cli_progress_clear(&progress);
    if (rc != 0)
        return cli_ranks_error(&o->ranks, &err);
    return cli_ranks_speaks(&o->ranks) ? print(o, &result, stop) : 0;
}

int main(int argc, char **argv)
{
    struct options o = {.common = {.output = "-"}, .device = "auto", .batch = 16, .seq = 256};
    const struct cli_option options[] = {
        CLI_COMMON(&o.common),
        {"data", 'd', CLI_LIST, &o.data, "FILE", 0, 0,
         "token file to evaluate on, or a pattern of several; may be repeated"},
        {"batch", 'b', CLI_WHOLE, &o.batch, "N", 1, 1 << 20, "sequences at once (16)"},
        {"seq", 0, CLI_WHOLE, &o.seq, "N", 2, 1 << 20, "tokens of a sequence (256)"},
        {"layout", 0, CLI_CHOICE, &o.packing, "packed|document", 0, 0,
         "windows of the whole file, or one sequence for each document (packed)"},
        {"limit", 0, CLI_WHOLE, &o.limit, "N", 0, 9.2e18, "stop after N tokens; 0: all (0)"},
        {"protocol", 0, CLI_CHOICE, &o.protocol, "exact|galore", 0, 0,
         "galore adds what the published evaluators print (exact)"},
        {"route", 0, CLI_CHOICE, &o.route, SLT_ROUTES, 0, 0,
         "how sparse plus low-rank layers are computed (auto)"},
        {"device", 0, CLI_WORD, &o.device, CLI_DEVICES, 0, 0, "where to compute (auto)"},
        {"threads", 0, CLI_WHOLE, &o.threads, "N", 0, 4096, "CPU threads; 0: all (0)"},
        CLI_RANKS(&o.ranks),
        {"json", 0, CLI_FLAG, &o.json, NULL, 0, 0, "print a JSON object"},
    };
    const struct cli_program program = {
        "slt-eval", "[options] --data FILE [[FILE ...] MODEL.slt]",
        "Prints loss, perplexity, tokens and bits per byte of a checkpoint on a token file.",
        options, sizeof options / sizeof *options};
    const int first = cli_parse(&program, argc, &argv);
    o.model = cli_data_and_model(&o.data, argv, first);
    slt_stop_flag *stop = cli_catch_signals();
    const struct cli_shared shared = {0, o.model, &o.common, &o, open_inputs, evaluate};
    const int code = cli_ranks_run(&o.ranks, &shared, stop);
    free(o.data.item);
    return cli_finish(code);
}
