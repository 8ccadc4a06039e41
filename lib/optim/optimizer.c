// The table of optimizers and what they share.
#include <stdlib.h>
#include <string.h>

#include "optim/optimizer.h"

// Elements of BF16 tensors that are F32 at once, at most.
#define RUN   ((int64_t)1 << 20)
#define SMALL 4096 // elements below which moments stay in 32 bits (bitsandbytes' min_8bit_size)

#define DECLARE(id, name) extern const struct slt_optimizer_kind slt_optimizer_##name;
#define KIND(id, name)    [SLT_OPTIMIZER_##id] = &slt_optimizer_##name,
#define NAME(id, name)    [SLT_OPTIMIZER_##id] = #name,
SLT_OPTIMIZERS(DECLARE)
static const struct slt_optimizer_kind *const kinds[] = {SLT_OPTIMIZERS(KIND)};
static const char *const names[] = {SLT_OPTIMIZERS(NAME)};

const struct slt_optimizer_kind *slt_optimizer_kind(enum slt_optimizer_id id)
{
    return kinds[id];
}

const char *slt_optimizer_name(enum slt_optimizer_id id)
{
    return id < SLT_OPTIMIZER_COUNT ? names[id] : NULL;
}

enum slt_optimizer_id slt_optimizer_with_codes(enum slt_optimizer_id id)
{
    return kinds[id]->with_codes;
}

bool slt_optimizer_has(enum slt_optimizer_id id, enum slt_optimizer_trait trait)
{
    return (kinds[id]->traits & (unsigned)trait) != 0;
}

int64_t slt_optimizer_projects(const struct slt_optimizer_options *o,
                               const struct slt_config *config, bool whole_norm)
{
    const struct slt_optimizer_subspace *subspace = kinds[o->kind]->subspace;
    return subspace != NULL ? subspace->accumulates(o, config, whole_norm) : 0;
}

// Whether there is in the model what the optimizer is for.
static int check_model(const struct slt_optimizer *o, struct slt_error *err)
{
    bool any = o->kind->subspace == NULL;
    for (size_t i = 0; i < o->slots; i++)
        any |= o->model->param[i].info.role == SLT_ROLE_WEIGHT && !o->model->param[i].info.frozen;
    if (any)
        return 0;
    return slt_error_set(err, SLT_ERR_RANGE,
                         "optimizer %s projects full-rank weights, and a model of method %s "
                         "has none to train",
                         names[o->id], slt_method_name(o->model->config.method));
}

int slt_optimizer_init(struct slt_optimizer *o, const struct slt_optimizer_options *options,
                       double lr, enum slt_precision precision, uint64_t seed,
                       struct slt_model *model, struct slt_error *err)
{
    *o = (struct slt_optimizer){.kind = kinds[options->kind],
                                .id = options->kind,
                                .options = *options,
                                .lr = lr,
                                .precision = precision,
                                .seed = seed,
                                .model = model,
                                .ranks = 1,
                                .slots = model->param_count,
                                .hyper = {.beta1 = options->beta1,
                                          .beta2 = options->beta2,
                                          .eps = options->eps,
                                          .weight_decay = options->weight_decay,
                                          .eps_corrected = true,
                                          .decay_last = kinds[options->kind]->decay_last,
                                          .scale = 1,
                                          .block = options->adam_block,
                                          .stochastic = precision == SLT_PRECISION_BF16_SR}};
    int rc = check_model(o, err);
    if (rc != 0)
        return rc;
    o->slot = calloc(o->slots, sizeof *o->slot);
    o->item = calloc(o->slots, sizeof *o->item);
    if (o->slot != NULL && o->item != NULL)
        return 0;
    slt_optimizer_free(o);
    return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the optimizer's lists");
}

// Whether BF16 values are converted before Adam sees them.
static bool converts(const struct slt_optimizer *o)
{
    const struct slt_op_shape half = {.dtype = SLT_BF16};
    return o->model->weight_dtype == SLT_BF16 &&
           !o->model->ops->supports(o->model->ctx, SLT_OP_ADAM, &half);
}

static bool is_converted(const struct slt_optimizer *o, const struct slt_slot *slot)
{
    return slot->param.dtype == SLT_BF16 && converts(o);
}

static bool has_masters(const struct slt_optimizer *o)
{
    return o->precision == SLT_PRECISION_BF16_MASTER;
}

bool slt_optimizer_is_half(const struct slt_optimizer *o)
{
    return o->model->act_dtype == SLT_BF16 && !has_masters(o);
}

enum slt_rate_role slt_rate_role(enum slt_role role)
{
    switch (role) {
    case SLT_ROLE_EMBEDDING:
        return SLT_RATE_EMBEDDING;
    case SLT_ROLE_HEAD:
        return SLT_RATE_HEAD;
    case SLT_ROLE_NORM:
        return SLT_RATE_NORMS;
    case SLT_ROLE_LORA_A:
    case SLT_ROLE_LORA_B:
        return SLT_RATE_FACTORS;
    case SLT_ROLE_SPARSE:
        return SLT_RATE_SPARSE;
    default:
        return SLT_RATE_WEIGHTS;
    }
}

// This rank's part of a state; none has no buffer.
static void layout_state(struct slt_optimizer *o, struct slt_slot *slot, int k)
{
    struct slt_memory *memory = &o->model->memory;
    struct slt_state *s = &slot->state[k];
    const enum slt_dtype dtype = s->tensor.dtype;
    if (s->everywhere || slot->owned == slot->info.rows * slot->info.cols) {
        s->tensor = slt_memory_tensor(memory, SLT_REGION_MOMENTS, dtype, s->rows, s->cols);
        return;
    }
    const int64_t n = slt_state_edge(o, slot, k, o->rank + 1) - slt_state_edge(o, slot, k, o->rank);
    s->tensor = n > 0 ? slt_memory_tensor(memory, SLT_REGION_MOMENTS, dtype, 1, n)
                      : (struct slt_tensor){.dtype = dtype};
}

void slt_optimizer_layout(struct slt_optimizer *o)
{
    struct slt_memory *memory = &o->model->memory;
    for (size_t i = 0; i < o->slots; i++) {
        struct slt_slot *slot = &o->slot[i];
        slot->info = o->model->param[i].info;
        slot->part = o->model->param[i].part;
        slot->states = 0;
        slot->rate = o->options.lr_scale[slt_rate_role(slot->info.role)];
        slot->steps_apart = false;
        slot->whole = slt_slot_is_factor(slot) &&
                      (o->options.relora_every > 0 || o->options.refactor_every > 0);
        if (!slot->info.frozen) {
            o->kind->plan(o, slot);
            if (has_masters(o) && slot->info.role != SLT_ROLE_NORM)
                slt_slot_add(slot, "master", SLT_F32, slot->info.rows, slot->info.cols);
        }
    }
    slt_optimizer_find_owners(o);
    for (size_t i = 0; i < o->slots; i++)
        for (int k = 0; k < o->slot[i].states; k++)
            layout_state(o, &o->slot[i], k);
    for (int i = 0; i < 3 && converts(o); i++)
        o->unpacked[i] = slt_memory_tensor(memory, SLT_REGION_WORKSPACE, SLT_F32, 1, RUN);
    if (o->kind->layout != NULL)
        o->kind->layout(o, memory);
}

struct slt_tensor slt_slot_view(const struct slt_optimizer *o, const struct slt_slot *slot,
                                struct slt_tensor part)
{
    const struct slt_param *p = &o->model->param[slot - o->slot];
    if (part.buffer == NULL)
        return part;
    return slt_tensor_view(part.buffer,
                           part.offset + (uint64_t)p->first * slt_dtype_size(part.dtype),
                           part.dtype, p->info.rows, p->info.cols);
}

void slt_optimizer_bind(struct slt_optimizer *o, const struct slt_tensor *grad)
{
    for (size_t i = 0; i < o->slots; i++) {
        struct slt_slot *slot = &o->slot[i];
        slot->param = slt_slot_view(o, slot, o->model->part[slot->part].value);
        slot->grad = slt_slot_view(o, slot, grad[slot->part]);
        slot->master = slt_slot_state(slot, "master");
        slot->rounding = slt_random_key("slt-round-1", slot->info.name, o->seed);
    }
}

void slt_optimizer_start(struct slt_optimizer *o)
{
    for (size_t i = 0; i < o->slots; i++)
        if (o->slot[i].master.buffer != NULL)
            o->model->ops->convert(o->model->ctx, o->slot[i].master,
                                   slt_slot_own(&o->slot[i], o->slot[i].param), NULL);
    if (o->kind->start != NULL)
        o->kind->start(o);
}

void slt_optimizer_free(struct slt_optimizer *o)
{
    free(o->slot);
    free(o->item);
    free(o->load);
    o->load = NULL;
    o->slot = NULL;
    o->item = NULL;
}

// ---- Slots ----

void slt_slot_add(struct slt_slot *slot, const char *suffix, enum slt_dtype dtype, int64_t rows,
                  int64_t cols)
{
    slot->state[slot->states++] = (struct slt_state){suffix, rows, cols, false, {.dtype = dtype}};
}

enum slt_dtype slt_slot_moment_dtype(const struct slt_optimizer *o, const struct slt_slot *slot)
{
    const bool full = slot->info.role == SLT_ROLE_NORM || has_masters(o);
    return full ? o->model->dtype : o->model->weight_dtype;
}

bool slt_slot_has_codes(const struct slt_optimizer *o, int64_t elements)
{
    return slt_optimizer_has(o->id, SLT_TRAIT_CODES) && elements >= SMALL;
}

static int64_t code_blocks(const struct slt_optimizer *o, int64_t elements)
{
    return (elements + o->hyper.block - 1) / o->hyper.block;
}

void slt_slot_add_momentum(const struct slt_optimizer *o, struct slt_slot *slot, int64_t rows,
                           int64_t cols)
{
    const int64_t n = rows * cols;
    slot->moments = 1;
    if (!slt_slot_has_codes(o, n)) {
        slt_slot_add(slot, "momentum_buffer", slt_slot_moment_dtype(o, slot), rows, cols);
        return;
    }
    slt_slot_add(slot, "state1", SLT_U8, rows, cols);
    slt_slot_add(slot, "absmax1", o->model->dtype, 1, code_blocks(o, n));
}

void slt_slot_add_moments(const struct slt_optimizer *o, struct slt_slot *slot, int64_t rows,
                          int64_t cols)
{
    const int64_t n = rows * cols, blocks = code_blocks(o, n);
    const enum slt_dtype real = slt_slot_moment_dtype(o, slot);
    slot->moments = 2;
    if (!slt_slot_has_codes(o, n)) {
        slt_slot_add(slot, "exp_avg", real, rows, cols);
        slt_slot_add(slot, "exp_avg_sq", real, rows, cols);
        return;
    }
    slt_slot_add(slot, "state1", SLT_U8, rows, cols);
    slt_slot_add(slot, "state2", SLT_U8, rows, cols);
    slt_slot_add(slot, "absmax1", o->model->dtype, 1, blocks);
    slt_slot_add(slot, "absmax2", o->model->dtype, 1, blocks);
}

struct slt_adam_item slt_slot_item(const struct slt_slot *slot, struct slt_tensor param,
                                   struct slt_tensor grad)
{
    struct slt_adam_item item = {.param = slt_slot_own(slot, param),
                                 .grad = slt_slot_own(slot, grad),
                                 .first = (uint64_t)slot->own,
                                 .m = slot->state[0].tensor,
                                 .rate = slot->rate,
                                 .rounding = slot->rounding};
    if (param.buffer == slot->param.buffer && param.offset == slot->param.offset)
        item.master = slot->master;
    if (slot->moments > 1)
        item.v = slot->state[1].tensor;
    if (item.m.dtype == SLT_U8) {
        item.m_max = slot->state[slot->moments].tensor;
        if (slot->moments > 1)
            item.v_max = slot->state[slot->moments + 1].tensor;
    }
    return item;
}

// A code relative to a maximum of 0 stands for 0.
void slt_slot_reset_moments(const struct slt_optimizer *o, const struct slt_slot *slot)
{
    const struct slt_model *m = o->model;
    for (int k = 0; k < slot->moments; k++) {
        const bool is_coded = slot->state[k].tensor.dtype == SLT_U8;
        const struct slt_tensor t = slot->state[is_coded ? k + slot->moments : k].tensor;
        if (t.buffer != NULL)
            m->ops->zero(m->ctx, t.buffer, t.offset,
                         (uint64_t)(t.rows * t.cols) * slt_dtype_size(t.dtype));
    }
}

struct slt_tensor slt_slot_state(const struct slt_slot *slot, const char *suffix)
{
    for (int k = 0; k < slot->states; k++)
        if (strcmp(slot->state[k].suffix, suffix) == 0)
            return slot->state[k].tensor;
    return (struct slt_tensor){0};
}

// ---- Weights and moments in BF16 ----

struct slt_tensor slt_optimizer_open(struct slt_optimizer *o, const struct slt_slot *slot)
{
    return slot->master.buffer != NULL ? slot->master : slt_model_unpack(o->model, slot->param);
}

// to = from, the first element of to being element at of its tensor; what names the tensor.
static void store(struct slt_optimizer *o, const struct slt_slot *slot, struct slt_tensor to,
                  struct slt_tensor from, int what, int64_t at, int64_t update)
{
    const struct slt_rounding rounding = {slot->rounding, (uint64_t)update * 4 + (uint64_t)what,
                                          (uint64_t)at};
    o->model->ops->convert(o->model->ctx, to, from, o->hyper.stochastic ? &rounding : NULL);
}

void slt_optimizer_close(struct slt_optimizer *o, const struct slt_slot *slot,
                         struct slt_tensor weights, int64_t update)
{
    if (slot->param.dtype == SLT_BF16)
        store(o, slot, slot->param, weights, 3, 0, update);
}

void slt_optimizer_set(struct slt_optimizer *o, const struct slt_slot *slot, const float *values)
{
    const int64_t n = slot->info.rows * slot->info.cols;
    slt_tensor_write(o->model, slot->param, 0, values, n);
    if (slot->master.buffer != NULL)
        slt_tensor_write(o->model, slot->master, 0, values, n);
}

// Elements [at, at + n) of a contiguous tensor.
static struct slt_tensor range_of(struct slt_tensor t, int64_t at, int64_t n)
{
    if (t.buffer == NULL)
        return t;
    return slt_tensor_view(t.buffer, t.offset + (uint64_t)at * slt_dtype_size(t.dtype), t.dtype, 1,
                           n);
}

void slt_optimizer_adam(struct slt_optimizer *o, const struct slt_slot *slot,
                        const struct slt_adam_item *item, const struct slt_adam *hyper,
                        int64_t update)
{
    const struct slt_model *m = o->model;
    const struct slt_tensor shape = item->grad.buffer != NULL ? item->grad : item->param;
    const int64_t total = shape.rows * shape.cols;
    if (!converts(o)) {
        m->ops->adam_step(m->ctx, item, 1, hyper, m->scalars);
        return;
    }
    // Runs begin with a block of moments.
    const int64_t block = hyper->block, run = RUN / block * block;
    for (int64_t at = 0; at < total; at += run) {
        const int64_t n = total - at < run ? total - at : run;
        const int64_t first = at / block, blocks = (n + block - 1) / block;
        struct slt_adam_item part = {.param = range_of(item->param, at, n),
                                     .grad = range_of(item->grad, at, n),
                                     .m = range_of(item->m, at, n),
                                     .v = range_of(item->v, at, n),
                                     .m_max = range_of(item->m_max, first, blocks),
                                     .v_max = range_of(item->v_max, first, blocks),
                                     .direction = range_of(item->direction, at, n),
                                     .rate = item->rate,
                                     .divisors = item->divisors};
        struct slt_tensor *const stored[3] = {&part.param, &part.m, &part.v};
        struct slt_tensor packed[3];
        for (int i = 0; i < 3; i++) {
            packed[i] = *stored[i];
            if (packed[i].buffer == NULL || packed[i].dtype != SLT_BF16)
                continue;
            if (i == 0 && slot->master.buffer != NULL) {
                *stored[i] = range_of(slot->master, at, n);
                continue;
            }
            *stored[i] = range_of(o->unpacked[i], 0, n);
            m->ops->convert(m->ctx, *stored[i], packed[i], NULL);
        }
        m->ops->adam_step(m->ctx, &part, 1, hyper, m->scalars);
        for (int i = 0; i < 3; i++)
            if (packed[i].buffer != NULL && packed[i].dtype == SLT_BF16)
                store(o, slot, packed[i], *stored[i], i, (int64_t)item->first + at, update);
    }
}

// ---- Steps ----

void slt_optimizer_add(struct slt_optimizer *o, const struct slt_slot *slot,
                       const struct slt_adam_item *item, int64_t update)
{
    if (is_converted(o, slot))
        slt_optimizer_adam(o, slot, item, &o->hyper, update);
    else
        o->item[o->items++] = *item;
}

void slt_optimizer_flush(struct slt_optimizer *o)
{
    o->model->ops->adam_step(o->model->ctx, o->item, o->items, &o->hyper, o->model->scalars);
    o->items = 0;
}

int slt_optimizer_step_moments(struct slt_optimizer *o, int first, int count, int64_t update,
                               struct slt_error *err)
{
    (void)err;
    for (size_t i = 0; i < o->slots; i++) {
        const struct slt_slot *slot = &o->slot[i];
        if (!slt_slot_is_own(slot) || slot->steps_apart || !slt_slot_in(slot, first, count))
            continue;
        const struct slt_adam_item item = slt_slot_item(slot, slot->param, slot->grad);
        slt_optimizer_add(o, slot, &item, update);
    }
    slt_optimizer_flush(o);
    return 0;
}
