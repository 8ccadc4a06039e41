// The table of kinds of linears.
#include <stdio.h>
#include <string.h>

#include "config/linear_kind.h"

#define NAME(id, name) [SLT_##id] = #name,
static const char *const names[SLT_METHOD_COUNT] = {SLT_METHODS(NAME)};

static const struct slt_kind_info kinds[SLT_METHOD_COUNT] = {
    // W
    [SLT_FULL] = {{{SLT_ROLE_WEIGHT, false, SLT_START_NORMAL}}, 1},
    // (alpha/r) B A
    [SLT_LOWRANK] = {{{SLT_ROLE_LORA_A, false, SLT_START_UNIFORM},
                      {SLT_ROLE_LORA_B, false, SLT_START_B}},
                     2},
    // (alpha/r) B A + S (arXiv 2406.02214)
    [SLT_SLTRAIN] = {{{SLT_ROLE_LORA_A, false, SLT_START_UNIFORM},
                      {SLT_ROLE_LORA_B, false, SLT_START_ZERO},
                      {SLT_ROLE_INDEX, true, SLT_START_ZERO},
                      {SLT_ROLE_SPARSE, false, SLT_START_UNIFORM}},
                     4},
    // W + (alpha/r) B A with W frozen (arXiv 2307.05695)
    [SLT_RELORA] = {{{SLT_ROLE_WEIGHT, true, SLT_START_NORMAL},
                     {SLT_ROLE_LORA_A, false, SLT_START_UNIFORM},
                     {SLT_ROLE_LORA_B, false, SLT_START_ZERO}},
                    3},
};

const struct slt_kind_info *slt_kind_info(enum slt_method method)
{
    return &kinds[method];
}

const char *slt_method_name(enum slt_method method)
{
    return method < SLT_METHOD_COUNT ? names[method] : NULL;
}

int slt_method_parse(enum slt_method *method, const char *text, struct slt_error *err)
{
    char known[160] = "";
    for (int i = 0; i < SLT_METHOD_COUNT; i++) {
        if (strcmp(text, names[i]) == 0) {
            *method = (enum slt_method)i;
            return 0;
        }
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i > 0 ? ", " : "",
                 names[i]);
    }
    return slt_error_set(err, SLT_ERR_RANGE, "unknown method '%s' (known: %s)", text, known);
}

const struct slt_kind_tensor *slt_kind_tensor(enum slt_method method, enum slt_role role)
{
    const struct slt_kind_info *kind = &kinds[method];
    for (int i = 0; i < kind->tensors; i++)
        if (kind->tensor[i].role == role)
            return &kind->tensor[i];
    return NULL;
}

bool slt_method_has(enum slt_method method, enum slt_role role)
{
    return slt_kind_tensor(method, role) != NULL;
}

bool slt_method_is_dense(enum slt_method method)
{
    return kinds[method].tensors == 1 && kinds[method].tensor[0].role == SLT_ROLE_WEIGHT;
}

bool slt_kind_of_roles(enum slt_method *method, unsigned roles)
{
    for (int m = 0; m < SLT_METHOD_COUNT; m++) {
        unsigned mine = 0;
        for (int i = 0; i < kinds[m].tensors; i++)
            mine |= 1u << kinds[m].tensor[i].role;
        if ((mine & ~(1u << SLT_ROLE_INDEX)) == (roles & ~(1u << SLT_ROLE_INDEX))) {
            *method = (enum slt_method)m;
            return true;
        }
    }
    return false;
}
