// Learning-rate schedules with linear warm-up.
#include <math.h>

#include "slt/train.h"

static double cosine(double floor_, double x)
{
    return floor_ + (1 - floor_) / 2 * (1 + cos(3.14159265358979323846 * x));
}

double slt_schedule_factor(const struct slt_train_options *o, int64_t t)
{
    const double span = (double)(o->steps - o->warmup), floor_ = o->min_lr_ratio;
    if (t < o->warmup)
        return (double)t / (double)o->warmup;
    const double x = span > 0 ? (double)(t - o->warmup) / span : 0;
    switch (o->schedule) {
    case SLT_SCHEDULE_COSINE:
        return cosine(floor_, x);
    case SLT_SCHEDULE_LINEAR:
        return 1 - (1 - floor_) * x;
    case SLT_SCHEDULE_JAGGED: {
        const int64_t j = o->relora_every > 0 ? t % o->relora_every : t, u = o->relora_warmup;
        if (j >= u || t < o->relora_every || span <= 0)
            return cosine(floor_, x);
        return (double)j / (double)u * cosine(floor_, (double)(t - j + u - o->warmup) / span);
    }
    default:
        return 1;
    }
}
