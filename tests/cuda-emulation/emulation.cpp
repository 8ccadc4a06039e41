// Fibers for the threads of a block, streams and memory on the host.
//
// The scheduler lets a warp run as far as it gets, then the next one, in the order asked for, until
// all have ended: what a warp reads of another's needs a barrier between. A fiber waits at a
// barrier of the block or of its warp; the last one to arrive lets all go on. Fibers that have
// ended are not waited for. If none can go on, a barrier is not reached by all: that is fatal.
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <sched.h>
#include <string>
#include <ucontext.h>
#include <vector>

#include "counters.h"
#include "cuda_runtime.h"

// Beside shared memory, which kernels have among the data of this file's neighbours, these are no
// memory that a kernel could count as its own.
#define EMULATION_STATE __attribute__((section(".data.emulation")))

namespace emulation
{
EMULATION_STATE dim3 block(0), grid_size(0), block_size(0), *thread = nullptr;

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
    uint64_t value;    // handed to a shuffle
    const void *shown; // to an exchange
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

uint64_t random_number(uint64_t below)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
}

// The numbers [0, count) in the order that is asked for; random changes from call to call.
void put_in_order(std::vector<unsigned> &list, unsigned count)
{
    list.resize(count);
    for (unsigned i = 0; i < count; i++)
        list[i] = order == "reverse" ? count - 1 - i : i;
    for (unsigned i = count; order == "random" && i > 1; i--)
        std::swap(list[i - 1], list[random_number(i)]);
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

// Lets every thread of a warp that can go on do so once; false if none could.
bool run_warp(unsigned w)
{
    const unsigned first = w * warp_size, count = std::min(warp_size, threads - first);
    static std::vector<unsigned> list;
    bool moved = false;
    put_in_order(list, count);
    for (unsigned k = 0; k < count; k++) {
        const unsigned i = first + list[k];
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
    return moved;
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
    std::vector<unsigned> list;
    while (whole.alive > 0) {
        bool moved = false;
        put_in_order(list, (unsigned)warps.size());
        for (unsigned w : list)
            for (uint64_t turns = order == "random" ? random_number(4) : UINT64_MAX;
                 turns > 0 && run_warp(w); turns--)
                moved = true;
        if (!moved && order == "random") // perhaps nobody had a turn
            for (unsigned w : list)
                moved |= run_warp(w);
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

void warp_barrier()
{
    wait(warps[current / warp_size], current / warp_size * warp_size, warp_size);
}

void exchange(const void *mine, const void **all)
{
    const unsigned first = current / warp_size * warp_size;
    fibers[current]->shown = mine;
    warp_barrier();
    for (unsigned i = 0; i < warp_size; i++)
        all[i] = fibers[first + i]->shown;
}

void exchanged()
{
    warp_barrier();
}

uint64_t shuffle(uint64_t value, unsigned lane_mask)
{
    const unsigned other = current ^ lane_mask;
    fibers[current]->value = value;
    warp_barrier();
    const uint64_t result = other < threads ? fibers[other]->value : value;
    warp_barrier(); // nobody overwrites what another has yet to read
    return result;
}

std::deque<copy> &copies()
{
    static std::vector<std::deque<copy>> all(1024);
    return all[threadIdx.x];
}

void launch(const char *what, dim3 grid, dim3 size, bool flat, const std::function<void()> &kernel)
{
    const char *name = getenv("SLT_EMULATION_ORDER");
    uint64_t number = 0;
    std::vector<unsigned> list;
    dim3 index;
    order = name != nullptr ? name : "forward";
    grid_size = grid;
    block_size = size;
    threads = size.x * size.y * size.z;
    body = &kernel;
    if (!flat)
        make_fibers(threads);
    count_kernel(what, (uint64_t)grid.x * grid.y * grid.z);
    for (block.z = 0; block.z < grid.z; block.z++)
        for (block.y = 0; block.y < grid.y; block.y++)
            for (block.x = 0; block.x < grid.x; block.x++) {
                count_block(number++);
                if (!flat)
                    run_block();
                thread = flat ? &index : nullptr;
                put_in_order(list, flat ? threads : 0);
                for (unsigned i : list) {
                    index = dim3(i % size.x, i / size.x % size.y, i / size.x / size.y);
                    kernel();
                }
                count_block_end();
            }
    count_kernel_end();
}

// ---- Streams ----

using work = std::function<bool()>; // gets on, and says whether it is done

static std::vector<work> *recorded; // of the capture that goes on
static std::deque<work> queued;     // that nobody has waited for

// Nothing runs before somebody waits for it: what the host changes or frees too early, where a
// stream may still read it, is found out.
static void submit_work(work w)
{
    if (recorded != nullptr)
        recorded->push_back(std::move(w));
    else
        queued.push_back(std::move(w));
}

void submit(std::function<void()> w)
{
    submit_work([w = std::move(w)]() {
        w();
        return true;
    });
}

// Runs what does not wait for other processes. Returns whether nothing is left.
static bool run_ready()
{
    while (!queued.empty() && queued.front()())
        queued.pop_front();
    return queued.empty();
}

static void run_queued()
{
    while (!run_ready())
        sched_yield();
}

// What may not happen while operations are recorded.
static void forbid(const char *what)
{
    if (recorded != nullptr) {
        fprintf(stderr, "%s while operations are recorded\n", what);
        abort();
    }
}
} // namespace emulation

using emulation::forbid;
using emulation::run_queued;
using emulation::submit;

struct emulated_graph {
    std::vector<emulation::work> work;
};

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode)
{
    forbid("a capture");
    emulation::recorded = new std::vector<emulation::work>;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *graph)
{
    *graph = new emulated_graph{std::move(*emulation::recorded)};
    delete emulation::recorded;
    emulation::recorded = nullptr;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    *exec = new emulated_graph(*graph);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t)
{
    for (const emulation::work &w : exec->work)
        emulation::submit_work(w);
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete exec;
    return cudaSuccess;
}

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

cudaError_t cudaSetDevice(int)
{
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device)
{
    *properties = cudaDeviceProp{"emulated on the CPU", memory(), 9, 0, {{(char)device}}};
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = 13000;
    return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    static struct emulated_stream queue = {emulation::submit_work};
    *stream = &queue;
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
    return cudaStreamCreate(stream);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned)
{
    return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t)
{
    forbid("a look");
    return emulation::run_ready() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaStreamDestroy(cudaStream_t)
{
    run_queued();
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    static size_t waits;
    forbid("a wait");
    run_queued();
    return ++waits == setting("SLT_EMULATION_BREAKS", 0) ? cudaErrorLaunchFailure : cudaSuccess;
}

// An event is done once all that was queued is.
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned)
{
    *event = event;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t)
{
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t)
{
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t)
{
    return cudaStreamSynchronize(nullptr);
}

cudaError_t cudaMalloc(void **pointer, size_t bytes)
{
    forbid("an allocation");
    if (allocated + bytes > memory())
        return cudaErrorMemoryAllocation;
    *pointer = aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (*pointer == nullptr)
        return cudaErrorMemoryAllocation;
    memset(*pointer, 0xff, bytes); // NaN: nobody may count on zeros
    allocations[*pointer] = bytes;
    emulation::count_memory(*pointer, bytes);
    allocated += bytes;
    return cudaSuccess;
}

cudaError_t cudaFree(void *pointer)
{
    if (pointer == nullptr)
        return cudaSuccess;
    run_queued();
    allocated -= allocations.at(pointer);
    allocations.erase(pointer);
    emulation::count_no_memory(pointer);
    free(pointer);
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **pointer, size_t bytes)
{
    *pointer = malloc(bytes);
    return *pointer != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFreeHost(void *pointer)
{
    run_queued();
    free(pointer);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *all)
{
    *all = memory();
    *available = *all - allocated;
    return cudaSuccess;
}

static void copy(void *to, const void *from, size_t bytes)
{
    emulation::count_read(from, bytes, "a copy");
    emulation::count_written(to, bytes);
    memmove(to, from, bytes);
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind)
{
    run_queued();
    copy(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t)
{
    if (kind != cudaMemcpyDeviceToDevice)
        forbid("a copy to or from the host");
    submit([=]() { copy(to, from, bytes); });
    return cudaSuccess;
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind, cudaStream_t)
{
    if (kind != cudaMemcpyDeviceToDevice)
        forbid("a copy to or from the host");
    submit([=]() {
        for (size_t i = 0; i < height; i++)
            copy((char *)to + i * to_pitch, (const char *)from + i * from_pitch, width);
    });
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t)
{
    submit([=]() {
        emulation::count_other("(memset)");
        emulation::count_written(to, bytes);
        memset(to, value, bytes);
    });
    return cudaSuccess;
}

cudaError_t cudaGetLastError()
{
    return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t status)
{
    return status == cudaErrorNoDevice        ? "no CUDA-capable device is detected"
           : status == cudaErrorLaunchFailure ? "unspecified launch failure"
                                              : "out of memory";
}
