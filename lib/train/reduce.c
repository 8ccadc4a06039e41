// Gradients of several groups, and of several ranks, become one.
#include <assert.h>
#include <string.h>

#include "train/reduce.h"

#define BUCKET ((int64_t)1 << 20) // elements that are worth a sum

// Levels of the tree over the groups of a rank.
static int levels(int64_t groups)
{
    int n = 0;
    while (groups > (int64_t)1 << n)
        n++;
    return n;
}

void slt_reduction_layout(struct slt_reduction *r, int64_t groups, int64_t ranks,
                          struct slt_memory *memory)
{
    r->memory = memory;
    r->incoming = slt_memory_take(memory, SLT_REGION_EXCHANGE,
                                  slt_ops_on_host(memory->ops) ? slt_sums_memory(ranks) : 0);
    r->groups = groups;
    r->stride = slt_memory_rounded(memory->used[SLT_REGION_GRADIENTS]);
    for (int i = 0; i < levels(groups); i++)
        slt_memory_take(memory, SLT_REGION_GRADIENTS, r->stride);
}

int slt_reduction_join(struct slt_reduction *r, struct slt_ranks *ranks, struct slt_error *err)
{
    const struct slt_memory *m = r->memory;
    r->ranks = ranks;
    r->on_device = slt_ranks_size(ranks) > 1 && !slt_ops_on_host(m->ops);
    if (slt_ranks_size(ranks) == 1 || r->on_device)
        return 0;
    char *incoming = m->ops->address(m->buffer[SLT_REGION_EXCHANGE]);
    return slt_sums_create(&r->sums, ranks, incoming + r->incoming, err);
}

void slt_reduction_free(struct slt_reduction *r)
{
    slt_sums_free(r->sums);
    r->sums = NULL;
}

// ---- Groups of a rank ----

// The partial sums are a binary counter: level l holds the sum of 2^l groups where bit l of the
// number of groups so far is set.
static void add_group(struct slt_reduction *r, float *g, int64_t n, int64_t group)
{
    const bool is_last = group == r->groups - 1;
    for (int l = 0; l < levels(r->groups); l++) {
        float *partial = g + (uint64_t)(l + 1) * (r->stride / sizeof *g);
        const bool is_set = (group >> l & 1) != 0;
        if (is_set)
            slt_sum_pair(g, partial, n);
        else if (!is_last) {
            memcpy(partial, g, (size_t)n * sizeof *g);
            return;
        }
    }
}

// ---- Ranks ----

static void begin_sum(struct slt_reduction *r)
{
    if (r->elements > 0 && r->failure.code == 0)
        r->failure.code = slt_sums_begin(r->sums, SLT_SUM, r->data, sizeof *r->data, r->elements,
                                         NULL, &r->failure);
    r->elements = 0;
}

// Neighbours in memory without a gap are added at once.
static void add_to_bucket(struct slt_reduction *r, float *g, int64_t n)
{
    if (r->elements > 0 && g + n == r->data) {
        r->data = g;
        r->elements += n;
    } else if (r->elements > 0 && g == r->data + r->elements) {
        r->elements += n;
    } else {
        begin_sum(r);
        r->data = g;
        r->elements = n;
    }
    if (r->elements >= BUCKET)
        begin_sum(r);
}

static void *address_of(const struct slt_reduction *r, struct slt_tensor t)
{
    return (char *)r->memory->ops->address(t.buffer) + t.offset;
}

void slt_reduction_add(struct slt_reduction *r, struct slt_tensor g, int64_t group,
                       const int64_t *cut)
{
    if (r->on_device && cut == NULL)
        r->memory->ops->all_reduce(r->memory->ctx, g);
    else if (r->on_device)
        r->memory->ops->reduce_parts(r->memory->ctx, g, cut);
    if (r->sums == NULL && r->groups == 1)
        return;
    assert(g.dtype == SLT_F32 && g.ld == g.cols);
    float *data = address_of(r, g);
    const int64_t n = g.rows * g.cols;
    add_group(r, data, n, group);
    if (r->sums == NULL || group < r->groups - 1 || r->failure.code != 0)
        return;
    if (cut == NULL)
        add_to_bucket(r, data, n);
    else
        r->failure.code =
            slt_sums_begin(r->sums, SLT_SUM_OWN, data, sizeof *data, n, cut, &r->failure);
}

void slt_reduction_give(struct slt_reduction *r, struct slt_tensor t, const int64_t *cut)
{
    assert(t.ld == t.cols || t.rows == 1);
    if (r->on_device)
        r->memory->ops->give_parts(r->memory->ctx, t, cut);
    else if (r->failure.code == 0)
        r->failure.code =
            slt_sums_begin(r->sums, SLT_SUM_GIVE, address_of(r, t), slt_dtype_size(t.dtype),
                           t.rows * t.cols, cut, &r->failure);
}

void slt_reduction_finish(struct slt_reduction *r)
{
    if (r->on_device)
        r->memory->ops->comm_wait(r->memory->ctx);
    if (r->sums == NULL)
        return;
    begin_sum(r);
    if (r->failure.code == 0)
        r->failure.code = slt_sums_finish(r->sums, &r->failure);
}
