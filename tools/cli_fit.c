// Whether a run fits into its device's memory, and what would.
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "slt/number.h"

// Options that save memory, each on top of those before it: first those that change no result.
struct saving {
    const char *text;
    void (*apply)(struct slt_train_options *options);
};

static void recompute(struct slt_train_options *o)
{
    o->recompute = SLT_RECOMPUTE_BLOCK;
}

static void micro_batch(struct slt_train_options *o)
{
    o->micro_batch = 1;
}

static void precision(struct slt_train_options *o)
{
    if (o->precision == SLT_PRECISION_F32 || o->precision == SLT_PRECISION_BF16_MASTER)
        o->precision = SLT_PRECISION_BF16;
}

static void optimizer(struct slt_train_options *o)
{
    o->optimizer.kind = slt_optimizer_with_codes(o->optimizer.kind);
}

static void per_layer(struct slt_train_options *o)
{
    o->per_layer = true;
}

static const struct saving savings[] = {
    {"--recompute block", recompute}, {"--micro-batch 1", micro_batch},
    {"--precision bf16", precision},  {"8-bit moments (--optimizer)", optimizer},
    {"--per-layer", per_layer},
};

void cli_hint_savings(struct slt_device *device, const struct slt_config *config,
                      struct slt_train_options options)
{
    char text[200] = "", bytes[32];
    struct slt_error err;
    struct slt_plan plan;
    const uint64_t available = slt_device_available(device);
    uint64_t total = UINT64_MAX;
    if (slt_train_plan(&plan, device, config, &options, &err) == 0)
        total = slt_plan_total(&plan);
    for (size_t i = 0; total > available && i < sizeof savings / sizeof *savings; i++) {
        struct slt_train_options less = options;
        savings[i].apply(&less);
        if (slt_train_plan(&plan, device, config, &less, &err) != 0 ||
            slt_plan_total(&plan) >= total)
            continue;
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s",
                 text[0] != '\0' ? ", " : "", savings[i].text);
        options = less;
        total = slt_plan_total(&plan);
    }
    if (text[0] == '\0')
        return;
    fprintf(stderr, "hint: with %s it needs %s%s\n", text,
            slt_bytes_format(bytes, sizeof bytes, total),
            total <= available ? ", which fits" : " still");
}

int cli_check_fit(const struct slt_device *device, const struct slt_plan *plan,
                  struct slt_error *err)
{
    const uint64_t total = slt_plan_total(plan), available = slt_device_available(device);
    char regions[300] = "", bytes[32], most[32];
    if (total <= available)
        return 0;
    for (int i = 0; i < SLT_REGIONS; i++)
        snprintf(regions + strlen(regions), sizeof regions - strlen(regions), "%s%s %s",
                 i > 0 ? ", " : "", slt_region_name((enum slt_region)i),
                 slt_bytes_format(bytes, sizeof bytes, plan->bytes[i]));
    return slt_error_set(err, SLT_ERR_MEMORY,
                         "the run needs %s of memory on the device and %s are free: %s",
                         slt_bytes_format(bytes, sizeof bytes, total),
                         slt_bytes_format(most, sizeof most, available), regions);
}
