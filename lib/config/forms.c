// Linears that differ by layer: what each is made of, and how much of the full-rank model all are.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/architecture.h"
#include "config/forms.h"
#include "config/linear_kind.h"

// ---- Forms ----

static bool has(const struct slt_layers *l, int64_t layer, int32_t group)
{
    return layer >= l->first && layer <= l->last && (l->groups >> group & 1) != 0;
}

struct slt_form slt_config_form(const struct slt_config *c, int64_t layer, int32_t group)
{
    struct slt_form form = {.method = c->method};
    if (slt_method_has(c->method, SLT_ROLE_LORA_A)) {
        form.rank = c->rank;
        form.scale = c->alpha / (double)c->rank;
    }
    if (slt_method_has(c->method, SLT_ROLE_SPARSE)) {
        form.density = c->density;
        form.support = c->support;
    }
    for (int64_t i = 0; i < c->layers_count; i++) {
        const struct slt_layers *l = &c->layers[i];
        if (!has(l, layer, group))
            continue;
        if (l->full)
            return (struct slt_form){.method = SLT_FULL};
        form.rank = l->rank > 0 ? l->rank : form.rank;
        form.density = l->density > 0 ? l->density : form.density;
    }
    return form;
}

// ---- Checks ----

int64_t slt_largest_rank(const struct slt_config *c)
{
    return c->hidden_size < c->intermediate_size ? c->hidden_size : c->intermediate_size;
}

static int refuse(const struct slt_layers *l, struct slt_error *err, const char *what)
{
    char text[160];
    return slt_error_set(err, SLT_ERR_RANGE, "layers '%s': %s",
                         slt_layers_format(text, sizeof text, l), what);
}

static int check_one(const struct slt_config *c, const struct slt_layers *l, struct slt_error *err)
{
    char what[100];
    const int64_t rank = slt_largest_rank(c);
    if (l->first < 0 || l->first > l->last || l->last >= c->num_hidden_layers) {
        snprintf(what, sizeof what, "the range is not within the layers 0 to %lld",
                 (long long)c->num_hidden_layers - 1);
        return refuse(l, err, what);
    }
    if (l->groups == 0 || l->groups >> SLT_GROUP_KINDS != 0)
        return refuse(l, err, "there is no such group");
    if (l->full && (l->rank != 0 || l->density != 0))
        return refuse(l, err, "a full-rank linear has neither rank nor density");
    if (l->rank < 0 || l->rank > rank) {
        snprintf(what, sizeof what, "the rank is outside [1, %lld]", (long long)rank);
        return refuse(l, err, what);
    }
    if (l->density != 0 && !slt_method_has(c->method, SLT_ROLE_SPARSE))
        return refuse(l, err, "the model's method has no sparse part with a density");
    if (!(l->density >= 0 && l->density <= 1))
        return refuse(l, err, "the density is outside (0, 1]");
    return 0;
}

// The first linear that two elements both have, if there is one.
static int check_apart(const struct slt_config *c, const struct slt_layers *a,
                       const struct slt_layers *b, struct slt_error *err)
{
    char name[100];
    const int64_t first = a->first > b->first ? a->first : b->first;
    const int64_t last = a->last < b->last ? a->last : b->last;
    for (int32_t k = 0; first <= last && k < SLT_GROUP_KINDS; k++)
        if ((a->groups & b->groups) >> k & 1)
            return slt_error_set(err, SLT_ERR_RANGE, "two elements of layers set '%s'",
                                 slt_linear_name(name, sizeof name, c, (int32_t)first, k, 0));
    return 0;
}

int slt_layers_check(const struct slt_config *c, struct slt_error *err)
{
    int rc = 0;
    if (c->layers_count < 0 || c->layers_count > SLT_LAYERS_LIMIT)
        return slt_error_set(err, SLT_ERR_RANGE, "more than %d elements of layers",
                             SLT_LAYERS_LIMIT);
    if (c->layers_count > 0 && slt_method_is_dense(c->method))
        return slt_error_set(err, SLT_ERR_RANGE,
                             "layers differ only in a model with factors, and method %s has none",
                             slt_method_name(c->method));
    for (int64_t i = 0; rc == 0 && i < c->layers_count; i++)
        rc = check_one(c, &c->layers[i], err);
    for (int64_t i = 1; rc == 0 && i < c->layers_count; i++)
        for (int64_t k = 0; rc == 0 && k < i; k++)
            rc = check_apart(c, &c->layers[k], &c->layers[i], err);
    return rc;
}

// ---- Share of the full-rank model ----

static uint64_t trained_values(const struct slt_form *form, int64_t out, int64_t in)
{
    const struct slt_kind_info *kind = slt_kind_info(form->method);
    int64_t sum = 0;
    for (int i = 0; i < kind->tensors; i++) {
        if (kind->tensor[i].frozen)
            continue;
        switch (kind->tensor[i].role) {
        case SLT_ROLE_WEIGHT:
            sum += out * in;
            break;
        case SLT_ROLE_LORA_A:
            sum += form->rank * in;
            break;
        case SLT_ROLE_LORA_B:
            sum += out * form->rank;
            break;
        default:
            sum += slt_support_count(&form->support, form->density, out, in);
        }
    }
    return (uint64_t)sum;
}

double slt_config_linear_share(const struct slt_config *c)
{
    const struct slt_form full = {.method = SLT_FULL};
    uint64_t have = 0, all = 0;
    for (int64_t layer = 0; layer < c->num_hidden_layers; layer++) {
        for (int32_t k = 0; k < SLT_GROUP_KINDS; k++) {
            const struct slt_group_shape shape = slt_group_shape(c, k);
            const struct slt_form form = slt_config_form(c, layer, k);
            for (int m = 0; m < shape.members; m++) {
                have += trained_values(&form, shape.out[m], shape.in);
                all += trained_values(&full, shape.out[m], shape.in);
            }
        }
    }
    return (double)have / (double)all;
}

int slt_config_fit_rank(struct slt_config *c, double share, struct slt_error *err)
{
    struct slt_config with = *c;
    int64_t fits = 1, least_too_much = slt_largest_rank(c) + 1;
    if (!slt_method_has(c->method, SLT_ROLE_LORA_A))
        return slt_error_set(err, SLT_ERR_RANGE, "method %s has no rank to fit",
                             slt_method_name(c->method));
    with.rank = fits;
    const double least = slt_config_linear_share(&with);
    if (least > share)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "with rank 1 the linears have %.4g of the full-rank model's "
                             "parameters already, which is more than %g",
                             least, share);
    while (least_too_much - fits > 1) {
        with.rank = fits + (least_too_much - fits) / 2;
        if (slt_config_linear_share(&with) <= share)
            fits = with.rank;
        else
            least_too_much = with.rank;
    }
    c->rank = fits;
    return 0;
}
