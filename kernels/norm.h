// The last step of grad_norm, alike on all devices.
#ifndef SLT_KERNELS_NORM_H
#define SLT_KERNELS_NORM_H

#include <math.h>

#include "core/host_device.h"
#include "kernels/ops.h"

// Sets the scalars that ops.h says grad_norm sets, from the norm of the gradients.
SLT_HOST_DEVICE void slt_norm_finish(double *scalar, double norm)
{
    const double clip = scalar[SLT_SCALAR_CLIP], last = scalar[SLT_SCALAR_LAST_NORM];
    const double by = last > 0 ? last : norm, loss = scalar[SLT_SCALAR_LOSS];
    const bool finite = norm - norm == 0 && loss - loss == 0;
    scalar[SLT_SCALAR_NORM] = norm;
    scalar[SLT_SCALAR_GRAD_SCALE] = clip > 0 && by > clip ? clip / (by + 1e-6) : 1;
    scalar[SLT_SCALAR_SKIP] = finite ? 0 : 1;
    if (finite)
        // One rounding, whatever compiles this.
        scalar[SLT_SCALAR_SQUARES] = fma(norm, norm, scalar[SLT_SCALAR_SQUARES]);
    else
        scalar[SLT_SCALAR_SKIPPED] = 1;
}

#endif
