// Energies and ranks of a spectrum; quantiles of magnitudes by sorting their bits.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "linalg/spectrum.h"

// The least number of leading values with this share of the energy; 0 if they are not all there.
static int64_t rank_for(const struct slt_spectrum *s, double square, double share)
{
    double sum = 0;
    for (int64_t i = 0; square > 0 && i < s->count; i++) {
        sum += s->value[i] * s->value[i];
        if (sum >= share * square)
            return i + 1;
    }
    return 0;
}

void slt_spectrum_measure(struct slt_spectrum *s, double square, int64_t rank)
{
    double sum = 0, leading = 0, entropy = 0;
    for (int64_t i = 0; i < s->count; i++) {
        sum += s->value[i];
        leading += i < rank ? s->value[i] * s->value[i] : 0;
    }
    for (int64_t i = 0; i < s->count; i++)
        if (s->value[i] > 0)
            entropy -= s->value[i] / sum * log(s->value[i] / sum);
    // Rounding may lift a share just above what it can be.
    const double share = square > 0 ? leading / square : 0;
    s->frobenius = sqrt(square);
    s->error = s->error < s->frobenius ? s->error : s->frobenius; // no value is above it
    s->energy_at_rank = share < 1 ? share : 1;
    s->effective_rank = s->error > 0 ? NAN : sum > 0 ? exp(entropy) : 0;
    s->stable_rank = s->count > 0 && s->value[0] > 0 ? square / (s->value[0] * s->value[0]) : 0;
    s->rank_90 = rank_for(s, square, 0.9);
    s->rank_99 = rank_for(s, square, 0.99);
}

// ---- Magnitudes ----

enum { DIGIT = 11, DIGITS = 1 << DIGIT };

// Sorts n keys of 31 bits by three digits; other is scratch (n). The sorted ones are in *keys.
static void sort_bits(uint32_t **keys, uint32_t **other, int64_t n)
{
    for (int shift = 0; shift < 31; shift += DIGIT) {
        int64_t start[DIGITS + 1] = {0};
        for (int64_t i = 0; i < n; i++)
            start[((*keys)[i] >> shift & (DIGITS - 1)) + 1]++;
        for (int d = 0; d < DIGITS; d++)
            start[d + 1] += start[d];
        for (int64_t i = 0; i < n; i++)
            (*other)[start[(*keys)[i] >> shift & (DIGITS - 1)]++] = (*keys)[i];
        uint32_t *const swap = *keys;
        *keys = *other;
        *other = swap;
    }
}

static double value_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

int slt_magnitudes_measure(double *magnitude, double *below, const float *x, int64_t n,
                           double cutoff, struct slt_error *err)
{
    uint32_t *keys = malloc((size_t)n * sizeof *keys), *other = malloc((size_t)n * sizeof *other);
    int64_t count = 0;
    if (keys == NULL || other == NULL) {
        free(keys);
        free(other);
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate %lld magnitudes", (long long)n);
    }
    for (int64_t i = 0; i < n; i++) {
        memcpy(&keys[i], &x[i], sizeof *keys);
        keys[i] &= 0x7fffffffu; // the bits of |x| ascend as |x| does
        count += fabs((double)x[i]) <= cutoff;
    }
    sort_bits(&keys, &other, n);
    for (int i = 0; i <= SLT_INSPECT_SHARES; i++)
        magnitude[i] = value_of(keys[(n - 1) * i / SLT_INSPECT_SHARES]);
    *below = (double)count / (double)n;
    free(keys);
    free(other);
    return 0;
}
