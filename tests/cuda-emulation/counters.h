// What kernels ask of memory, counted while they run in the emulation, and reads of memory that
// nobody has written found: see counters.cpp.
#ifndef SLT_TESTS_CUDA_COUNTERS_H
#define SLT_TESTS_CUDA_COUNTERS_H

#include "cuda_runtime.h"

namespace emulation
{
// A kernel begins, one of its blocks is about to run or has run, the kernel has ended.
void count_kernel(const char *name, uint64_t blocks);
void count_block(uint64_t number);
void count_block_end();
void count_kernel_end();
// Something beside kernels that was launched: a product, a copy.
void count_other(const char *name);
// Device memory that there is from now on, that there is no longer; that was written from outside,
// or is about to be read there.
void count_memory(const void *memory, size_t bytes);
void count_no_memory(const void *memory);
void count_written(const void *memory, size_t bytes);
void count_read(const void *memory, size_t bytes, const char *by);
} // namespace emulation

#endif
