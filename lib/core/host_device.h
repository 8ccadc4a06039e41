// Marks inline functions that the CPU and, compiled by nvcc, a GPU call.
#ifndef SLT_CORE_HOST_DEVICE_H
#define SLT_CORE_HOST_DEVICE_H

#ifdef __CUDACC__
#define SLT_HOST_DEVICE static inline __host__ __device__
#else
#define SLT_HOST_DEVICE static inline
#endif

#endif
