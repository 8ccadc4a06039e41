// A device that computes: the CPU, its plain reference, or a GPU through a backend opened at run
// time.
#ifndef SLT_DEVICE_H
#define SLT_DEVICE_H

#include <stdint.h>

#include "slt/error.h"

struct slt_device;

// name: "cpu", "cpu-reference" (plain loops, for comparisons), "cuda", or "auto" (the best there
// is). threads: of the CPU, 0 for all. Its worker threads take no signals, and a program's handlers
// must run on a stack of their own (sigaltstack, SA_ONSTACK): the generated code of products
// demands it. SLT_ERR_DEVICE with the reason if it cannot be used.
SLT_API int slt_device_open(struct slt_device **device, const char *name, int threads,
                            struct slt_error *err) SLT_CHECK_RESULT;
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
SLT_API void slt_device_close(struct slt_device *device);

#endif
