// Learning-rate schedules with linear warm-up.
#include <math.h>

#include "slt/train.h"

double slt_schedule_factor(const struct slt_train_options *o, int64_t t)
{
    if (t < o->warmup)
        return (double)t / (double)o->warmup;
    const double span = (double)(o->steps - o->warmup);
    const double x = span > 0 ? (double)(t - o->warmup) / span : 0;
    const double floor_ = o->min_lr_ratio;
    switch (o->schedule) {
    case SLT_SCHEDULE_COSINE:
        return floor_ + (1 - floor_) / 2 * (1 + cos(3.14159265358979323846 * x));
    case SLT_SCHEDULE_LINEAR:
        return 1 - (1 - floor_) * x;
    default:
        return 1;
    }
}
