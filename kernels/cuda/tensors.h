// Launches over the elements of many tensors: the list of them is an argument of the kernel, and
// each block finds its own there.
#ifndef SLT_KERNELS_CUDA_TENSORS_H
#define SLT_KERNELS_CUDA_TENSORS_H

#include "kernels/cuda/cuda.h"

#define CUDA_ARGUMENT_BYTES 4096 // what all arguments of a launch may take

// Which of count tensors this block belongs to: the last one that begins at it or before. first
// (count): the blocks before those of each tensor.
static __device__ __forceinline__ int cuda_tensor_of_block(const unsigned *first, int count)
{
    int k = 0;
    for (int above = count; above - k > 1;) {
        const int middle = (k + above) / 2;
        if (first[middle] <= blockIdx.x)
            k = middle;
        else
            above = middle;
    }
    return k;
}

#endif
