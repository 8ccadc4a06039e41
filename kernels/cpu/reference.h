// The reference backend in double precision: linked into tests only, for gradient checks.
#ifndef SLT_KERNELS_CPU_REFERENCE_H
#define SLT_KERNELS_CPU_REFERENCE_H

#include "kernels/ops.h"

extern const struct slt_ops slt_cpu_reference_f64_ops;

#endif
