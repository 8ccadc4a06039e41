// Learning-rate schedules with linear warm-up.
#include <math.h>

#include "slt/optimizer.h"

static double cosine(double floor_, double x)
{
    return floor_ + (1 - floor_) / 2 * (1 + cos(3.14159265358979323846 * x));
}

double slt_schedule_factor(const struct slt_schedule *s, int64_t steps, int64_t restart_every,
                           int64_t t)
{
    const double span = (double)(steps - s->warmup), floor_ = s->min_lr_ratio;
    if (t < s->warmup)
        return (double)t / (double)s->warmup;
    const double x = span > 0 ? (double)(t - s->warmup) / span : 0;
    switch (s->kind) {
    case SLT_SCHEDULE_COSINE:
        return cosine(floor_, x);
    case SLT_SCHEDULE_LINEAR:
        return 1 - (1 - floor_) * x;
    case SLT_SCHEDULE_WSD: {
        const int64_t into = t - (steps - s->decay_steps);
        return into <= 0 ? 1 : 1 - (1 - floor_) * sqrt((double)into / (double)s->decay_steps);
    }
    case SLT_SCHEDULE_JAGGED: {
        const int64_t j = restart_every > 0 ? t % restart_every : t, u = s->restart_warmup;
        if (j >= u || t < restart_every || span <= 0)
            return cosine(floor_, x);
        return (double)j / (double)u * cosine(floor_, (double)(t - j + u - s->warmup) / span);
    }
    default:
        return 1;
    }
}

int64_t slt_schedule_common(const struct slt_schedule *s, int64_t steps)
{
    return s->kind == SLT_SCHEDULE_CONSTANT ? steps
           : s->kind == SLT_SCHEDULE_WSD    ? steps - s->decay_steps
                                            : 0;
}
