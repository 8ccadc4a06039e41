// Linears of a checkpoint under the singular value decomposition, one at a time: not every BLAS may
// be called by two threads at once.
#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/least.h"
#include "files/param_tensors.h"
#include "linalg/spectrum.h"
#include "linalg/svd.h"
#include "weights/dense.h"

#define MARGIN 16 // vectors that the range finder keeps besides
#define POWER  4  // its power steps

// What is looked at, how, and who is told.
struct request {
    struct slt_checkpoint_reader *reader;
    const struct slt_inspect_options *options;
    int64_t rank; // of what is taken out of linears without factors, if none is asked for
    int (*on_linear)(void *user, const struct slt_inspection *inspection, struct slt_error *err);
    void *user;
};

// One linear.
struct job {
    const struct request *request;
    struct slt_dense_linear linear;
    struct slt_inspection result;
    float *weight, *rest, *u, *sigma, *v; // rest is scratch until it is the residual
};

static double square_of(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

// The spectrum of the matrix in rest, which is lost; with vectors into u and v.
static int take_spectrum(struct job *j, struct slt_spectrum *s, bool vectors, struct slt_error *err)
{
    const struct slt_inspection *r = &j->result;
    const int64_t k = slt_least(r->out, r->in), wanted = slt_least(r->rank + MARGIN, k) - MARGIN;
    const double square = square_of(j->rest, r->out * r->in);
    const struct slt_inspect_options *options = j->request->options;
    const bool randomized = options->randomized && wanted > 0 && wanted + MARGIN < k;
    const struct slt_matrix rest = slt_matrix(j->rest, r->out, r->in);
    const struct slt_range_finder finder = {
        wanted, MARGIN, POWER, slt_random_key("slt-inspect-1", r->name, options->seed)};
    int rc = randomized
                 ? slt_svd_leading(j->u, j->sigma, j->v, &s->error, rest, &finder, err)
                 : slt_svd(vectors ? j->u : NULL, j->sigma, vectors ? j->v : NULL, rest, err);
    if (rc != 0)
        return rc;
    s->count = randomized ? wanted : k;
    s->value = malloc((size_t)s->count * sizeof *s->value);
    if (s->value == NULL)
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a spectrum");
    for (int64_t i = 0; i < s->count; i++)
        s->value[i] = (double)j->sigma[i];
    slt_spectrum_measure(s, square, r->rank);
    return 0;
}

// share (w.count): u_i^T M v_i of the part M in rest; p (w.count, in) is scratch.
static void split_values(const struct job *j, double *share, float *p)
{
    const struct slt_inspection *r = &j->result;
    const int64_t k = r->w.count, n = r->in;
    slt_product(slt_matrix(p, k, n), 0, slt_matrix(j->u, r->out, k), true,
                slt_matrix(j->rest, r->out, n), false, 1);
    for (int64_t i = 0; i < k; i++) {
        share[i] = 0;
        for (int64_t c = 0; c < n; c++)
            share[i] += (double)p[i * n + c] * (double)j->v[i * n + c];
    }
}

// Shares of S, which is in rest; p = U^T S (w.count, in) as split_values left it, q scratch
// (out, r).
static void measure_overlap(struct job *j, float *p, float *q)
{
    struct slt_inspection *r = &j->result;
    const int64_t k = slt_least(r->rank, r->w.count);
    const struct slt_matrix v = slt_matrix(j->v, k, r->in);
    const double all = square_of(j->rest, r->out * r->in);
    r->s_left = all > 0 ? square_of(p, k * r->in) / all : NAN;
    slt_product(slt_matrix(q, r->out, k), 0, slt_matrix(j->rest, r->out, r->in), false, v, true, 1);
    r->s_right = all > 0 ? square_of(q, r->out * k) / all : NAN;
    slt_product(slt_matrix(q, k, k), 0, slt_matrix(p, k, r->in), false, v, true, 1);
    r->s_both = all > 0 ? square_of(q, k * k) / all : NAN;
}

// What B A and S are worth in W's spectrum, then their own spectra.
static int inspect_parts(struct job *j, struct slt_error *err)
{
    struct slt_inspection *r = &j->result;
    const size_t k = (size_t)r->w.count;
    float *p = malloc((k * (size_t)r->in + (size_t)r->out * (size_t)r->rank) * sizeof *p);
    r->w_ba = malloc(k * sizeof *r->w_ba);
    r->w_s = malloc(k * sizeof *r->w_s);
    int rc = p != NULL && r->w_ba != NULL && r->w_s != NULL
                 ? 0
                 : slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the parts of a spectrum");
    if (rc == 0) {
        slt_dense_merge(j->rest, &j->linear, SLT_DENSE_BA);
        split_values(j, r->w_ba, p);
        slt_dense_merge(j->rest, &j->linear, SLT_DENSE_S);
        split_values(j, r->w_s, p);
        if (j->linear.values != NULL)
            measure_overlap(j, p, p + k * (size_t)r->in);
    }
    free(p);
    return rc;
}

static int inspect_spectra_of_parts(struct job *j, struct slt_error *err)
{
    struct slt_inspection *r = &j->result;
    int rc = 0;
    if (j->linear.a != NULL) {
        slt_dense_merge(j->rest, &j->linear, SLT_DENSE_BA);
        rc = take_spectrum(j, &r->ba, false, err);
    }
    if (rc == 0 && j->linear.values != NULL) {
        slt_dense_merge(j->rest, &j->linear, SLT_DENSE_S);
        rc = take_spectrum(j, &r->s, false, err);
    }
    return rc;
}

// R = W - U_r diag(sigma_r) V_r into rest; u is spent. What the best approximation leaves has the
// energy of the values behind the rank, exactly so, which the difference of two sums would blur.
static int take_residual(struct job *j, struct slt_error *err)
{
    struct slt_inspection *r = &j->result;
    const int64_t k = r->w.count, used = slt_least(r->rank, k), n = r->out * r->in;
    for (int64_t i = 0; i < r->out; i++)
        for (int64_t c = 0; c < used; c++)
            j->u[i * used + c] = j->u[i * k + c] * (float)r->w.value[c];
    memcpy(j->rest, j->weight, (size_t)n * sizeof *j->rest);
    slt_product(slt_matrix(j->rest, r->out, r->in), 1, slt_matrix(j->u, r->out, used), false,
                slt_matrix(j->v, used, r->in), false, -1);
    const double all = square_of(j->weight, n);
    r->residual.share = all > 0 ? square_of(j->rest, n) / all : 0;
    r->weight = j->weight;
    r->rest = j->rest;
    return slt_magnitudes_measure(r->residual.magnitude, &r->residual.below, j->rest, n,
                                  j->request->options->cutoff, err);
}

static int allocate(struct job *j, struct slt_error *err)
{
    const struct slt_inspection *r = &j->result;
    const size_t n = (size_t)(r->out * r->in), k = (size_t)slt_least(r->out, r->in);
    j->weight = malloc(n * sizeof *j->weight);
    j->rest = malloc(n * sizeof *j->rest);
    j->u = malloc((size_t)r->out * k * sizeof *j->u);
    j->v = malloc((size_t)r->in * k * sizeof *j->v);
    j->sigma = malloc(k * sizeof *j->sigma);
    if (j->weight != NULL && j->rest != NULL && j->u != NULL && j->v != NULL && j->sigma != NULL)
        return 0;
    return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the SVD of '%s'", r->name);
}

static int work(struct job *j, struct slt_error *err)
{
    struct slt_inspection *r = &j->result;
    const struct slt_dense_linear *l = &j->linear;
    *r = (struct slt_inspection){.name = l->name, .out = l->out, .in = l->in, .nnz = l->nnz};
    const int64_t wanted = j->request->options->rank,
                  own = l->rank > 0 ? l->rank : j->request->rank;
    r->rank = slt_least(wanted > 0 ? wanted : own, slt_least(r->out, r->in));
    int rc = allocate(j, err);
    if (rc != 0)
        return rc;
    slt_dense_merge(j->weight, l, SLT_DENSE_ALL);
    memcpy(j->rest, j->weight, (size_t)(r->out * r->in) * sizeof *j->rest);
    rc = take_spectrum(j, &r->w, true, err);
    if (rc == 0 && l->a != NULL)
        rc = inspect_parts(j, err);
    // The range finder uses u and v for every spectrum: the residual comes before those of the
    // parts.
    if (rc == 0)
        rc = take_residual(j, err);
    if (rc == 0 && l->a != NULL) {
        float *const residual = j->rest;
        j->rest = malloc((size_t)(r->out * r->in) * sizeof *j->rest);
        rc = j->rest == NULL
                 ? slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the SVD of '%s'", r->name)
                 : inspect_spectra_of_parts(j, err);
        free(j->rest);
        j->rest = residual;
    }
    return rc == 0 ? 0 : slt_error_prefix(err, rc, "'%s'", l->name);
}

static void release(struct job *j)
{
    struct slt_inspection *r = &j->result;
    free(r->w.value);
    free(r->ba.value);
    free(r->s.value);
    free(r->w_ba);
    free(r->w_s);
    free(j->weight);
    free(j->rest);
    free(j->u);
    free(j->sigma);
    free(j->v);
    slt_dense_free(&j->linear);
}

// ---- The file ----

// The linear whose first parameter is param, which has *taken of them, if the pattern matches it.
static int inspect_linear(const struct request *q, const struct slt_param_info *param,
                          size_t *taken, bool *matched, struct slt_error *err)
{
    const char *pattern = q->options->linears;
    struct job j = {.request = q};
    int rc = slt_dense_read(&j.linear, taken, param, q->reader, err);
    if (rc != 0)
        return rc;
    *matched = pattern == NULL || fnmatch(pattern, j.linear.name, 0) == 0;
    if (*matched && (rc = work(&j, err)) == 0)
        rc = q->on_linear(q->user, &j.result, err);
    release(&j);
    return rc;
}

int slt_inspect(struct slt_checkpoint_reader *reader, const struct slt_inspect_options *options,
                int (*on_linear)(void *user, const struct slt_inspection *inspection,
                                 struct slt_error *err),
                void *user, struct slt_error *err)
{
    const struct slt_config *c = slt_checkpoint_config(reader);
    const struct request q = {.reader = reader,
                              .options = options,
                              .rank = c->rank > 0 ? c->rank : c->hidden_size / 4,
                              .on_linear = on_linear,
                              .user = user};
    struct slt_param_info *params;
    size_t count, taken;
    bool matched, any = false;
    int rc = slt_config_params(c, &params, &count, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < count; i += taken) {
        taken = 1;
        matched = false;
        if ((rc = slt_error_stopped(options->stop, err)) != 0)
            break;
        if (params[i].group < 0)
            rc = slt_param_expect(reader, &params[i], err);
        else
            rc = inspect_linear(&q, &params[i], &taken, &matched, err);
        any |= matched;
    }
    free(params);
    if (rc == 0 && (rc = slt_checkpoint_verify(reader, err)) == 0 && !any)
        rc = slt_error_set(err, SLT_ERR_RANGE, "no linear's name matches '%s'", options->linears);
    return rc;
}
