// The options of training: names, ranges, defaults, help and record, from one table.
#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/options.h"

// ---- Who has a say ----

static bool has_codes(const struct slt_train_options *o)
{
    return slt_optimizer_has(o->optimizer.kind, SLT_TRAIT_CODES);
}

static bool has_subspace(const struct slt_train_options *o)
{
    return slt_optimizer_has(o->optimizer.kind, SLT_TRAIT_SUBSPACE);
}

static bool is_orthogonal(const struct slt_train_options *o)
{
    return slt_optimizer_has(o->optimizer.kind, SLT_TRAIT_ORTHOGONAL);
}

static bool has_second_moment(const struct slt_train_options *o)
{
    return slt_optimizer_has(o->optimizer.kind, SLT_TRAIT_SECOND_MOMENT);
}

static bool falls(const struct slt_train_options *o)
{
    return o->schedule.kind != SLT_SCHEDULE_CONSTANT;
}

static bool is_stable(const struct slt_train_options *o)
{
    return o->schedule.kind == SLT_SCHEDULE_WSD;
}

static bool merges(const struct slt_train_options *o)
{
    return o->optimizer.relora_every > 0;
}

// ---- The table ----

#define CODES    "the optimizers with 8-bit moments", has_codes
#define SECOND   "the optimizers with a second moment", has_second_moment
#define SUBSPACE "the optimizers galore and galore8bit", has_subspace
#define SPECTRAL "the optimizers muon and spectral", is_orthogonal
#define FALLING  "the schedules that fall", falls
#define STABLE   "the schedule wsd", is_stable
#define MERGES   "the merges of --relora-every", merges
#define ALL      NULL, NULL

#define AT(member)                     offsetof(struct slt_train_options, member)
#define WHOLE(member, min, max, value) SLT_OPTION_WHOLE, AT(member), min, max, value, NULL
#define REAL(member, min, max, value)  SLT_OPTION_REAL, AT(member), min, max, value, NULL
#define FLAG(member)                   SLT_OPTION_FLAG, AT(member), 0, 1, 0, NULL
#define CLEAR(member)                  SLT_OPTION_CLEAR, AT(member), 0, 1, 1, NULL
#define CHOICE(member, choices)        SLT_OPTION_CHOICE, AT(member), 0, 0, 0, choices
#define SCALES(member, max, choices)   SLT_OPTION_SCALES, AT(member), 0, max, 1, choices

#define NAME(id, name) "|" #name

static const char sequences[] = "Sequences", rate[] = "Learning rate", optimizer[] = "Optimizer",
                  galore[] = "GaLore", relora[] = "ReLoRA", way[] = "Memory and arithmetic",
                  several[] = "Several processes", numbers[] = "Random numbers";

// In the order of trainer.json.
static const struct slt_train_option table[] = {
    {"steps", 0, "steps", WHOLE(steps, 1, 1e15, 0), sequences, "", "optimizer steps", false, ALL},
    {"batch", 'b', "batch", WHOLE(batch, 1, 1 << 24, 32), sequences, NULL, "sequences per step",
     true, ALL},
    {"micro-batch", 0, "micro_batch", WHOLE(micro_batch, 1, 1 << 24, 0), sequences, "the device's",
     "sequences at once", true, ALL},
    {"seq", 0, "seq", WHOLE(seq, 2, 1 << 20, 256), sequences, NULL, "tokens of a sequence", true,
     ALL},
    {"layout", 0, "layout", CHOICE(packing, "packed|document"), sequences, NULL,
     "windows of the whole file, or one sequence for each document", false, ALL},
    {"lr", 0, "lr", REAL(lr, 0, 1e30, 3e-3), rate, "3e-3", "peak learning rate", false, ALL},
    {"lr-scale", 0, "lr_scale", SCALES(optimizer.lr_scale, 1e6, SLT_RATE_ROLE_NAMES), rate, "1",
     "learning rates of some parameters, as multiples of the others'", false, ALL},
    {"min-lr-ratio", 0, "min_lr_ratio", REAL(schedule.min_lr_ratio, 0, 1, 0.1), rate, NULL,
     "floor of the schedule over --lr", false, FALLING},
    {"warmup", 0, "warmup", WHOLE(schedule.warmup, 0, 1e15, 0), rate, NULL,
     "steps of linear warm-up", false, ALL},
    {"warmup-ratio", 0, "warmup_ratio", REAL(schedule.warmup_ratio, 0, 1, 0), rate, NULL,
     "them as a share of all steps, without --warmup", false, ALL},
    {"schedule", 0, "schedule", CHOICE(schedule.kind, SLT_SCHEDULE_NAMES), rate, NULL,
     "learning rate after the warm-up", false, ALL},
    {"decay-steps", 0, "decay_steps", WHOLE(schedule.decay_steps, 1, 1e15, 0), rate,
     "a fifth of all", "last steps, in which the learning rate of wsd falls", false, STABLE},
    {"optimizer", 0, "optimizer", CHOICE(optimizer.kind, SLT_OPTIMIZERS(NAME) + 1), optimizer, NULL,
     "what turns gradients into steps", true, ALL},
    {"weight-decay", 0, "weight_decay", REAL(optimizer.weight_decay, 0, 1e3, 0), optimizer, NULL,
     "decoupled decay", false, ALL},
    {"beta1", 0, "beta1", REAL(optimizer.beta1, 0, 0.999999999, 0.9), optimizer, NULL,
     "decay of the first moment, of SGD its momentum", false, ALL},
    {"beta2", 0, "beta2", REAL(optimizer.beta2, 0, 0.999999999, 0.999), optimizer, NULL,
     "decay of the second moment", false, SECOND},
    {"eps", 0, "eps", REAL(optimizer.eps, 1e-30, 1, -1), optimizer, "1e-8; GaLore 1e-6",
     "added to the root of it", false, SECOND},
    {"adam-block", 0, "adam_block", WHOLE(optimizer.adam_block, 1, 2048, 256), optimizer, NULL,
     "elements that share a maximum in 8-bit moments", true, CODES},
    {"spectral-lr", 0, "spectral_lr", REAL(optimizer.spectral_lr, 0, 1e30, 0.02), optimizer, NULL,
     "peak learning rate of orthogonalised steps; --lr is that of the others", false, SPECTRAL},
    {"momentum", 0, "momentum", REAL(optimizer.momentum, 0, 0.999999999, 0.95), optimizer, NULL,
     "of orthogonalised steps", false, SPECTRAL},
    {"refactor-every", 0, "refactor_every", WHOLE(optimizer.refactor_every, 0, 1e15, 0), optimizer,
     "0: never", "split (alpha/r) B A into balanced factors anew every N updates", false, ALL},
    {"galore-rank", 0, "galore_rank", WHOLE(optimizer.galore_rank, 1, 1 << 24, 0), galore,
     "a quarter of the hidden size", "rank of projected gradients", true, SUBSPACE},
    {"galore-gap", 0, "galore_gap", WHOLE(optimizer.galore_gap, 1, 1e15, 200), galore, NULL,
     "updates from one projector to the next", true, SUBSPACE},
    {"galore-scale", 0, "galore_scale", REAL(optimizer.galore_scale, 0, 1e6, 0.25), galore, NULL,
     "scale of projected steps", false, SUBSPACE},
    {"galore-svd", 0, "galore_svd", CHOICE(optimizer.galore_svd, "randomized|exact"), galore, NULL,
     "how projectors are found", false, SUBSPACE},
    {"galore-no-stagger", 0, "galore_stagger", CLEAR(optimizer.galore_stagger), galore, "",
     "refresh all projectors at once", true, SUBSPACE},
    {"relora-every", 0, "relora_every", WHOLE(optimizer.relora_every, 0, 1e15, 0), relora,
     "0: never", "merge a relora model's product every N updates", false, ALL},
    {"relora-warmup", 0, "relora_warmup", WHOLE(schedule.restart_warmup, 0, 1e15, 0), relora, NULL,
     "warm-up after a merge, of the jagged schedule", false, ALL},
    {"relora-prune", 0, "relora_prune", CHOICE(optimizer.relora_prune, "random|magnitude|none"),
     relora, NULL, "how moments are pruned at a merge", false, MERGES},
    {"relora-prune-fraction", 0, "relora_prune_fraction",
     REAL(optimizer.relora_prune_fraction, 0, 1, -1), relora, "0.999; magnitude 0.9",
     "share of moments pruned", false, MERGES},
    {"per-layer", 0, "per_layer", FLAG(per_layer), way, "",
     "update each group of weights as soon as its gradient is complete", true, ALL},
    {"clip-exact", 0, "clip_exact", FLAG(clip_exact), way, "",
     "with --per-layer and --clip: keep small gradients, and clip by this step's norm", true, ALL},
    {"clip", 0, "clip", REAL(clip, 0, 1e30, 0), way, "0: any", "largest gradient norm", true, ALL},
    {"train-only", 0, "train_only", CHOICE(train_only, "all|sparse|factors"), way, NULL,
     "freeze everything else", true, ALL},
    {"route", 0, "route", CHOICE(route, SLT_ROUTES), way, NULL,
     "how sparse plus low-rank layers are computed", true, ALL},
    {"precision", 0, "precision", CHOICE(precision, SLT_PRECISIONS), way, NULL,
     "how weights and moments are stored", true, ALL},
    {"recompute", 0, NULL, CHOICE(recompute, SLT_RECOMPUTES), way, NULL,
     "work activations out again in the backward pass", true, ALL},
    {"ranks", 0, NULL, WHOLE(ranks, 1, 1 << 16, 0), several, "as the launcher started",
     "processes that share the batch", true, ALL},
    {"shard-state", 0, NULL, FLAG(shard_state), several, "",
     "each rank keeps a part of the optimizer's state only", true, ALL},
    {"reduce-groups", 0, "reduce_groups", WHOLE(reduce_groups, 1, 1 << 16, 0), several,
     "the ranks at the start", "parts of the batch whose gradients are added in a fixed tree", true,
     ALL},
    {"seed", 's', "seed", WHOLE(seed, 0, 9.2e18, 1), numbers, NULL,
     "of the data's order, of rounding, projectors and restarts", false, ALL},
};

#define ROWS (sizeof table / sizeof *table)

const struct slt_train_option *slt_train_option(size_t index)
{
    return index < ROWS ? &table[index] : NULL;
}

const struct slt_train_option *slt_train_option_of_key(const char *key)
{
    for (size_t i = 0; i < ROWS; i++)
        if (table[i].key != NULL && strcmp(table[i].key, key) == 0)
            return &table[i];
    return NULL;
}

// ---- Values by the table ----

static int64_t whole_of(const struct slt_train_options *o, const struct slt_train_option *f)
{
    const char *at = (const char *)o + f->offset;
    int64_t whole;
    int choice;
    bool flag;
    switch (f->kind) {
    case SLT_OPTION_FLAG:
    case SLT_OPTION_CLEAR:
        memcpy(&flag, at, sizeof flag);
        return flag;
    case SLT_OPTION_CHOICE:
        memcpy(&choice, at, sizeof choice);
        return choice;
    default:
        memcpy(&whole, at, sizeof whole);
        return whole;
    }
}

// Number at of an option's scales.
static double scale_of(const struct slt_train_options *o, const struct slt_train_option *f, int at)
{
    double scale;
    memcpy(&scale, (const char *)o + f->offset + (size_t)at * sizeof scale, sizeof scale);
    return scale;
}

static double real_of(const struct slt_train_options *o, const struct slt_train_option *f)
{
    double real;
    if (f->kind != SLT_OPTION_REAL)
        return (double)whole_of(o, f);
    memcpy(&real, (const char *)o + f->offset, sizeof real);
    return real;
}

// Choice number at of "a|b|c": its start, and in *length how long it is; NULL if there are fewer.
static const char *choice_at(const char *choices, int64_t at, size_t *length)
{
    for (; at > 0 && *choices != '\0'; at--) {
        choices += strcspn(choices, "|");
        choices += *choices == '|';
    }
    *length = strcspn(choices, "|");
    return at == 0 && *length > 0 ? choices : NULL;
}

void slt_train_defaults(struct slt_train_options *o)
{
    *o = (struct slt_train_options){0};
    for (size_t i = 0; i < ROWS; i++) {
        const struct slt_train_option *f = &table[i];
        char *at = (char *)o + f->offset;
        const int64_t whole = (int64_t)f->standard;
        const int choice = (int)whole;
        const bool flag = whole != 0;
        size_t length;
        for (int k = 0; f->kind == SLT_OPTION_SCALES && choice_at(f->choices, k, &length) != NULL;
             k++)
            memcpy(at + (size_t)k * sizeof f->standard, &f->standard, sizeof f->standard);
        if (f->kind == SLT_OPTION_REAL)
            memcpy(at, &f->standard, sizeof f->standard);
        else if (f->kind == SLT_OPTION_WHOLE)
            memcpy(at, &whole, sizeof whole);
        else if (f->kind == SLT_OPTION_CHOICE)
            memcpy(at, &choice, sizeof choice);
        else if (f->kind != SLT_OPTION_SCALES)
            memcpy(at, &flag, sizeof flag);
    }
}

static int check_scales(const struct slt_train_options *o, const struct slt_train_option *f,
                        struct slt_error *err)
{
    size_t length;
    const char *name;
    for (int k = 0; (name = choice_at(f->choices, k, &length)) != NULL; k++)
        if (!(scale_of(o, f, k) >= f->min && scale_of(o, f, k) <= f->max))
            return slt_error_set(err, SLT_ERR_RANGE, "--%s %.*s=%.10g is outside [%.10g, %.10g]",
                                 f->name, (int)length, name, scale_of(o, f, k), f->min, f->max);
    return 0;
}

static int check_value(const struct slt_train_options *o, const struct slt_train_option *f,
                       struct slt_error *err)
{
    size_t length;
    if (f->owner != NULL && !f->has_say(o))
        return 0;
    if (f->kind == SLT_OPTION_CHOICE) {
        if (whole_of(o, f) >= 0 && choice_at(f->choices, whole_of(o, f), &length) != NULL)
            return 0;
        return slt_error_set(err, SLT_ERR_RANGE, "--%s %lld is none of %s", f->name,
                             (long long)whole_of(o, f), f->choices);
    }
    if (f->kind == SLT_OPTION_SCALES)
        return check_scales(o, f, err);
    // What was left open is what the model gives; it does not give the steps.
    const bool is_open = real_of(o, f) == f->standard && f->offset != AT(steps);
    if (is_open || (real_of(o, f) >= f->min && real_of(o, f) <= f->max))
        return 0;
    return slt_error_set(err, SLT_ERR_RANGE, "--%s %.10g is outside [%.10g, %.10g]", f->name,
                         real_of(o, f), f->min, f->max);
}

// ---- Open options, and those that depend on each other ----

static int64_t share_of(int64_t steps, double ratio)
{
    return (int64_t)floor(ratio * (double)steps);
}

static void choose_open(struct slt_train_options *o)
{
    struct slt_optimizer_options *p = &o->optimizer;
    if (o->schedule.warmup == 0 && o->schedule.warmup_ratio > 0)
        o->schedule.warmup = share_of(o->steps, o->schedule.warmup_ratio);
    if (is_stable(o) && o->schedule.decay_steps == 0)
        o->schedule.decay_steps = o->steps / 5 > 0 ? o->steps / 5 : 1;
    if (p->eps < 0)
        p->eps = slt_optimizer_kind(p->kind)->eps;
    if (p->relora_prune_fraction < 0)
        p->relora_prune_fraction = p->relora_prune == SLT_PRUNE_MAGNITUDE ? 0.9 : 0.999;
}

// An option that is given, as far as its value tells, and changes nothing is a mistake.
static int check_needless(const struct slt_train_options *o, struct slt_error *err)
{
    struct slt_train_options plain;
    slt_train_defaults(&plain);
    plain.optimizer.kind = o->optimizer.kind;
    choose_open(&plain);
    for (size_t i = 0; i < ROWS; i++) {
        const struct slt_train_option *f = &table[i];
        if (f->owner != NULL && !f->has_say(o) && real_of(o, f) != real_of(&plain, f))
            return slt_error_set(err, SLT_ERR_RANGE,
                                 "--%s is an option of %s, which this run has not", f->name,
                                 f->owner);
    }
    return 0;
}

int slt_train_resolve(struct slt_train_options *o, struct slt_error *err)
{
    const int64_t every = o->optimizer.relora_every, warmup = o->schedule.restart_warmup;
    if (o->optimizer.kind >= SLT_OPTIMIZER_COUNT)
        return slt_error_set(err, SLT_ERR_RANGE, "there is no optimizer number %d",
                             (int)o->optimizer.kind);
    choose_open(o);
    for (size_t i = 0; i < ROWS; i++) {
        int rc = check_value(o, &table[i], err);
        if (rc != 0)
            return rc;
    }
    if (o->schedule.warmup_ratio > 0 &&
        o->schedule.warmup != share_of(o->steps, o->schedule.warmup_ratio))
        return slt_error_set(err, SLT_ERR_RANGE,
                             "--warmup %lld and --warmup-ratio %g are two warm-ups",
                             (long long)o->schedule.warmup, o->schedule.warmup_ratio);
    if (o->schedule.warmup > o->steps)
        return slt_error_set(err, SLT_ERR_RANGE, "a warm-up of %lld steps is outside [0, %lld]",
                             (long long)o->schedule.warmup, (long long)o->steps);
    if (is_stable(o) && o->schedule.warmup + o->schedule.decay_steps > o->steps)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "a warm-up of %lld steps and a decay of %lld are more than %lld steps",
                             (long long)o->schedule.warmup, (long long)o->schedule.decay_steps,
                             (long long)o->steps);
    if (o->micro_batch > 0 && o->batch % o->micro_batch != 0)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "a batch of %lld is no multiple of the micro-batch of %lld",
                             (long long)o->batch, (long long)o->micro_batch);
    if (is_orthogonal(o) && o->lr == 0)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "--lr 0 stops every step: --spectral-lr follows its schedule");
    if (o->clip_exact && !(o->per_layer && o->clip > 0))
        return slt_error_set(
            err, SLT_ERR_RANGE,
            "--clip-exact says how --per-layer clips: it needs both --per-layer and --clip");
    if (o->schedule.kind == SLT_SCHEDULE_JAGGED && every == 0)
        return slt_error_set(
            err, SLT_ERR_RANGE,
            "the jagged schedule needs --relora-every, the updates between merges");
    if (warmup > 0 && every == 0)
        return slt_error_set(
            err, SLT_ERR_RANGE,
            "--relora-warmup follows a merge, and without --relora-every there is none");
    if (warmup > 0 && warmup >= every)
        return slt_error_set(
            err, SLT_ERR_RANGE,
            "a warm-up of %lld steps does not end before the next merge, every %lld",
            (long long)warmup, (long long)every);
    return check_needless(o, err);
}

unsigned slt_trained_roles(enum slt_train_only only)
{
    return only == SLT_TRAIN_SPARSE    ? 1u << SLT_ROLE_SPARSE
           : only == SLT_TRAIN_FACTORS ? 1u << SLT_ROLE_LORA_A | 1u << SLT_ROLE_LORA_B
                                       : 0;
}

// A learning rate of what a model does not have, or does not train, would change nothing.
static int check_rates(const struct slt_train_options *o, const struct slt_config *config,
                       struct slt_error *err)
{
    bool has[SLT_RATE_ROLES] = {false};
    struct slt_param_info *list;
    size_t count, length;
    int rc = slt_config_params(config, &list, &count, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < count; i++)
        has[slt_rate_role(list[i].role)] |= !list[i].frozen;
    free(list);
    for (int i = 0; i < SLT_RATE_ROLES; i++) {
        const char *name = choice_at(SLT_RATE_ROLE_NAMES, i, &length);
        if (o->optimizer.lr_scale[i] != 1 && !has[i])
            return slt_error_set(err, SLT_ERR_RANGE,
                                 "--lr-scale: this model of method %s has no %.*s to train",
                                 slt_method_name(config->method), (int)length, name);
    }
    return 0;
}

int slt_train_check_model(const struct slt_train_options *o, const struct slt_config *config,
                          struct slt_error *err)
{
    const enum slt_method method = config->method;
    // Its weights would come out as they are after rounding, under a configuration that says codes.
    if (config->quantization.type != SLT_QUANT_NONE)
        return slt_error_set(err, SLT_ERR_FORMAT,
                             "a quantized model (%s) cannot be trained: dequantize it first",
                             slt_quant_name(config->quantization.type));
    if ((o->train_only == SLT_TRAIN_SPARSE && !slt_method_has(method, SLT_ROLE_SPARSE)) ||
        (o->train_only == SLT_TRAIN_FACTORS && !slt_method_has(method, SLT_ROLE_LORA_A)))
        return slt_error_set(
            err, SLT_ERR_RANGE, "there is nothing to train only (%s) in a model of method %s",
            o->train_only == SLT_TRAIN_SPARSE ? "sparse" : "factors", slt_method_name(method));
    // Their schedule alone is one that any model can be trained with.
    const bool prunes = o->optimizer.relora_prune != SLT_PRUNE_RANDOM;
    if (merges(o) && (o->schedule.kind != SLT_SCHEDULE_JAGGED || prunes) &&
        !slt_linear_kind(method)->merges)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "%s is for models of method relora: there is nothing to merge in one "
                             "of method %s",
                             prunes ? "--relora-prune" : "--relora-every", slt_method_name(method));
    if (o->optimizer.refactor_every > 0 && !slt_method_has(method, SLT_ROLE_LORA_A))
        return slt_error_set(err, SLT_ERR_RANGE,
                             "--refactor-every: a model of method %s has no factors",
                             slt_method_name(method));
    return check_rates(o, config, err);
}

// ---- Record ----

static json_t *scales_json(const struct slt_train_options *o, const struct slt_train_option *f)
{
    json_t *all = json_object();
    size_t length;
    const char *name;
    for (int k = 0; (name = choice_at(f->choices, k, &length)) != NULL; k++) {
        char key[32];
        snprintf(key, sizeof key, "%.*s", (int)length, name);
        json_object_set_new(all, key, json_real(scale_of(o, f, k)));
    }
    return all;
}

static json_t *value_json(const struct slt_train_options *o, const struct slt_train_option *f)
{
    size_t length;
    const char *choice;
    switch (f->kind) {
    case SLT_OPTION_WHOLE:
        return json_integer(whole_of(o, f));
    case SLT_OPTION_REAL:
        return json_real(real_of(o, f));
    case SLT_OPTION_CHOICE:
        choice = choice_at(f->choices, whole_of(o, f), &length);
        return json_stringn(choice, length);
    case SLT_OPTION_SCALES:
        return scales_json(o, f);
    default:
        return json_boolean(whole_of(o, f));
    }
}

json_t *slt_train_options_object(const struct slt_train_options *o)
{
    json_t *all = json_object();
    for (size_t i = 0; i < ROWS; i++)
        if (table[i].key != NULL)
            json_object_set_new(all, table[i].key, value_json(o, &table[i]));
    return all;
}
