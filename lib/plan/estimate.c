// Memory by the formulas of estimate.h: one walk over the parameters of the full-rank, low-rank or
// sltrain model.
#include <stdlib.h>
#include <string.h>

#include "slt/estimate.h"

#define ABSMAX_BLOCK 256  // values of an 8-bit moment that share a maximum
#define SMALL_TENSOR 4096 // tensors with fewer values keep fp32 moments

const char *slt_scheme_name(enum slt_scheme scheme)
{
    static const char *const names[SLT_SCHEMES] = {"full", "lowrank", "relora", "galore",
                                                   "sltrain"};
    return names[scheme];
}

const char *slt_accounting_name(enum slt_accounting accounting)
{
    static const char *const names[SLT_ACCOUNTINGS] = {"paper", "paper-8bit", "8bit",
                                                       "8bit-no-index"};
    return names[accounting];
}

// Bytes of both moments of a tensor of n values.
static uint64_t moment_bytes(enum slt_accounting accounting, uint64_t n)
{
    if (accounting == SLT_ACCOUNT_PAPER)
        return 4 * n;
    if (accounting == SLT_ACCOUNT_PAPER_8BIT)
        return 2 * n;
    if (n < SMALL_TENSOR)
        return 8 * n;
    return 2 * (n + 4 * ((n + ABSMAX_BLOCK - 1) / ABSMAX_BLOCK));
}

// Bytes of the positions of one linear's S. Row starts are stacked by group, with one more at the
// end.
static uint64_t index_bytes(enum slt_accounting accounting, const struct slt_param_info *p)
{
    const uint64_t nnz = (uint64_t)p->cols;
    if (accounting == SLT_ACCOUNT_8BIT_NO_INDEX)
        return 0;
    if (accounting != SLT_ACCOUNT_8BIT)
        return 8 * nnz;
    return (p->in <= 65536 ? 2 : 4) * nnz + 8 * ((uint64_t)p->out + (p->member == 0));
}

// The configuration with another method, as far as the formulas go.
static struct slt_config with_method(const struct slt_config *config, enum slt_method method)
{
    struct slt_config c = *config;
    const bool sparse = slt_method_has(method, SLT_ROLE_SPARSE);
    c.method = method;
    if (sparse && c.support.kind == SLT_SUPPORT_NONE)
        c.support.kind = SLT_SUPPORT_RANDOM;
    if (slt_method_is_dense(method))
        c.layers_count = 0;
    for (int64_t i = 0; !sparse && i < c.layers_count; i++)
        c.layers[i].density = 0;
    return c;
}

// Sums over the parameters of config with another method; a matrix that is trained as it is has its
// moments in a subspace of this rank, if it is above 0; with single, matrices of the linears have
// one moment and not two.
static int add_up(struct slt_estimate *e, const struct slt_config *config, enum slt_method method,
                  int64_t rank, bool single, enum slt_accounting accounting, struct slt_error *err)
{
    const struct slt_config c = with_method(config, method);
    struct slt_param_info *list;
    size_t count;
    int rc = slt_config_params(&c, &list, &count, err);
    if (rc != 0)
        return rc;
    *e = (struct slt_estimate){0};
    for (size_t i = 0; i < count; i++) {
        const struct slt_param_info *p = &list[i];
        const uint64_t n = (uint64_t)p->rows * (uint64_t)p->cols;
        e->parameters += n;
        e->weights += 2 * n;
        if (p->role == SLT_ROLE_WEIGHT && p->frozen)
            continue;
        if (rank > 0 && p->role == SLT_ROLE_WEIGHT) {
            const uint64_t r = (uint64_t)rank;
            const uint64_t small = (uint64_t)(p->rows < p->cols ? p->rows : p->cols);
            e->projectors += 2 * r * small;
            e->moments += moment_bytes(accounting, r * (n / small));
        } else {
            const bool is_matrix = p->role == SLT_ROLE_WEIGHT || p->role == SLT_ROLE_LORA_A ||
                                   p->role == SLT_ROLE_LORA_B;
            e->moments += moment_bytes(accounting, n) / (single && is_matrix ? 2 : 1);
        }
        if (p->role == SLT_ROLE_SPARSE)
            e->index += index_bytes(accounting, p);
    }
    free(list);
    return 0;
}

static int by_scheme(struct slt_estimate *estimate, const struct slt_config *config,
                     enum slt_scheme scheme, bool single, enum slt_accounting accounting,
                     struct slt_error *err)
{
    struct slt_estimate e, full;
    int rc;
    switch (scheme) {
    case SLT_SCHEME_LOWRANK:
        rc = add_up(&e, config, SLT_LOWRANK, 0, single, accounting, err);
        break;
    case SLT_SCHEME_SLTRAIN:
        rc = add_up(&e, config, SLT_SLTRAIN, 0, single, accounting, err);
        break;
    case SLT_SCHEME_RELORA:
        if ((rc = add_up(&full, config, SLT_FULL, 0, single, accounting, err)) != 0 ||
            (rc = add_up(&e, config, SLT_LOWRANK, 0, single, accounting, err)) != 0)
            break;
        e.parameters = full.parameters;
        e.weights += full.weights;
        break;
    default:
        rc = add_up(&e, config, SLT_FULL, scheme == SLT_SCHEME_GALORE ? config->rank : 0,
                    single, accounting, err);
    }
    if (rc == 0)
        *estimate = e;
    return rc;
}

int slt_estimate_memory(struct slt_estimate *estimate, const struct slt_config *config,
                        enum slt_scheme scheme, enum slt_accounting accounting,
                        struct slt_error *err)
{
    return by_scheme(estimate, config, scheme, false, accounting, err);
}

static enum slt_scheme scheme_of(enum slt_method method)
{
    for (int i = 0; i < SLT_SCHEMES; i++)
        if (strcmp(slt_method_name(method), slt_scheme_name((enum slt_scheme)i)) == 0)
            return (enum slt_scheme)i;
    return SLT_SCHEME_FULL;
}

int slt_estimate_paper(struct slt_estimate *estimate, const struct slt_config *config,
                       enum slt_optimizer_id optimizer, int64_t galore_rank, struct slt_error *err)
{
    const enum slt_accounting accounting =
        slt_optimizer_has(optimizer, SLT_TRAIT_CODES) ? SLT_ACCOUNT_PAPER_8BIT : SLT_ACCOUNT_PAPER;
    int rc =
        slt_optimizer_has(optimizer, SLT_TRAIT_SUBSPACE)
            ? add_up(estimate, config, config->method, galore_rank, false, accounting, err)
            : by_scheme(estimate, config, scheme_of(config->method),
                        slt_optimizer_has(optimizer, SLT_TRAIT_ORTHOGONAL), accounting, err);
    if (rc == 0 && !slt_optimizer_has(optimizer, SLT_TRAIT_SECOND_MOMENT))
        estimate->moments /= 2;
    return rc;
}

uint64_t slt_estimate_total(const struct slt_estimate *e)
{
    return e->weights + e->moments + e->projectors + e->index;
}
