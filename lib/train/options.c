// The options of training that change numbers: their defaults, ranges, and record in trainer.json,
// from one table.
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "train/options.h"

#define MICRO_TOKENS 4096 // a micro-batch that is left to us holds at most so many tokens

enum field_kind {
    WHOLE,  // int64_t or uint64_t in [min, max]
    REAL,   // double in [min, max]
    FLAG,   // bool
    WORD,   // const char *, one of the choices; without choices checked elsewhere
    CHOICE, // an enum: the position among the choices
};

// Keys are the options' names on the command line, with underscores.
static const struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;
    double min, max;
    const char *choices; // "a|b|c"
} fields[] = {
#define AT(member) offsetof(struct slt_train_options, member)
    {"steps", WHOLE, AT(steps), 1, 1e15, NULL},
    {"batch", WHOLE, AT(batch), 1, 1 << 24, NULL},
    {"micro_batch", WHOLE, AT(micro_batch), 1, 1 << 24, NULL},
    {"seq", WHOLE, AT(seq), 2, 1 << 20, NULL},
    {"layout", CHOICE, AT(packing), 0, 1, "packed|document"},
    {"lr", REAL, AT(lr), 0, 1e30, NULL},
    {"min_lr_ratio", REAL, AT(min_lr_ratio), 0, 1, NULL},
    {"warmup", WHOLE, AT(warmup), 0, 1e15, NULL},
    {"schedule", CHOICE, AT(schedule), 0, 3, "cosine|linear|constant|jagged"},
    {"optimizer", WORD, AT(optimizer), 0, 0, NULL},
    {"weight_decay", REAL, AT(weight_decay), 0, 1e3, NULL},
    {"beta1", REAL, AT(beta1), 0, 0.999999999, NULL},
    {"beta2", REAL, AT(beta2), 0, 0.999999999, NULL},
    {"eps", REAL, AT(eps), 1e-30, 1, NULL},
    {"adam_block", WHOLE, AT(adam_block), 1, 2048, NULL},
    {"galore_rank", WHOLE, AT(galore_rank), 0, 1 << 24, NULL},
    {"galore_gap", WHOLE, AT(galore_gap), 1, 1e15, NULL},
    {"galore_scale", REAL, AT(galore_scale), 0, 1e6, NULL},
    {"galore_svd", WORD, AT(galore_svd), 0, 0, "randomized|exact"},
    {"galore_stagger", FLAG, AT(galore_stagger), 0, 1, NULL},
    {"relora_every", WHOLE, AT(relora_every), 0, 1e15, NULL},
    {"relora_warmup", WHOLE, AT(relora_warmup), 0, 1e15, NULL},
    {"relora_prune", WORD, AT(relora_prune), 0, 0, "random|magnitude|none"},
    {"relora_prune_fraction", REAL, AT(relora_prune_fraction), 0, 1, NULL},
    {"per_layer", FLAG, AT(per_layer), 0, 1, NULL},
    {"clip_exact", FLAG, AT(clip_exact), 0, 1, NULL},
    {"clip", REAL, AT(clip), 0, 1e30, NULL},
    {"train_only", WORD, AT(train_only), 0, 0, "all|sparse|factors"},
    {"route", WORD, AT(route), 0, 0, "auto|dense|factored"},
    {"precision", WORD, AT(precision), 0, 0, "f32|bf16|bf16-sr|bf16-master"},
    {"seed", WHOLE, AT(seed), 0, 9.3e18, NULL},
#undef AT
};

#define FIELDS (sizeof fields / sizeof *fields)

void slt_train_defaults(struct slt_train_options *options)
{
    *options = (struct slt_train_options){
        .batch = 32,
        .seq = 256,
        .packing = SLT_PACKED,
        .lr = 3e-3,
        .min_lr_ratio = 0.1,
        .schedule = SLT_SCHEDULE_COSINE,
        .optimizer = "adamw",
        .beta1 = 0.9,
        .beta2 = 0.999,
        .eps = -1,
        .adam_block = 256,
        .galore_gap = 200,
        .galore_scale = 0.25,
        .galore_svd = "randomized",
        .galore_stagger = true,
        .relora_prune = "random",
        .relora_prune_fraction = -1,
        .train_only = "all",
        .route = "auto",
        .precision = "f32",
        .recompute = "none",
    };
}

enum slt_route slt_route_parse(const char *name)
{
    return strcmp(name, "dense") == 0      ? SLT_ROUTE_DENSE
           : strcmp(name, "factored") == 0 ? SLT_ROUTE_FACTORED
                                           : SLT_ROUTE_AUTO;
}

enum slt_recompute slt_recompute_parse(const char *name)
{
    return strcmp(name, "block") == 0   ? SLT_RECOMPUTE_BLOCK
           : strcmp(name, "cheap") == 0 ? SLT_RECOMPUTE_CHEAP
                                        : SLT_RECOMPUTE_NONE;
}

unsigned slt_trained_roles(const char *train_only)
{
    return strcmp(train_only, "sparse") == 0    ? 1u << SLT_ROLE_SPARSE
           : strcmp(train_only, "factors") == 0 ? 1u << SLT_ROLE_LORA_A | 1u << SLT_ROLE_LORA_B
                                                : 0;
}

// ---- Values by the table ----

static int64_t whole_of(const struct slt_train_options *o, const struct field *f)
{
    int64_t whole;
    int choice;
    if (f->kind == FLAG)
        return *((const bool *)((const char *)o + f->offset));
    if (f->kind == CHOICE) {
        memcpy(&choice, (const char *)o + f->offset, sizeof choice);
        return choice;
    }
    memcpy(&whole, (const char *)o + f->offset, sizeof whole);
    return whole;
}

static double real_of(const struct slt_train_options *o, const struct field *f)
{
    double real;
    if (f->kind != REAL)
        return (double)whole_of(o, f);
    memcpy(&real, (const char *)o + f->offset, sizeof real);
    return real;
}

static const char *word_of(const struct slt_train_options *o, const struct field *f)
{
    const char *word;
    memcpy(&word, (const char *)o + f->offset, sizeof word);
    return word;
}

// Whether word is one of "a|b|c".
static bool is_choice(const char *choices, const char *word)
{
    const size_t n = strlen(word);
    for (const char *c = choices; c != NULL; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL)
        if (strncmp(c, word, n) == 0 && (c[n] == '|' || c[n] == '\0'))
            return true;
    return false;
}

// The option as it is typed: "galore_rank" gives "--galore-rank".
static const char *typed(char name[40], const char *key)
{
    snprintf(name, 40, "--%s", key);
    for (char *c = strchr(name, '_'); c != NULL; c = strchr(c, '_'))
        *c = '-';
    return name;
}

static int check_field(const struct slt_train_options *o, const struct field *f,
                       struct slt_error *err)
{
    char name[40];
    if (f->kind == WORD) {
        if (f->choices == NULL || is_choice(f->choices, word_of(o, f)))
            return 0;
        return slt_error_set(err, SLT_ERR_RANGE, "%s '%s' is unknown (known: %s)",
                             typed(name, f->key), word_of(o, f), f->choices);
    }
    if (real_of(o, f) >= f->min && real_of(o, f) <= f->max)
        return 0;
    return slt_error_set(err, SLT_ERR_RANGE, "%s %.10g is outside [%.10g, %.10g]",
                         typed(name, f->key), real_of(o, f), f->min, f->max);
}

// ---- Open options, and those that depend on each other ----

static void choose_open(struct slt_train_options *o)
{
    if (o->micro_batch == 0 && o->batch > 0) {
        o->micro_batch = 1;
        for (int64_t m = 1; m <= o->batch && m * o->seq <= MICRO_TOKENS; m++)
            if (o->batch % m == 0)
                o->micro_batch = m;
    }
    if (o->eps < 0)
        o->eps = strncmp(o->optimizer, "galore", 6) == 0 ? 1e-6 : 1e-8;
    if (o->relora_prune_fraction < 0)
        o->relora_prune_fraction = strcmp(o->relora_prune, "magnitude") == 0 ? 0.9 : 0.999;
}

// What an option is of, NULL where it has a say in this run.
static const char *owner_of(const struct slt_train_options *o, const char *key)
{
    const bool galore = strncmp(o->optimizer, "galore", 6) == 0;
    const size_t n = strlen(o->optimizer);
    const bool coded = n > 4 && strcmp(o->optimizer + n - 4, "8bit") == 0;
    if (strncmp(key, "galore_", 7) == 0 && !galore)
        return "the optimizers galore and galore8bit";
    if (strcmp(key, "adam_block") == 0 && !coded)
        return "the optimizers with 8-bit moments";
    if (strncmp(key, "relora_prune", 12) == 0 && o->relora_every == 0)
        return "the merges of --relora-every";
    if (strcmp(key, "min_lr_ratio") == 0 && o->schedule == SLT_SCHEDULE_CONSTANT)
        return "the schedules that fall";
    return NULL;
}

// An option that is given, as far as its value tells, and changes nothing is a mistake.
static int check_needless(const struct slt_train_options *o, struct slt_error *err)
{
    struct slt_train_options plain;
    char name[40];
    slt_train_defaults(&plain);
    choose_open(&plain);
    for (size_t i = 0; i < FIELDS; i++) {
        const struct field *f = &fields[i];
        const char *owner = owner_of(o, f->key);
        if (owner != NULL && (f->kind == WORD ? strcmp(word_of(o, f), word_of(&plain, f)) != 0
                                              : real_of(o, f) != real_of(&plain, f)))
            return slt_error_set(
                err, SLT_ERR_RANGE, "%s is an option of %s, which this run has not",
                typed(name, strcmp(f->key, "galore_stagger") == 0 ? "galore_no_stagger" : f->key),
                owner);
    }
    return 0;
}

int slt_train_resolve(struct slt_train_options *o, struct slt_error *err)
{
    choose_open(o);
    for (size_t i = 0; i < FIELDS; i++) {
        int rc = check_field(o, &fields[i], err);
        if (rc != 0)
            return rc;
    }
    if (!is_choice("none|cheap|block", o->recompute))
        return slt_error_set(err, SLT_ERR_RANGE,
                             "--recompute '%s' is unknown (known: none|cheap|block)", o->recompute);
    if (o->warmup > o->steps)
        return slt_error_set(err, SLT_ERR_RANGE, "a warm-up of %lld steps is outside [0, %lld]",
                             (long long)o->warmup, (long long)o->steps);
    if (o->batch % o->micro_batch != 0)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "a batch of %lld is no multiple of the micro-batch of %lld",
                             (long long)o->batch, (long long)o->micro_batch);
    if (o->clip_exact && !(o->per_layer && o->clip > 0))
        return slt_error_set(
            err, SLT_ERR_RANGE,
            "--clip-exact says how --per-layer clips: it needs both --per-layer and --clip");
    if (o->schedule == SLT_SCHEDULE_JAGGED && o->relora_every == 0)
        return slt_error_set(
            err, SLT_ERR_RANGE,
            "the jagged schedule needs --relora-every, the updates between merges");
    if (o->relora_warmup > 0 && o->relora_every == 0)
        return slt_error_set(
            err, SLT_ERR_RANGE,
            "--relora-warmup follows a merge, and without --relora-every there is none");
    if (o->relora_warmup > 0 && o->relora_warmup >= o->relora_every)
        return slt_error_set(
            err, SLT_ERR_RANGE,
            "a warm-up of %lld steps does not end before the next merge, every %lld",
            (long long)o->relora_warmup, (long long)o->relora_every);
    return check_needless(o, err);
}

// ---- Record ----

static json_t *choice_json(const char *choices, int64_t at)
{
    for (; at > 0; at--)
        choices = strchr(choices, '|') + 1;
    return json_stringn(choices, strcspn(choices, "|"));
}

json_t *slt_train_options_object(const struct slt_train_options *o)
{
    json_t *all = json_object();
    for (size_t i = 0; i < FIELDS; i++) {
        const struct field *f = &fields[i];
        json_object_set_new(all, f->key,
                            f->kind == WHOLE    ? json_integer(whole_of(o, f))
                            : f->kind == REAL   ? json_real(real_of(o, f))
                            : f->kind == FLAG   ? json_boolean(whole_of(o, f))
                            : f->kind == CHOICE ? choice_json(f->choices, whole_of(o, f))
                                                : json_string(word_of(o, f)));
    }
    return all;
}
