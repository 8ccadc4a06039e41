// Restarts of ReLoRA.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/codes.h"
#include "optim/relora.h"
#include "slt/random.h"

bool slt_relora_is_due(const struct slt_optimizer *o, int64_t updates)
{
    const int64_t every = o->options.relora_every;
    return slt_linear_kind(o->model->config.method)->merges && every > 0 && updates > 0 &&
           updates % every == 0;
}

static void merge_group(struct slt_model *m, const struct slt_group *stored)
{
    const struct slt_group *g = slt_model_unpack_group(m, stored);
    for (int i = 0, first = 0; i < g->shape.members; first += (int)g->shape.out[i++])
        m->ops->matmul(m->ctx, slt_tensor_rows(g->w, first, g->shape.out[i]), 1,
                       slt_tensor_rows(g->b, first, g->shape.out[i]), false,
                       slt_tensor_rows(g->a, i * g->rank, g->rank), false, g->scale);
    if (g->w.buffer != stored->w.buffer)
        m->ops->convert(m->ctx, stored->w, g->w, NULL);
}

// The stream of random numbers of a parameter's restart.
static struct slt_random_key key_of(const struct slt_optimizer *o, const char *tag,
                                    const struct slt_slot *slot, const char *what, int64_t updates)
{
    char name[SLT_TENSOR_NAME + 48];
    snprintf(name, sizeof name, "%s %s %lld", slot->info.name, what, (long long)updates);
    return slt_random_key(tag, name, o->seed);
}

// ---- Pruning ----

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

// The quantile q of the magnitudes of x (n), between its neighbours by linear interpolation
// (torch.quantile).
static float quantile(const float *x, float *sorted, int64_t n, double q)
{
    for (int64_t i = 0; i < n; i++)
        sorted[i] = fabsf(x[i]);
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    const double at = q * (double)(n - 1);
    const int64_t low = (int64_t)at, high = low + 1 < n ? low + 1 : low;
    return (float)((double)sorted[low] +
                   (at - (double)low) * ((double)sorted[high] - (double)sorted[low]));
}

// keep (n): whether each of the moments x stays.
static void choose(const struct slt_optimizer *o, bool *keep, const float *x, float *scratch,
                   int64_t n, struct slt_random_key key)
{
    const double fraction = o->options.relora_prune_fraction;
    if (o->options.relora_prune == SLT_PRUNE_MAGNITUDE) {
        const float above = quantile(x, scratch, n, fraction);
        for (int64_t i = 0; i < n; i++)
            keep[i] = fabsf(x[i]) > above;
        return;
    }
    slt_random_uniform(scratch, key, 0, (size_t)n, 1);
    for (int64_t i = 0; i < n; i++)
        keep[i] = ((double)scratch[i] + 1) / 2 > fraction;
}

// Moments as floats: real ones, or codes with their maxima.
static void decode(const struct slt_optimizer *o, const struct slt_slot *slot, int state, float *x,
                   uint8_t *code, int64_t n)
{
    const struct slt_model *m = o->model;
    const struct slt_tensor t = slot->state[state].tensor;
    if (t.dtype != SLT_U8) {
        slt_tensor_read(o->model, x, t, 0, n);
        return;
    }
    float map[SLT_CODES_8BIT], max = 0;
    slt_codes_dynamic(map, state == 0);
    m->ops->read(m->ctx, code, t.buffer, t.offset, (uint64_t)n);
    for (int64_t i = 0; i < n; i++) {
        if (i % o->hyper.block == 0)
            slt_tensor_read(o->model, &max, slot->state[state + slot->moments].tensor,
                            i / o->hyper.block, 1);
        x[i] = map[code[i]] * max;
    }
}

static int prune(const struct slt_optimizer *o, const struct slt_slot *slot, int state,
                 int64_t updates, struct slt_error *err)
{
    const struct slt_model *m = o->model;
    const struct slt_tensor t = slot->state[state].tensor;
    const int64_t n = t.rows * t.cols;
    float *x = malloc((size_t)n * 2 * sizeof *x);
    uint8_t *code = malloc((size_t)n);
    bool *keep = malloc((size_t)n * sizeof *keep);
    int rc = 0;
    if (x == NULL || code == NULL || keep == NULL) {
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a moment of %lld values",
                           (long long)n);
        goto out;
    }
    decode(o, slot, state, x, code, n);
    choose(o, keep, x, x + n, n,
           key_of(o, "slt-relora-1", slot, slot->state[state].suffix, updates));
    float map[SLT_CODES_8BIT];
    slt_codes_dynamic(map, state == 0);
    const uint8_t zero = slt_codes_nearest(map, SLT_CODES_8BIT, 0);
    for (int64_t i = 0; i < n; i++) {
        x[i] = keep[i] ? x[i] : 0;
        code[i] = keep[i] ? code[i] : zero;
    }
    if (t.dtype == SLT_U8)
        m->ops->write(m->ctx, t.buffer, t.offset, code, (uint64_t)n);
    else
        slt_tensor_write(o->model, t, 0, x, n);
out:
    free(x);
    free(code);
    free(keep);
    return rc;
}

// ---- Restart ----

static int restart_factor(struct slt_optimizer *o, const struct slt_slot *slot, int64_t updates,
                          struct slt_error *err)
{
    const int64_t n = slot->info.rows * slot->info.cols;
    float *values = calloc((size_t)n, sizeof *values);
    int rc = 0;
    if (values == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a factor of %lld values",
                             (long long)n);
    if (slot->info.role == SLT_ROLE_LORA_A)
        slt_random_uniform(values, key_of(o, "slt-relora-1", slot, "restart", updates), 0,
                           (size_t)n, (float)(1 / sqrt((double)slot->info.in)));
    slt_optimizer_set(o, slot, values);
    free(values);
    if (o->options.relora_prune != SLT_PRUNE_NONE)
        for (int state = 0; rc == 0 && slot->owned > 0 && state < slot->moments; state++)
            rc = prune(o, slot, state, updates, err);
    return rc;
}

int slt_relora_restart(struct slt_optimizer *o, int64_t updates, struct slt_error *err)
{
    struct slt_model *m = o->model;
    int rc = 0;
    for (int64_t i = 0; i < slt_model_groups(m); i++)
        if (slt_model_group(m, i)->kind->merges)
            merge_group(m, slt_model_group(m, i));
    for (size_t i = 0; rc == 0 && i < o->slots; i++)
        if (slt_slot_is_factor(&o->slot[i]))
            rc = restart_factor(o, &o->slot[i], updates, err);
    return rc == 0 ? m->ops->synchronize(m->ctx, err) : rc;
}
