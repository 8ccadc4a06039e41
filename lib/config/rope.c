// The frequencies of rotary positions, plain and scaled.
#include <math.h>
#include <string.h>

#include "config/rope.h"

#define TWO_PI     6.283185307179586
#define MAX_FACTOR 1e6
#define MAX_LENGTH ((int64_t)1 << 40)

static const char *const names[SLT_ROPE_TYPES] = {"default", "linear", "llama3"};

const char *slt_rope_name(enum slt_rope_type type)
{
    return names[type];
}

bool slt_rope_find(enum slt_rope_type *type, const char *name)
{
    for (int i = 0; i < SLT_ROPE_TYPES; i++) {
        if (strcmp(name, names[i]) == 0) {
            *type = (enum slt_rope_type)i;
            return true;
        }
    }
    return false;
}

static int check_factor(const char *key, double value, struct slt_error *err)
{
    if (value > 0 && value <= MAX_FACTOR)
        return 0;
    return slt_error_set(err, SLT_ERR_RANGE, "rope_scaling.%s %g is outside (0, %g]", key, value,
                         MAX_FACTOR);
}

int slt_rope_check(const struct slt_rope_scaling *s, struct slt_error *err)
{
    int rc = s->type == SLT_ROPE_DEFAULT ? 0 : check_factor("factor", s->factor, err);
    if (rc != 0 || s->type != SLT_ROPE_LLAMA3)
        return rc;
    if ((rc = check_factor("low_freq_factor", s->low_freq_factor, err)) != 0 ||
        (rc = check_factor("high_freq_factor", s->high_freq_factor, err)) != 0)
        return rc;
    if (s->high_freq_factor <= s->low_freq_factor)
        return slt_error_set(err, SLT_ERR_RANGE,
                             "rope_scaling.high_freq_factor %g is not above low_freq_factor %g",
                             s->high_freq_factor, s->low_freq_factor);
    if (s->original_max_position_embeddings < 1 || s->original_max_position_embeddings > MAX_LENGTH)
        return slt_error_set(
            err, SLT_ERR_RANGE,
            "rope_scaling.original_max_position_embeddings %lld is outside [1, %lld]",
            (long long)s->original_max_position_embeddings, (long long)MAX_LENGTH);
    return 0;
}

double slt_rope_plain_frequency(const struct slt_config *c, int64_t i)
{
    return pow(c->rope_theta, -2.0 * (double)i / (double)c->head_dim);
}

static double llama3_frequency(double f, const struct slt_rope_scaling *s)
{
    const double length = (double)s->original_max_position_embeddings, wavelength = TWO_PI / f;
    if (wavelength < length / s->high_freq_factor)
        return f;
    if (wavelength > length / s->low_freq_factor)
        return f / s->factor;
    const double share =
        (length / wavelength - s->low_freq_factor) / (s->high_freq_factor - s->low_freq_factor);
    return (1 - share) * f / s->factor + share * f;
}

double slt_rope_frequency(const struct slt_config *c, int64_t i)
{
    const double f = slt_rope_plain_frequency(c, i);
    switch (c->rope_scaling.type) {
    case SLT_ROPE_LINEAR:
        return f / c->rope_scaling.factor;
    case SLT_ROPE_LLAMA3:
        return llama3_frequency(f, &c->rope_scaling);
    default:
        return f;
    }
}
