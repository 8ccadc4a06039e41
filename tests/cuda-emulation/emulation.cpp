// Fibers for the threads of a block, memory and products on the host.
//
// The scheduler resumes the fibers that can go on, in the order asked for, until all have ended. A
// fiber waits at a barrier of the block or of its warp; the last one to arrive lets all go on.
// Fibers that have ended are not waited for. If none can go on, a barrier is not reached by all:
// that is fatal.
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <ucontext.h>
#include <vector>

#include "cublas_v2.h"
#include "cuda_runtime.h"

namespace emulation
{
dim3 block, grid_size, block_size, *thread;

namespace
{
constexpr size_t stack_bytes = 256 << 10;
constexpr unsigned warp_size = 32;

// A fiber starts by its context and goes on by a jump, which asks the kernel for nothing.
struct fiber {
    ucontext_t context;
    jmp_buf jump;
    std::vector<char> stack;
    dim3 index;
    bool started, ended, waiting;
    uint64_t value; // handed to a shuffle
};

struct group { // the threads of a block, or of a warp
    unsigned alive = 0, arrived = 0;
};

std::vector<std::unique_ptr<fiber>> fibers;
unsigned threads, current;
jmp_buf scheduler;
const std::function<void()> *body;
group whole;
std::vector<group> warps;
std::string order; // of the kernel that runs

void resume(fiber &f)
{
    if (_setjmp(scheduler) != 0)
        return;
    if (f.started)
        _longjmp(f.jump, 1);
    f.started = true;
    setcontext(&f.context);
}

void suspend(fiber &f)
{
    if (_setjmp(f.jump) == 0)
        _longjmp(scheduler, 1);
}

// Fibers live for ever and run one kernel's thread after the other.
void fiber_main()
{
    for (;;) {
        (*body)();
        fibers[current]->ended = true;
        suspend(*fibers[current]);
    }
}

void make_fibers(unsigned count)
{
    while (fibers.size() < count) {
        fibers.push_back(std::make_unique<fiber>());
        fiber &f = *fibers.back();
        f.stack.resize(stack_bytes);
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack.data();
        f.context.uc_stack.ss_size = f.stack.size();
        f.context.uc_link = nullptr;
        makecontext(&f.context, fiber_main, 0);
    }
}

void release(group &g, unsigned first, unsigned count)
{
    g.arrived = 0;
    for (unsigned i = first; i < first + count && i < threads; i++)
        fibers[i]->waiting = false;
}

void wait(group &g, unsigned first, unsigned count)
{
    fiber *me = fibers[current].get();
    me->waiting = true;
    if (++g.arrived == g.alive)
        release(g, first, count);
    else
        suspend(*me);
}

// The fibers' numbers in the order that is asked for; random changes from round to round.
const std::vector<unsigned> &round_order()
{
    static std::vector<unsigned> list;
    static uint64_t state = 1;
    list.resize(threads);
    for (unsigned i = 0; i < threads; i++)
        list[i] = order == "reverse" ? threads - 1 - i : i;
    for (unsigned i = threads; order == "random" && i > 1; i--) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        std::swap(list[i - 1], list[(state >> 33) % i]);
    }
    return list;
}

void end_thread(unsigned i)
{
    group &warp = warps[i / warp_size];
    whole.alive--;
    warp.alive--;
    if (whole.arrived > 0 && whole.arrived == whole.alive)
        release(whole, 0, threads);
    if (warp.arrived > 0 && warp.arrived == warp.alive)
        release(warp, i / warp_size * warp_size, warp_size);
}

void run_block()
{
    whole = group{threads, 0};
    warps.assign((threads + warp_size - 1) / warp_size, group{});
    for (unsigned i = 0; i < threads; i++) {
        warps[i / warp_size].alive++;
        fibers[i]->ended = fibers[i]->waiting = false;
        fibers[i]->index = dim3(i % block_size.x, i / block_size.x % block_size.y,
                                i / block_size.x / block_size.y);
    }
    while (whole.alive > 0) {
        bool moved = false;
        for (unsigned i : round_order()) {
            fiber *f = fibers[i].get();
            if (f->ended || f->waiting)
                continue;
            current = i;
            thread = &f->index;
            moved = true;
            resume(*f);
            if (f->ended)
                end_thread(i);
        }
        if (!moved) {
            fprintf(stderr, "a barrier is not reached by all threads of a block\n");
            abort();
        }
    }
}
} // namespace

void barrier()
{
    wait(whole, 0, threads);
}

uint64_t shuffle(uint64_t value, unsigned lane_mask)
{
    const unsigned first = current / warp_size * warp_size, other = current ^ lane_mask;
    group &warp = warps[current / warp_size];
    fibers[current]->value = value;
    wait(warp, first, warp_size);
    const uint64_t result = other < threads ? fibers[other]->value : value;
    wait(warp, first, warp_size); // nobody overwrites what another has yet to read
    return result;
}

void launch(dim3 grid, dim3 size, bool flat, const std::function<void()> &kernel)
{
    const char *name = getenv("SLT_EMULATION_ORDER");
    dim3 index;
    order = name != nullptr ? name : "forward";
    grid_size = grid;
    block_size = size;
    threads = size.x * size.y * size.z;
    body = &kernel;
    if (!flat)
        make_fibers(threads);
    for (block.z = 0; block.z < grid.z; block.z++)
        for (block.y = 0; block.y < grid.y; block.y++)
            for (block.x = 0; block.x < grid.x; block.x++) {
                if (!flat) {
                    run_block();
                    continue;
                }
                thread = &index;
                for (unsigned i : round_order()) {
                    index = dim3(i % size.x, i / size.x % size.y, i / size.x / size.y);
                    kernel();
                }
            }
}
} // namespace emulation

// ---- Runtime ----

static std::map<void *, size_t> allocations;
static size_t allocated;

static size_t setting(const char *name, size_t otherwise)
{
    const char *value = getenv(name);
    return value != nullptr ? strtoull(value, nullptr, 10) : otherwise;
}

static size_t memory()
{
    return setting("SLT_EMULATION_MEMORY", (size_t)1 << 40);
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = (int)setting("SLT_EMULATION_DEVICES", 1);
    return *count > 0 ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaGetDevice(int *device)
{
    *device = 0;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int)
{
    *properties = cudaDeviceProp{"emulated on the CPU", memory(), 9, 0};
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    *stream = stream;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t)
{
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **pointer, size_t bytes)
{
    if (allocated + bytes > memory())
        return cudaErrorMemoryAllocation;
    *pointer = aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (*pointer == nullptr)
        return cudaErrorMemoryAllocation;
    memset(*pointer, 0xff, bytes); // NaN: nobody may count on zeros
    allocations[*pointer] = bytes;
    allocated += bytes;
    return cudaSuccess;
}

cudaError_t cudaFree(void *pointer)
{
    if (pointer == nullptr)
        return cudaSuccess;
    allocated -= allocations.at(pointer);
    allocations.erase(pointer);
    free(pointer);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *all)
{
    *all = memory();
    *available = *all - allocated;
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind)
{
    memcpy(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind, cudaStream_t)
{
    memmove(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind, cudaStream_t)
{
    for (size_t i = 0; i < height; i++)
        memcpy((char *)to + i * to_pitch, (const char *)from + i * from_pitch, width);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t)
{
    memset(to, value, bytes);
    return cudaSuccess;
}

cudaError_t cudaGetLastError()
{
    return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t status)
{
    return status == cudaErrorNoDevice ? "no CUDA-capable device is detected" : "out of memory";
}

// ---- cuBLAS ----

cublasStatus_t cublasCreate(cublasHandle_t *handle)
{
    *handle = handle;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t, cudaStream_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t, void *, size_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

static bool is_reduced;

cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t mode)
{
    is_reduced = mode == CUBLAS_TF32_TENSOR_OP_MATH;
    return CUBLAS_STATUS_SUCCESS;
}

static double factor(float x)
{
    return is_reduced ? (double)__uint_as_float((__float_as_uint(x) + 0x1000u) & ~0x1fffu)
                      : (double)x;
}

cublasStatus_t cublasSgemm(cublasHandle_t, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                           int n, int k, const float *alpha, const float *a, int lda,
                           const float *b, int ldb, const float *beta, float *c, int ldc)
{
    for (int j = 0; j < n; j++)
        for (int i = 0; i < m; i++) {
            double sum = 0;
            for (int p = 0; p < k; p++)
                sum +=
                    factor(op_a == CUBLAS_OP_N ? a[i + (size_t)p * lda] : a[p + (size_t)i * lda]) *
                    factor(op_b == CUBLAS_OP_N ? b[p + (size_t)j * ldb] : b[j + (size_t)p * ldb]);
            float *to = &c[i + (size_t)j * ldc];
            *to = (float)(*alpha * sum) + (*beta == 0 ? 0 : *beta * *to);
        }
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasGetStatusString(cublasStatus_t)
{
    return "no error";
}
