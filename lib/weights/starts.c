// Factors of new models by decompositions: of a dense start, or orthonormal ones.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/least.h"
#include "linalg/svd.h"
#include "slt/random.h"
#include "weights/starts.h"

#define STEPS 16384 // of the integral
#define PI    3.14159265358979323846

double slt_start_norm(int64_t m, int64_t n, int64_t r, double deviation)
{
    const double p = (double)slt_least(m, n), lambda = p / (double)(m > n ? m : n);
    const double share = fmin((double)r / p, 1), step = PI / STEPS;
    double theta = 0, reached = 0, more = 0;
    for (int i = 0; i < STEPS && reached < share; i++) {
        const double phi = (i + 0.5) * step, x = 1 + lambda + 2 * sqrt(lambda) * cos(phi);
        more = 2 * sin(phi) * sin(phi) / (PI * x) * step;
        theta += step;
        reached += more;
    }
    if (reached > share) // within the last step
        theta -= step * (reached - share) / more;
    const double energy = (theta - sin(theta) * cos(theta)) / PI;
    return deviation * sqrt((double)m * (double)n * energy);
}

// The stream of a tensor of the linear, which is that of slt_init_write's other values.
static struct slt_random_key key_of(const struct slt_start_linear *l, const char *suffix)
{
    char name[120];
    snprintf(name, sizeof name, "%s.%s", l->name, suffix);
    return slt_random_key("slt-init-1", name, l->config->seed);
}

int slt_start_svd(struct slt_decomposition *d, float *w, const struct slt_start_linear *l,
                  struct slt_error *err)
{
    struct slt_form factors = l->form;
    const struct slt_support none = {.name = l->name, .out = l->out, .in = l->in};
    factors.method = SLT_LOWRANK; // whatever else there is starts by itself
    slt_random_normal(w, key_of(l, "weight"), 0, (size_t)(l->out * l->in),
                      (float)l->config->initializer_range);
    return slt_decompose(d, w, &factors, &none, err);
}

// y (k, n): orthonormal rows.
static int draw_rows(struct slt_matrix y, struct slt_random_key key, struct slt_error *err)
{
    slt_random_normal(y.x, key, 0, (size_t)(y.rows * y.cols), 1);
    return slt_orthonormalize(y, err);
}

int slt_start_orthogonal(struct slt_decomposition *d, const struct slt_start_linear *l,
                         struct slt_error *err)
{
    const int64_t r = l->form.rank, m = l->out, n = l->in;
    const int64_t rows = slt_least(r, n), cols = slt_least(r, m);
    const double norm = slt_start_norm(m, n, r, l->config->initializer_range);
    const double c = sqrt(norm / (l->form.scale * sqrt((double)slt_least(rows, cols))));
    float *turned = malloc((size_t)(cols * m) * sizeof *turned);
    *d = (struct slt_decomposition){.out = m, .in = n};
    d->a = calloc((size_t)(r * n), sizeof *d->a);
    d->b = calloc((size_t)(m * r), sizeof *d->b);
    int rc = 0;
    if (turned == NULL || d->a == NULL || d->b == NULL)
        rc = slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate the factors of '%s'", l->name);
    if (rc == 0 && (rc = draw_rows(slt_matrix(d->a, rows, n), key_of(l, "lora_A"), err)) == 0)
        rc = draw_rows(slt_matrix(turned, cols, m), key_of(l, "lora_B"), err);
    for (int64_t i = 0; rc == 0 && i < rows * n; i++)
        d->a[i] *= (float)c;
    for (int64_t i = 0; rc == 0 && i < cols; i++)
        for (int64_t j = 0; j < m; j++)
            d->b[j * r + i] = (float)c * turned[i * m + j];
    free(turned);
    if (rc != 0)
        slt_decomposition_free(d);
    return rc;
}
