// Reports: name<TAB>value lines as they come, or one JSON object at the end.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli_json.h"

struct cli_report {
    struct slt_output *out;
    json_t *object; // NULL for lines
    int code;       // exit code of the first failure
};

int cli_report_open(struct cli_report **report, const char *path, bool json, slt_stop_flag *stop)
{
    struct slt_error err;
    struct cli_report *r = calloc(1, sizeof *r);
    if (r == NULL) {
        cli_say("cannot allocate a report");
        return 1;
    }
    if (json && (r->object = json_object()) == NULL) {
        free(r);
        cli_say("cannot allocate a report");
        return 1;
    }
    if (slt_output_open(&r->out, path, stop, &err) != 0) {
        json_decref(r->object);
        free(r);
        return cli_error(&err);
    }
    *report = r;
    return 0;
}

static void line(struct cli_report *r, const char *name, const char *value)
{
    struct slt_error err;
    if (r->code == 0 && slt_output_printf(r->out, &err, "%s\t%s\n", name, value) != 0)
        r->code = cli_error(&err);
}

void cli_report_text(struct cli_report *r, const char *name, const char *value)
{
    if (r->object != NULL)
        cli_json_put(r->object, name, json_string(value));
    else
        line(r, name, value);
}

void cli_report_whole(struct cli_report *r, const char *name, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    if (r->object != NULL)
        cli_json_put(r->object, name, json_integer(value));
    else
        line(r, name, text);
}

void cli_report_real(struct cli_report *r, const char *name, double value)
{
    char text[40];
    snprintf(text, sizeof text, "%.9g", value);
    if (r->object != NULL)
        cli_json_put(r->object, name, isfinite(value) ? json_real(value) : json_null());
    else
        line(r, name, isnan(value) ? "nan" : text);
}

void cli_report_plan(struct cli_report *r, const struct slt_plan *plan)
{
    cli_report_whole(r, "micro_batch", plan->micro_batch);
    cli_report_whole(r, "parameters", (int64_t)plan->parameters);
    if (plan->groups > 1)
        cli_report_whole(r, "reduce_groups", plan->groups);
    if (plan->ranks > 1) {
        cli_report_whole(r, "ranks", plan->ranks);
        cli_report_whole(r, "sent_bytes_per_step", (int64_t)plan->sent);
    }
    for (int i = 0; i < SLT_REGIONS; i++)
        if (plan->bytes[i] > 0 || i != SLT_REGION_EXCHANGE)
            cli_report_whole(r, slt_region_name((enum slt_region)i), (int64_t)plan->bytes[i]);
    cli_report_whole(r, "total", (int64_t)slt_plan_total(plan));
}

static double round_to(double x, int digits)
{
    const double unit = pow(10, digits);
    return round(x * unit) / unit;
}

void cli_report_times(struct cli_report *r, const struct slt_work *work, double flops,
                      int64_t tokens, int64_t ranks, double exchange)
{
    const struct slt_gpu *gpu;
    char name[64];
    for (size_t i = 0; (gpu = slt_gpu_row(i)) != NULL; i++) {
        double all = 0, update = 0;
        for (int k = 0; k < SLT_STEP_PARTS; k++) {
            const double seconds = slt_gpu_seconds(gpu, work, (enum slt_step_part)k);
            snprintf(name, sizeof name, "predicted_%s_%s_ms", gpu->name,
                     slt_step_part_name((enum slt_step_part)k));
            cli_report_real(r, name, round_to(1e3 * seconds, 2));
            all += seconds;
            update = k == SLT_STEP_UPDATE ? seconds : update;
        }
        if (exchange > 0) {
            // Two thirds of forward and backward are backward.
            const double hidden = (all - update) / (double)work->micro_batches * 2 / 3;
            const double late = exchange > hidden ? exchange - hidden : 0;
            snprintf(name, sizeof name, "predicted_%s_efficiency", gpu->name);
            cli_report_real(r, name, round_to(all / (all + late), 3));
            all += late;
        }
        snprintf(name, sizeof name, "predicted_%s_ms", gpu->name);
        cli_report_real(r, name, round_to(1e3 * all, 2));
        snprintf(name, sizeof name, "predicted_%s_tokens_per_second", gpu->name);
        cli_report_real(r, name, round_to((double)tokens / all, 0));
        snprintf(name, sizeof name, "predicted_%s_mfu", gpu->name);
        cli_report_real(r, name,
                        round_to((double)tokens / all * flops / gpu->flops / (double)ranks, 3));
    }
}

int cli_report_close(struct cli_report *r, int code)
{
    struct slt_error err;
    if (code == 0 && r->object != NULL) {
        char *text = cli_json_text(r->object, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
        if (text == NULL || slt_output_printf(r->out, &err, "%s\n", text) != 0)
            r->code = text == NULL ? 1 : cli_error(&err);
        free(text);
    }
    code = cli_close_output(r->out, code != 0 ? code : r->code);
    json_decref(r->object);
    free(r);
    return code;
}
