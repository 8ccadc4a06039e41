// A device that computes: the CPU, its plain reference, or a GPU through a backend opened at run
// time.
#ifndef SLT_DEVICE_H
#define SLT_DEVICE_H

#include <stdint.h>

#include "slt/error.h"

struct slt_device;

// name: "cpu", "cpu-reference" (plain loops, for comparisons), "cuda", or "auto" (the best there
// is); "cpu:ISA" for the operations of an instruction set (avx512, avx2 or plain), "cuda:N" for GPU
// number N as CUDA counts them from 0. threads: of the CPU, 0 for all. Its worker threads take no signals, and a program's handlers
// must run on a stack of their own (sigaltstack, SA_ONSTACK): the generated code of products
// demands it. SLT_ERR_DEVICE with the reason if it cannot be used.
SLT_API int slt_device_open(struct slt_device **device, const char *name, int threads,
                            struct slt_error *err) SLT_CHECK_RESULT;
// As slt_device_open, for one of several processes of a host: of its GPUs, if name has no number, the
// one whose turn it is, from 0 on and around.
SLT_API int slt_device_open_turn(struct slt_device **device, const char *name, int threads,
                                 int turn, struct slt_error *err) SLT_CHECK_RESULT;
// As slt_device_open, for plans only: a GPU need not be there, and nothing can be computed. bytes: of
// its memory, 0: not known.
SLT_API int slt_device_open_to_plan(struct slt_device **device, const char *name, int threads,
                                    uint64_t bytes, struct slt_error *err) SLT_CHECK_RESULT;
// Bytes that a run may allocate on the device now, and that it has in all; UINT64_MAX where that is
// not known (a CPU).
SLT_API uint64_t slt_device_available(const struct slt_device *device);
SLT_API uint64_t slt_device_memory(const struct slt_device *device);
// "cpu", "cpu-reference" or "cuda": what "auto" has become, too.
SLT_API const char *slt_device_name(const struct slt_device *device);
// One line for people: name, instruction set, threads. Owned by the device.
SLT_API const char *slt_device_describe(const struct slt_device *device);
// The UUID of a GPU, as nvidia-smi -L shows it; else empty. Owned by the device.
SLT_API const char *slt_device_place(const struct slt_device *device);
SLT_API void slt_device_close(struct slt_device *device);

#endif
