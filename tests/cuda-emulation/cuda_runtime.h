// CUDA on a CPU, for tests: enough of the runtime and of device code to compile kernels/cuda as
// host C++ and run it (emulation.cpp). The threads of a block are fibers; one block runs at a time.
// A barrier or shuffle hands over to the next fiber in the order that SLT_EMULATION_ORDER names:
// forward, reverse or random. Code that needs a barrier it does not have gives other results in
// another order.
#ifndef SLT_TESTS_CUDA_RUNTIME_H
#define SLT_TESTS_CUDA_RUNTIME_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__      static
#define __align__(n)    __attribute__((aligned(n)))
#define __launch_bounds__(...)
#define __grid_constant__

using std::isfinite;
using std::signbit;

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c)
    {
    }
};

// ---- Device ----

namespace emulation
{
extern dim3 block, grid_size, block_size; // of the block that runs
extern dim3 *thread;                      // of the fiber that runs
void barrier();
void warp_barrier();
uint64_t shuffle(uint64_t value, unsigned lane_mask); // the value of the lane at xor of lane_mask
// What each lane of the warp shows: valid until exchanged is called, which all of them do.
void exchange(const void *mine, const void **all);
void exchanged();
void launch(const char *what, dim3 grid, dim3 block, bool flat,
            const std::function<void()> &kernel);
// A thread moves so many bytes of global or shared memory: for code that stands for an instruction,
// and is UNCOUNTED itself (counters.cpp).
void count_access(const void *at, unsigned bytes, bool writes);
#define UNCOUNTED __attribute__((no_sanitize_thread, noinline))
void forget(const void *from, uint64_t bytes);
// Runs what a stream is asked for, or records it between the calls of a capture.
void submit(std::function<void()> work);

template <class T> T shuffle_xor(T value, unsigned lane_mask)
{
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    bits = shuffle(bits, lane_mask);
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
} // namespace emulation

#define blockIdx  emulation::block
#define gridDim   emulation::grid_size
#define blockDim  emulation::block_size
#define threadIdx (*emulation::thread)

#define __syncthreads()                    emulation::barrier()
#define __syncwarp()                       emulation::warp_barrier()
#define __shfl_xor_sync(mask, value, lane) emulation::shuffle_xor(value, lane)

static inline float __uint_as_float(uint32_t bits)
{
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t __float_as_uint(float value)
{
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

namespace emulation
{
// As a launch does: the arguments are converted and copied now, the kernel runs when its turn
// comes.
template <class... P, class... A>
void start(const char *what, void (*kernel)(P...), dim3 grid, dim3 block, bool flat, A... arguments)
{
    const std::tuple<P...> copies(static_cast<P>(arguments)...);
    submit([=]() { launch(what, grid, block, flat, [&]() { std::apply(kernel, copies); }); });
}
} // namespace emulation

#define SLT_LAUNCH(ctx, kernel, grid, block, ...)                                                  \
    ((void)(ctx), emulation::start(#kernel, kernel, grid, block, false, __VA_ARGS__))
#define SLT_LAUNCH_FLAT(ctx, kernel, grid, block, ...)                                             \
    ((void)(ctx), emulation::start(#kernel, kernel, grid, block, true, __VA_ARGS__))

// What lies there counts as never written (counters.cpp), when its turn comes.
#define CUDA_FORGET(from, bytes) emulation::forget(from, bytes)

// ---- Runtime ----

typedef enum {
    cudaSuccess = 0,
    cudaErrorMemoryAllocation = 2,
    cudaErrorNotReady = 600,
    cudaErrorLaunchFailure = 719,
    cudaErrorNoDevice = 100
} cudaError_t;
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
// All streams are one queue. Other libraries reach it through them: their work gets on whenever it is
// called, and returns whether it is done.
struct emulated_stream {
    void (*submit)(std::function<bool()> work);
};
typedef struct emulated_stream *cudaStream_t;
typedef void *cudaEvent_t;
enum { cudaEventDisableTiming = 2, cudaStreamNonBlocking = 1 };
typedef struct emulated_graph *cudaGraph_t, *cudaGraphExec_t;
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal };

struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
    int major, minor;
    struct {
        char bytes[16];
    } uuid;
};

// SLT_EMULATION_DEVICES and SLT_EMULATION_MEMORY (bytes) say what machine it is: one device without
// a limit if they are not set. SLT_EMULATION_BREAKS says which wait for it finds it broken.
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaStreamCreate(cudaStream_t *stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaStreamQuery(cudaStream_t stream);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaMallocHost(void **pointer, size_t bytes);
cudaError_t cudaFreeHost(void *pointer);
cudaError_t cudaMalloc(void **pointer, size_t bytes);
cudaError_t cudaFree(void *pointer);
cudaError_t cudaMemGetInfo(size_t *available, size_t *all);
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph,
                                 unsigned long long flags);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaGetLastError();
const char *cudaGetErrorString(cudaError_t status);

#include "emulated_mma.h"

#endif
