// Recipes: what a sparse plus low-rank model consists of and how it is trained, in one word.
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "slt/config.h"

// The published settings of a preset (arXiv 2406.02214): AdamW without decay at a peak of 0.003, 512
// documents of at most 256 tokens a step, everything in bfloat16. The 7b model had 8-bit Adam and
// clipping.
#define PUBLISHED(steps, warmup, more)                                                             \
    "{\"steps\":" #steps ",\"batch\":512,\"seq\":256,\"layout\":\"document\",\"lr\":0.003,"        \
    "\"warmup\":" #warmup ",\"precision\":\"bf16\"" more "}"

static const struct {
    const char *preset, *training;
} published[] = {
    {"60m", PUBLISHED(11000, 1100, "")},
    {"130m", PUBLISHED(22000, 2200, "")},
    {"350m", PUBLISHED(65000, 6500, "")},
    {"1b", PUBLISHED(140000, 10000, "")},
    {"7b", PUBLISHED(150000, 15000, ",\"optimizer\":\"adam8bit\",\"clip\":1.0")},
};

static int take_paper(struct slt_config *c, const char *preset, struct slt_error *err)
{
    for (size_t i = 0; preset != NULL && i < sizeof published / sizeof *published; i++)
        if (strcasecmp(preset, published[i].preset) == 0) {
            snprintf(c->training, sizeof c->training, "%s", published[i].training);
            return 0;
        }
    return slt_error_set(err, SLT_ERR_RANGE,
                         "the recipe paper is that of the presets 60m, 130m, 350m, 1b and 7b");
}

// What the ladder of pipelines/SCIENCE.md came to: half of the weights, the paper's rank with three
// times its positions of S, and momentum made orthogonal.
static void take_best(struct slt_config *c)
{
    const int64_t rank = c->hidden_size / 4;
    c->rank = rank > 0 ? rank : 1;
    c->alpha = (double)c->rank / 4;
    c->density = .1;
    snprintf(c->training, sizeof c->training,
             "{\"optimizer\":\"muon\",\"lr\":0.008,\"spectral_lr\":0.02,\"warmup_ratio\":0.1}");
}

int slt_config_recipe(struct slt_config *c, const char *preset, const char *recipe,
                      struct slt_error *err)
{
    const bool best = strcmp(recipe, "best") == 0;
    if (!best && strcmp(recipe, "paper") != 0)
        return slt_error_set(err, SLT_ERR_RANGE, "unknown recipe '%s' (known: paper, best)",
                             recipe);
    if (c->method != SLT_SLTRAIN)
        return slt_error_set(err, SLT_ERR_RANGE, "recipes are for the method sltrain, not for %s",
                             slt_method_name(c->method));
    slt_config_method_defaults(c, preset);
    if (!best)
        return take_paper(c, preset, err);
    take_best(c);
    return 0;
}
