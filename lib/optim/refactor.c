// Factors of a product from those that it has: with A = L_A Q_A and B = Q_B^T L_B, Q with
// orthonormal rows, the decomposition of B A is that of the small L_B L_A.
#include <math.h>
#include <stdlib.h>

#include "linalg/svd.h"
#include "optim/refactor.h"

#define LEAST 1e-6 // of singular values, relative to the largest: below, the rank is not r

bool slt_refactor_is_due(const struct slt_optimizer *o, int64_t updates)
{
    const int64_t every = o->options.refactor_every;
    return every > 0 && updates > 0 && updates % every == 0;
}

// The factors of one linear on the host, and what they are taken apart into; all row-major.
struct factors {
    int64_t r, in, out;
    float *a, *b;         // (r, in), (out, r)
    float *q_a, *q_b;     // (r, in), (r, out)
    float *l_a, *l_b, *l; // (r, r): A Q_A^T, (B^T Q_B^T)^T, l_b l_a
    float *u, *sigma, *v; // (r, r), (r), (r, r)
    float *memory;
};

static int allocate(struct factors *f, struct slt_error *err)
{
    const int64_t wide = f->r * f->in, tall = f->r * f->out, small = f->r * f->r;
    f->memory = malloc((size_t)(2 * wide + 2 * tall + 5 * small + f->r) * sizeof(float));
    if (f->memory == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate factors of rank %lld",
                             (long long)f->r);
    float *at = f->memory;
    float **const list[] = {&f->a,   &f->q_a, &f->b, &f->q_b, &f->l_a,
                            &f->l_b, &f->l,   &f->u, &f->v,   &f->sigma};
    const int64_t size[] = {wide, wide, tall, tall, small, small, small, small, small, f->r};
    for (size_t i = 0; i < sizeof list / sizeof *list; at += size[i++])
        *list[i] = at;
    return 0;
}

// u sigma v = l_b l_a.
static int take_apart(struct factors *f, struct slt_error *err)
{
    const int64_t r = f->r;
    for (int64_t i = 0; i < r * f->in; i++)
        f->q_a[i] = f->a[i];
    for (int64_t k = 0; k < r; k++)
        for (int64_t j = 0; j < f->out; j++)
            f->q_b[k * f->out + j] = f->b[j * r + k];
    const struct slt_matrix q_a = slt_matrix(f->q_a, r, f->in);
    const struct slt_matrix q_b = slt_matrix(f->q_b, r, f->out);
    int rc = slt_orthonormalize(q_a, err);
    if (rc != 0 || (rc = slt_orthonormalize(q_b, err)) != 0)
        return rc;
    slt_product(slt_matrix(f->l_a, r, r), 0, slt_matrix(f->a, r, f->in), false, q_a, true, 1);
    slt_product(slt_matrix(f->l_b, r, r), 0, q_b, false, slt_matrix(f->b, f->out, r), false, 1);
    slt_product(slt_matrix(f->l, r, r), 0, slt_matrix(f->l_b, r, r), false,
                slt_matrix(f->l_a, r, r), false, 1);
    return slt_svd(f->u, f->sigma, f->v, slt_matrix(f->l, r, r), err);
}

// b = Q_B^T u sqrt(sigma), a = sqrt(sigma) v Q_A.
static void put_together(struct factors *f)
{
    const int64_t r = f->r;
    for (int64_t i = 0; i < r; i++) {
        const float root = sqrtf(f->sigma[i]);
        for (int64_t j = 0; j < r; j++) {
            f->u[j * r + i] *= root;
            f->v[i * r + j] *= root;
        }
    }
    slt_product(slt_matrix(f->b, f->out, r), 0, slt_matrix(f->q_b, r, f->out), true,
                slt_matrix(f->u, r, r), false, 1);
    slt_product(slt_matrix(f->a, r, f->in), 0, slt_matrix(f->v, r, r), false,
                slt_matrix(f->q_a, r, f->in), false, 1);
}

static struct slt_tensor stored(const struct slt_slot *slot)
{
    return slot->master.buffer != NULL ? slot->master : slot->param;
}

// The linear whose factors are the slots a and a + 1.
static int refactor(struct slt_optimizer *o, const struct slt_slot *a, struct slt_error *err)
{
    const struct slt_slot *b = a + 1;
    struct factors f = {.r = a->info.rows, .in = a->info.cols, .out = b->info.rows};
    // There is no basis of r rows in fewer dimensions.
    if (f.r > f.in || f.r > f.out)
        return 0;
    int rc = allocate(&f, err);
    if (rc != 0)
        return rc;
    slt_tensor_read(o->model, f.a, stored(a), 0, f.r * f.in);
    slt_tensor_read(o->model, f.b, stored(b), 0, f.r * f.out);
    rc = take_apart(&f, err);
    if (rc == 0 && (double)f.sigma[f.r - 1] > LEAST * (double)f.sigma[0]) {
        put_together(&f);
        slt_optimizer_set(o, a, f.a);
        slt_optimizer_set(o, b, f.b);
        slt_slot_reset_moments(o, a);
        slt_slot_reset_moments(o, b);
    }
    free(f.memory);
    return rc == 0 ? 0 : slt_error_prefix(err, rc, "the factors of '%s'", a->info.name);
}

int slt_refactor(struct slt_optimizer *o, struct slt_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < o->slots; i++)
        if (o->slot[i].info.role == SLT_ROLE_LORA_A && slt_slot_is_own(&o->slot[i]))
            rc = refactor(o, &o->slot[i], err);
    return rc == 0 ? o->model->ops->synchronize(o->model->ctx, err) : rc;
}
