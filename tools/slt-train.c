// slt-train: trains a checkpoint on a token file.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "cli.h"
#include "cli_metrics.h"
#include "cli_model.h"
#include "cli_ranks.h"
#include "cli_train.h"
#include "slt/number.h"
#include "slt/train.h"

struct options {
    struct cli_common common;
    struct cli_ranks ranks;
    struct slt_train_options train;
    struct slt_train_run run;
    struct cli_list data;
    const char *model, *device, *metrics, *checkpoint_every;
    int64_t tokens, threads, log_every, valid_limit;
    double epochs;
    bool dry_run, no_provenance;
};

// What the callbacks need.
struct session {
    const struct options *options;
    struct slt_device *device;
    bool planned, is_too_large;
    struct cli_progress progress;
    struct cli_metrics metrics;
    double speed;     // tokens/s, smoothed over steps
    uint64_t skipped; // steps so far
    int64_t saved;    // the step of the last state that was written
};

// ---- Reports ----

static int on_plan(void *user, const struct slt_config *config, const struct slt_plan *plan,
                   struct slt_error *err)
{
    struct session *s = user;
    char text[32];
    s->planned = true;
    if (s->options->common.verbose > 0 && cli_ranks_speaks(&s->options->ranks)) {
        cli_say("%s, %llu parameters", slt_method_name(config->method),
                (unsigned long long)plan->parameters);
        for (int i = 0; i < SLT_REGIONS; i++)
            if (plan->bytes[i] > 0 || i != SLT_REGION_EXCHANGE)
                cli_say("%-12s %12llu bytes  %s", slt_region_name((enum slt_region)i),
                        (unsigned long long)plan->bytes[i],
                        slt_bytes_format(text, sizeof text, plan->bytes[i]));
        cli_say("%-12s %12llu bytes  %s", "total", (unsigned long long)slt_plan_total(plan),
                slt_bytes_format(text, sizeof text, slt_plan_total(plan)));
    }
    const int rc = cli_check_fit(s->device, plan, err);
    s->is_too_large = rc != 0;
    return rc;
}

static void on_start(void *user, int64_t resumed_step, bool validation_is_due)
{
    struct session *s = user;
    cli_metrics_open(&s->metrics, s->options->metrics, resumed_step, validation_is_due);
    if (resumed_step > 0 && !s->options->common.quiet)
        cli_say("resuming after step %lld", (long long)resumed_step);
}

static void on_finished(void *user)
{
    struct session *s = user;
    if (!s->options->common.quiet)
        cli_say("'%s' is the result of this run: nothing is left to do", s->options->common.output);
}

static void on_route(void *user, const char *group, const char *route)
{
    const struct session *s = user;
    if (s->options->common.verbose > 0)
        cli_say("%s: %s route", group, route);
}

// The most memory this process has had at once, libraries included.
static json_int_t peak_resident_bytes(void)
{
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    return (json_int_t)usage.ru_maxrss * 1024;
}

static int on_step(void *user, const struct slt_train_record *r, struct slt_error *err)
{
    struct session *s = user;
    const struct options *o = s->options;
    (void)err;
    if (r->step % o->log_every == 0 || r->step == o->train.steps) {
        json_t *line = json_pack("{s:s s:I s:I s:b}", "type", "train", "step", (json_int_t)r->step,
                                 "tokens", (json_int_t)r->tokens, "skipped", (int)r->skipped);
        cli_metrics_real(line, "loss", r->loss);
        cli_metrics_real(line, "lr", r->lr);
        cli_metrics_real(line, "grad_norm", r->grad_norm);
        json_object_set_new(line, "skipped_losses", json_integer((json_int_t)r->skipped_losses));
        json_object_set_new(line, "skipped_updates", json_integer((json_int_t)r->skipped_updates));
        cli_metrics_real(line, "step_seconds", r->seconds);
        cli_metrics_real(line, "data_seconds", r->data_seconds);
        cli_metrics_real(line, "tokens_per_second", r->tokens_per_second);
        json_object_set_new(line, "peak_resident_bytes", json_integer(peak_resident_bytes()));
        if (o->ranks.ranks != NULL)
            json_object_set_new(line, "ranks", json_integer(slt_ranks_size(o->ranks.ranks)));
        cli_metrics_write(&s->metrics, line);
    }
    s->skipped = r->skipped_losses + r->skipped_updates;
    s->speed = s->speed == 0 ? r->tokens_per_second : 0.9 * s->speed + 0.1 * r->tokens_per_second;
    if (cli_progress_due(&s->progress)) {
        char eta[32];
        const double left = (double)(o->train.steps - r->step) * (double)o->train.batch *
                            (double)o->train.seq / s->speed;
        cli_progress_line(&s->progress, "step %lld/%lld loss %.4f lr %.2e %.1fk tok/s ETA %s",
                          (long long)r->step, (long long)o->train.steps, r->loss, r->lr,
                          s->speed * 1e-3, slt_duration_format(eta, sizeof eta, left));
    }
    return 0;
}

static int on_validation(void *user, const struct slt_train_validation *v, struct slt_error *err)
{
    struct session *s = user;
    (void)err;
    json_t *line = json_pack("{s:s s:I s:I}", "type", "valid", "step", (json_int_t)v->step,
                             "valid_tokens", (json_int_t)v->tokens);
    cli_metrics_real(line, "valid_loss", v->loss);
    cli_metrics_real(line, "valid_perplexity", v->perplexity);
    cli_metrics_real(line, "valid_seconds", v->seconds);
    cli_metrics_write(&s->metrics, line);
    if (!s->options->common.quiet) {
        cli_progress_clear(&s->progress);
        cli_say("step %lld validation loss %.4f perplexity %.2f", (long long)v->step, v->loss,
                v->perplexity);
    }
    return 0;
}

static void on_traffic(void *user, uint64_t bytes, int64_t steps)
{
    const struct session *s = user;
    if (s->options->common.verbose > 0)
        cli_say("%llu bytes were sent between ranks in %lld steps", (unsigned long long)bytes,
                (long long)steps);
}

static void on_warning(void *user, const char *sentence)
{
    struct session *s = user;
    cli_progress_clear(&s->progress);
    cli_say("%s", sentence);
}

static void on_checkpoint(void *user, const char *path, int64_t step)
{
    struct session *s = user;
    s->saved = step;
    const bool is_last = *s->options->run.stop != 0 && !s->options->common.quiet;
    if (s->options->common.verbose > 0 || is_last) {
        cli_progress_clear(&s->progress);
        cli_say("step %lld: wrote '%s'", (long long)step, path);
    }
}

// ---- Options that depend on each other ----

// --tokens and --epochs as steps.
static void count_steps(struct options *o, const struct slt_tokens *tokens)
{
    const int64_t each = o->train.batch * o->train.seq;
    const int given = (o->train.steps > 0) + (o->tokens > 0) + (o->epochs > 0);
    if (given != 1)
        cli_usage("give one of --steps, --tokens and --epochs");
    if (o->tokens > 0)
        o->train.steps = (o->tokens + each - 1) / each;
    if (o->epochs > 0) {
        if (!slt_tokens_is_mapped(tokens))
            cli_usage("--epochs needs a plain token file, '%s' is a stream",
                      slt_tokens_name(tokens));
        const double sequences =
            o->epochs * (double)slt_tokens_sequences(tokens, o->train.seq, o->train.packing);
        o->train.steps = (int64_t)ceil(sequences / (double)o->train.batch);
    }
    if (o->train.steps < 1)
        cli_usage("'%s' is too short for one step", slt_tokens_name(tokens));
    if (o->train.schedule.warmup > o->train.steps)
        cli_usage("--warmup %lld is more than the %lld steps", (long long)o->train.schedule.warmup,
                  (long long)o->train.steps);
}

// What the command line leaves open is as the model's configuration recommends it. One number may
// be given by several options.
static bool is_given(const char *name)
{
    static const char *const same[][3] = {{"steps", "tokens", "epochs"},
                                          {"warmup", "warmup-ratio", "warmup"}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        for (int k = 0; k < 3; k++)
            if (strcmp(name, same[i][k]) == 0)
                return cli_was_given(same[i][0]) || cli_was_given(same[i][1]) ||
                       cli_was_given(same[i][2]);
    return cli_was_given(name);
}

static int adopt_training(struct options *o, const struct slt_config *config)
{
    struct slt_error err;
    char text[2 * SLT_CONFIG_TRAINING];
    if (slt_train_adopt(&o->train, config, is_given, text, sizeof text, &err) != 0)
        return cli_error(&err);
    if (text[0] != '\0' && o->common.verbose > 0)
        cli_say("from the model's configuration: %s", text);
    return 0;
}

// --checkpoint-every is a number of steps, or a duration if it has a unit of time.
static void checkpoint_interval(struct options *o)
{
    struct slt_error err;
    const char *text = o->checkpoint_every;
    const size_t n = text != NULL ? strlen(text) : 0;
    if (n == 0)
        return;
    const int rc =
        strchr("smhd", text[n - 1]) != NULL
            ? slt_duration_parse(&o->run.checkpoint_every_seconds, "--checkpoint-every", text, &err)
            : slt_number_parse(&o->run.checkpoint_every, "--checkpoint-every", text, 1, INT64_MAX,
                               &err);
    if (rc != 0)
        cli_usage("%s", err.message);
    if (o->run.checkpoint_every == 0 && !(o->run.checkpoint_every_seconds > 0))
        cli_usage("--checkpoint-every '%s' is no time to wait", text);
}

static void check_prefix(const char *prefix)
{
    const char *slash = prefix != NULL ? strrchr(prefix, '/') : NULL;
    const char *base = slash != NULL ? slash + 1 : prefix;
    if (base != NULL && (*base == '\0' || strcmp(base, ".") == 0 || strcmp(base, "..") == 0))
        cli_usage("--checkpoint '%s' has no name at its end that states could begin with", prefix);
}

// Whether the model goes into a file, and not to stdout or a device.
static bool has_result_file(const struct options *o)
{
    struct stat st;
    return strcmp(o->common.output, "-") != 0 &&
           (stat(o->common.output, &st) != 0 || S_ISREG(st.st_mode));
}

// The default prefix of state checkpoints: the -o name without .slt; none without a file. The
// caller frees it.
static char *default_prefix(const struct options *o)
{
    const char *name = o->common.output;
    if (o->run.checkpoint != NULL || !has_result_file(o))
        return NULL;
    const size_t n = strlen(name);
    char *prefix = strndup(name, n > 4 && strcmp(name + n - 4, ".slt") == 0 ? n - 4 : n);
    if (prefix == NULL) {
        cli_say("cannot allocate the prefix of states");
        exit(1);
    }
    return prefix;
}

// ---- Running ----

static int dry_run(const struct options *o, struct slt_device *device,
                   const struct slt_checkpoint_reader *reader, slt_stop_flag *stop)
{
    struct slt_error err;
    struct slt_plan plan;
    struct cli_report *report;
    if (!cli_ranks_speaks(&o->ranks))
        return 0;
    if (slt_train_plan(&plan, device, slt_checkpoint_config(reader), &o->train, &err) != 0) {
        if (err.code == SLT_ERR_RANGE)
            cli_usage("%s", err.message);
        return cli_error(&err);
    }
    int code = cli_report_open(&report, "-", false, stop);
    if (code != 0)
        return code;
    cli_report_whole(report, "steps", o->train.steps);
    cli_report_whole(report, "tokens_per_step", o->train.batch * o->train.seq);
    cli_report_plan(report, &plan);
    return cli_report_close(report, 0);
}

static int train(struct options *o, struct slt_device *device, struct slt_checkpoint_reader *reader,
                 struct slt_tokens *tokens, slt_stop_flag *stop)
{
    struct slt_error err;
    struct slt_output *out = NULL;
    struct session s = {.options = o, .device = device, .saved = -1};
    // The output of a run that may take days is opened first: a wrong name should be found out now.
    int code =
        cli_ranks_speaks(&o->ranks) ? cli_open_binary_output(&out, o->common.output, stop) : 0;
    if ((code = cli_ranks_agree(&o->ranks, code)) != 0) {
        slt_output_abandon(out);
        return code;
    }
    cli_progress_start(&s.progress, &o->common);
    o->run.user = &s;
    o->run.on_plan = on_plan;
    o->run.on_start = on_start;
    o->run.on_finished = on_finished;
    o->run.on_step = on_step;
    o->run.on_validation = on_validation;
    o->run.on_checkpoint = on_checkpoint;
    o->run.on_warning = on_warning;
    o->run.on_route = on_route;
    o->run.on_traffic = on_traffic;
    if (slt_train(out, device, reader, tokens, &o->train, &o->run, &err) != 0) {
        cli_progress_clear(&s.progress);
        // Before there is a plan, the options are what is wrong.
        if (err.code == SLT_ERR_RANGE && !s.planned)
            cli_usage("%s", err.message);
        code = cli_ranks_error(&o->ranks, &err);
        if (s.is_too_large && cli_ranks_speaks(&o->ranks))
            cli_hint_savings(device, slt_checkpoint_config(reader), o->train);
        if (err.code == SLT_ERR_STOPPED && *stop == 0 && cli_ranks_speaks(&o->ranks))
            cli_say(s.saved >= 0 && slt_tokens_is_mapped(tokens)
                        ? "%s; the same command with --resume goes on"
                        : "%s, and there is no state to go on from",
                    err.message);
    }
    cli_progress_clear(&s.progress);
    if (s.skipped > 0 && !o->common.quiet)
        cli_say("%llu steps changed nothing: their loss or gradients were not finite",
                (unsigned long long)s.skipped);
    cli_metrics_close(&s.metrics);
    return code;
}

static int open_inputs(void *user, struct cli_inputs *in, slt_stop_flag *stop)
{
    struct options *o = user;
    struct slt_error err;
    struct slt_input *file = NULL;
    int code = cli_open_tokens(&in->tokens, &o->data, stop);
    if (code != 0 || (code = cli_open_model(&file, o->model, o->common.quiet, stop)) != 0)
        return code;
    if (slt_checkpoint_open(&in->reader, file, &err) != 0)
        return cli_error(&err);
    const struct slt_config *config = slt_checkpoint_config(in->reader);
    if ((code = adopt_training(o, config)) != 0)
        return code;
    count_steps(o, in->tokens);
    o->train.ranks = slt_ranks_size(o->ranks.ranks);
    o->train.rank = slt_ranks_rank(o->ranks.ranks);
    if (slt_train_resolve(&o->train, &err) != 0)
        cli_usage("%s", err.message);
    if ((code = cli_ranks_device(&o->ranks, &in->device, o->device, o->threads)) != 0)
        return code;
    if (!o->common.quiet)
        cli_compare_ends(in->tokens, config);
    cli_say_seq_beyond(&o->common, config, o->train.seq);
    return 0;
}

static int run(void *user, const struct cli_inputs *in, slt_stop_flag *stop)
{
    struct options *o = user;
    o->run.ranks = o->ranks.ranks;
    return o->dry_run ? dry_run(o, in->device, in->reader, stop)
                      : train(o, in->device, in->reader, in->tokens, stop);
}

int main(int argc, char **argv)
{
    struct options o = {.common = {.output = "-"},
                        .device = "auto",
                        .log_every = 1,
                        .run = {.keep = 2, .nonfinite_limit = 100}};
    slt_train_defaults(&o.train);
    const struct cli_option own[] = {
        CLI_COMMON(&o.common),
        {"data", 'd', CLI_LIST, &o.data, "FILE", 0, 0,
         "token file to train on, or a pattern of several ('c4-*.tok'); may be repeated"},
        {"valid", 0, CLI_TEXT, &o.run.valid, "FILE", 0, 0, "token file to validate on"},
        {"valid-every", 0, CLI_WHOLE, &o.run.valid_every, "N", 0, 1e15,
         "validate every N steps; 0: at the end (0)"},
        {"valid-limit", 0, CLI_WHOLE, &o.valid_limit, "N", 0, 9e18,
         "validate on N tokens; 0: all (0)"},
        {"tokens", 0, CLI_WHOLE, &o.tokens, "N", 1, 9e18, "train on N tokens instead of --steps"},
        {"epochs", 0, CLI_REAL, &o.epochs, "X", 1e-9, 1e9, "pass X times over the data instead"},
        {"max-time", 0, CLI_SECONDS, &o.run.max_seconds, "TIME", 0, 0,
         "stop after TIME, with a state checkpoint"},
        {"checkpoint", 0, CLI_TEXT, &o.run.checkpoint, "PREFIX", 0, 0,
         "state goes to PREFIX-<step>.slt (the -o name)"},
        {"checkpoint-every", 0, CLI_TEXT, &o.checkpoint_every, "N", 0, 0,
         "every N steps, or every 10m, 2h"},
        {"keep", 0, CLI_WHOLE, &o.run.keep, "N", 1, 1e9, "newest state checkpoints to keep (2)"},
        {"resume", 0, CLI_FLAG, &o.run.resume, NULL, 0, 0,
         "go on from the newest whole PREFIX-*.slt, if there is one"},
        {"extend", 0, CLI_TEXT, &o.run.extend, "STATE", 0, 0,
         "go on from a state of a run with fewer --steps, from before its learning rate fell"},
        {"eager", 0, CLI_FLAG, &o.run.eager, NULL, 0, 0,
         "on a GPU, run each operation by itself instead of recorded ones at once"},
        {"keep-state", 0, CLI_FLAG, &o.run.keep_state, NULL, 0, 0,
         "leave the optimizer's state in the result"},
        {"nonfinite-limit", 0, CLI_WHOLE, &o.run.nonfinite_limit, "N", 0, 1e15,
         "give up after N skipped steps in a row; 0: never (100)"},
        {"metrics", 0, CLI_TEXT, &o.metrics, "FILE", 0, 0, "write JSON lines to FILE, - is stdout"},
        {"log-every", 0, CLI_WHOLE, &o.log_every, "N", 1, 1e15, "steps between them (1)"},
        {"device", 0, CLI_WORD, &o.device, CLI_DEVICES, 0, 0, "where to compute (auto)"},
        {"threads", 0, CLI_WHOLE, &o.threads, "N", 0, 4096, "CPU threads; 0: all (0)"},
        {"dry-run", 'n', CLI_FLAG, &o.dry_run, NULL, 0, 0,
         "print steps and planned memory, and train nothing"},
        {"stop-file", 0, CLI_TEXT, &o.run.stop_file, "FILE", 0, 0,
         "stop as a signal would once there is a FILE"},
        CLI_RANKS(&o.ranks),
        {"no-provenance", 0, CLI_FLAG, &o.no_provenance, NULL, 0, 0, "add no provenance line"},
    };
    struct cli_option options[CLI_MAX_OPTIONS];
    size_t count = cli_add_options(options, 0, own, sizeof own / sizeof *own);
    count = cli_train_options(options, count, &o.train, false);
    const struct cli_program program = {
        "slt-train", "[options] --data FILE --steps N [[FILE ...] MODEL.slt]",
        "Trains a checkpoint on a token file and writes the trained one.", options, count};
    const int first = cli_parse(&program, argc, &argv);
    o.model = cli_data_and_model(&o.data, argv, first);
    if (o.metrics != NULL && strcmp(o.metrics, "-") == 0 && strcmp(o.common.output, "-") == 0)
        cli_usage("--metrics and the model cannot both go to standard output");
    cli_keep_apart("--metrics", o.metrics, "--output", o.common.output);
    cli_keep_apart("--metrics", o.metrics, "--valid", o.run.valid);
    cli_keep_apart("--output", o.common.output, "--valid", o.run.valid);
    cli_keep_apart("--metrics", o.metrics, "the input", o.model);
    cli_keep_from_tokens("--metrics", o.metrics);
    cli_keep_from_tokens("--output", o.common.output);
    if (o.run.resume) // the result would be what the next one starts from
        cli_keep_apart("--output", o.common.output, "the input of a run that resumes", o.model);
    if (o.run.valid_every > 0 && o.run.valid == NULL)
        cli_usage("--valid-every needs --valid");
    if (o.valid_limit > 0 && o.run.valid == NULL)
        cli_usage("--valid-limit needs --valid");
    if (o.log_every > 1 && o.metrics == NULL)
        cli_usage("--log-every needs --metrics");
    checkpoint_interval(&o);
    check_prefix(o.run.checkpoint);
    char *prefix = default_prefix(&o);
    if (prefix != NULL)
        o.run.checkpoint = prefix;
    o.run.result = has_result_file(&o) ? o.common.output : NULL;
    if (o.checkpoint_every != NULL && o.run.checkpoint == NULL)
        cli_usage("--checkpoint-every needs --checkpoint or -o");
    if (o.run.resume && o.run.checkpoint == NULL)
        cli_usage("--resume needs --checkpoint or -o");
    o.run.valid_limit = (uint64_t)o.valid_limit;
    o.run.tool = o.no_provenance ? NULL : program.name;
    slt_stop_flag *stop = cli_catch_signals();
    o.run.stop = stop;
    const struct cli_shared shared = {o.train.ranks, o.model, &o.common, &o, open_inputs, run};
    const int code = cli_ranks_run(&o.ranks, &shared, stop);
    free(prefix);
    free(o.data.item);
    return cli_finish(code);
}
