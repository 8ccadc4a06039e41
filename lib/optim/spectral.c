// Orthogonalised momentum: every matrix of the linears moves along O, about U V^T of its momentum
// U Sigma V^T (linalg/orthogonal.h), whose steps are alike in all directions; embedding, head, norms
// and the values of S take Adam's step.
//
//   M = momentum M + G,  O = orthogonal(G + momentum M)                 (Nesterov's form)
//
// muon (Jordan et al. 2024), of each matrix P (m, n) by itself:
//   P -= lr sqrt(max(1, m/n)) O
// spectral, of the factors of W (out, in) = s B A + S, s = alpha/r, whose steps come together
// (after Spectron, arXiv 2602.12429): with the spectral norms |A|, |B|,
//   A -= k O_A,  B -= k O_B,  k = lr sqrt(max(1, out/in)) / (s (|A| + |B|)),
// so that W moves by s |k O_B A + k B O_A| <= lr sqrt(max(1, out/in)), whatever rank and alpha are;
// a matrix without factors moves as with muon.
//
// The norms come from one step of the power iteration in each update, on a vector of r values that
// is kept beside the momentum. muon8bit and spectral8bit keep moments as 8-bit codes.
#include <math.h>

#include "linalg/orthogonal.h"
#include "optim/optimizer.h"

#define SHIFT 1e-6 // of the power iteration, which keeps its vector where a factor is zero

// ---- Which matrices ----

static bool is_matrix(const struct slt_slot *slot)
{
    return slot->info.role == SLT_ROLE_WEIGHT || slt_slot_is_factor(slot);
}

// Whether the factors of a linear step together.
static bool couples(const struct slt_optimizer *o)
{
    return o->id == SLT_OPTIMIZER_SPECTRAL || o->id == SLT_OPTIMIZER_SPECTRAL8BIT;
}

static void plan(const struct slt_optimizer *o, struct slt_slot *slot)
{
    const struct slt_param_info *p = &slot->info;
    if (!is_matrix(slot)) {
        slt_slot_add_moments(o, slot, p->rows, p->cols);
        return;
    }
    slot->steps_apart = slot->whole = true;
    slt_slot_add_momentum(o, slot, p->rows, p->cols);
    if (couples(o) && slt_slot_is_factor(slot))
        slt_slot_add(slot, "singular_vector", SLT_F32, 1, p->form.rank);
}

// ---- Scratch ----

enum {
    DIRECTION, // elements of the largest matrix
    TURN,      // the same
    GRAM,      // the square of its smaller side
    POWER,     // the same
    NORMS,     // of A, of B, and a vector
};

#define NORM_COUNT 2

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void layout(struct slt_optimizer *o, struct slt_memory *memory)
{
    int64_t most = 0, side = 0, longest = 0;
    for (size_t i = 0; i < o->slots; i++) {
        const struct slt_slot *slot = &o->slot[i];
        const int64_t m = slot->info.rows, n = slot->info.cols;
        if (slot->states == 0 || !is_matrix(slot))
            continue;
        most = larger(most, m * n);
        side = larger(side, m < n ? m : n);
        longest = larger(longest, larger(m, n));
    }
    const int64_t need[SLT_OPTIMIZER_SCRATCHES] = {[DIRECTION] = most,
                                                   [TURN] = most,
                                                   [GRAM] = side * side,
                                                   [POWER] = side * side,
                                                   [NORMS] = NORM_COUNT + longest};
    for (int i = 0; i < SLT_OPTIMIZER_SCRATCHES; i++)
        o->scratch[i] = slt_memory_tensor(memory, SLT_REGION_WORKSPACE, SLT_F32, 1, need[i]);
}

// Elements [at, at + n) of a scratch.
static struct slt_tensor piece(struct slt_tensor scratch, int64_t at, int64_t n)
{
    return slt_tensor_view(scratch.buffer, scratch.offset + (uint64_t)at * sizeof(float), SLT_F32,
                           1, n);
}

// ---- Spectral norms ----

// Vectors to begin with are random: a given one might be orthogonal to the first singular vector.
static void start(struct slt_optimizer *o)
{
    float values[256];
    const int64_t run = sizeof values / sizeof *values;
    for (size_t i = 0; i < o->slots; i++) {
        const struct slt_tensor v = slt_slot_state(&o->slot[i], "singular_vector");
        const struct slt_random_key key =
            slt_random_key("slt-spectral-1", o->slot[i].info.name, o->seed);
        for (int64_t at = 0; v.buffer != NULL && at < v.cols; at += run) {
            const int64_t n = v.cols - at < run ? v.cols - at : run;
            slt_random_normal(values, key, (uint64_t)at, (size_t)n, 1);
            slt_tensor_write(o->model, v, at, values, n);
        }
        if (v.buffer != NULL)
            o->model->ops->normalize(o->model->ctx, v, (struct slt_tensor){0});
    }
}

// norm (1, 1) = about the largest singular value of a factor: with v on the side of the rank,
// w = F v, norm = |w|, v = F^T w / |w| + SHIFT v, and that over its length.
static void spectral_norm(struct slt_optimizer *o, const struct slt_slot *slot,
                          struct slt_tensor norm)
{
    const struct slt_model *m = o->model;
    const bool is_a = slot->info.role == SLT_ROLE_LORA_A;
    const struct slt_tensor v = slt_slot_state(slot, "singular_vector");
    const struct slt_tensor f = slt_optimizer_open(o, slot);
    const struct slt_tensor w =
        piece(o->scratch[NORMS], NORM_COUNT, is_a ? slot->info.cols : slot->info.rows);
    m->ops->matmul(m->ctx, w, 0, v, false, f, !is_a, 1);
    m->ops->normalize(m->ctx, w, norm);
    m->ops->matmul(m->ctx, v, SHIFT, w, false, f, is_a, 1);
    m->ops->normalize(m->ctx, v, (struct slt_tensor){0});
}

// ---- Steps ----

// The slot moves by lr rate times its orthogonalised momentum, over the sum of divisors; it decays
// by lr weight_decay.
static void move(struct slt_optimizer *o, const struct slt_slot *slot, double rate,
                 struct slt_tensor divisors, int64_t done)
{
    const struct slt_model *m = o->model;
    const struct slt_param_info *p = &slot->info;
    const struct slt_orthogonal orthogonal = {
        m->ops, m->ctx, o->scratch[TURN], {o->scratch[GRAM], o->scratch[POWER]}};
    struct slt_adam hyper = o->hyper;
    hyper.beta1 = o->options.momentum;
    hyper.nesterov = true;
    hyper.weight_decay /= rate;
    const struct slt_tensor scratch = o->scratch[DIRECTION];
    const struct slt_tensor direction =
        slt_tensor_view(scratch.buffer, scratch.offset, SLT_F32, p->rows, p->cols);
    struct slt_adam_item item = slt_slot_item(slot, direction, slot->grad);
    item.direction = direction;
    slt_optimizer_adam(o, slot, &item, &hyper, done);
    const struct slt_adam_item given = {.param = slot->param,
                                        .master = slot->master,
                                        .direction = slt_orthogonalize(&orthogonal, direction),
                                        .rate = slot->rate * rate * o->options.spectral_lr / o->lr,
                                        .divisors = divisors,
                                        .rounding = slot->rounding};
    slt_optimizer_adam(o, slot, &given, &hyper, done);
}

// sqrt(max(1, m/n))
static double shape_rate(int64_t m, int64_t n)
{
    return m > n ? sqrt((double)m / (double)n) : 1;
}

// A and B of a linear, which follow each other. alpha/r is the model's, whatever r the linear has.
static void move_factors(struct slt_optimizer *o, const struct slt_slot *a, int64_t done)
{
    const struct slt_config *c = &o->model->config;
    const struct slt_slot *b = a + 1;
    const double rate = shape_rate(a->info.out, a->info.in) * (double)c->rank / c->alpha;
    const struct slt_tensor norms = piece(o->scratch[NORMS], 0, NORM_COUNT);
    spectral_norm(o, a, piece(norms, 0, 1));
    spectral_norm(o, b, piece(norms, 1, 1));
    move(o, a, rate, norms, done);
    move(o, b, rate, norms, done);
}

static int step(struct slt_optimizer *o, int first, int count, int64_t done, struct slt_error *err)
{
    for (size_t i = 0; i < o->slots; i++) {
        const struct slt_slot *slot = &o->slot[i];
        if (!slt_slot_is_own(slot) || !slt_slot_in(slot, first, count) || !is_matrix(slot))
            continue;
        if (!couples(o) || !slt_slot_is_factor(slot))
            move(o, slot, shape_rate(slot->info.rows, slot->info.cols), (struct slt_tensor){0},
                 done);
        else if (slot->info.role == SLT_ROLE_LORA_A)
            move_factors(o, slot, done);
    }
    return slt_optimizer_step_moments(o, first, count, done, err);
}

#define TRAITS     (SLT_TRAIT_ORTHOGONAL | SLT_TRAIT_SECOND_MOMENT)
#define ORTHOGONAL .eps = 1e-8, .plan = plan, .layout = layout, .start = start, .step = step
#define CODED      ORTHOGONAL, .traits = TRAITS | SLT_TRAIT_CODES, .decay_last = true

const struct slt_optimizer_kind slt_optimizer_muon = {ORTHOGONAL, .traits = TRAITS,
                                                      .with_codes = SLT_OPTIMIZER_MUON8BIT};
const struct slt_optimizer_kind slt_optimizer_muon8bit = {CODED,
                                                          .with_codes = SLT_OPTIMIZER_MUON8BIT};
const struct slt_optimizer_kind slt_optimizer_spectral = {ORTHOGONAL, .traits = TRAITS,
                                                          .with_codes = SLT_OPTIMIZER_SPECTRAL8BIT};
const struct slt_optimizer_kind slt_optimizer_spectral8bit = {
    CODED, .with_codes = SLT_OPTIMIZER_SPECTRAL8BIT};
