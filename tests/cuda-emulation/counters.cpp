// SLT_EMULATION_COUNT=FILE has what kernels ask of memory counted, kernel by kernel, and written to
// FILE when the program ends. Kernels that are compiled with -fsanitize=thread call __tsan_readN
// and __tsan_writeN before they touch memory: here these are not a sanitizer's but note the thread,
// the place in the code and the address. What the threads of a warp do at one place, each for the
// k-th time, is one load or store. It is made of requests, of 16 or 8 threads each where a thread
// has 8 or 16 bytes: a request moves the sectors of 32 bytes that its addresses lie in, and takes as
// many passes over shared memory as the most crowded of 32 banks has different words.
//
// Caches are not modelled. `moved` is what reaches the first of them, `distinct` what a kernel
// cannot do without: each sector once.
//
// Memory that a kernel or a copy reads and nobody has written ends the program, and so does an
// address that is no multiple of the bytes moved.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "counters.h"

extern "C" char __bss_start[], _end[]; // of the plugin: shared memory lies between

namespace emulation
{
namespace
{
constexpr uintptr_t sector = 32, near = 128 << 10;
constexpr unsigned warp_size = 32, banks = 32;
constexpr uint64_t sampled = 8; // blocks of a launch whose requests are looked at

struct access {
    uintptr_t place, address;
    uint32_t thread;
    uint8_t bytes;
    bool writes, shared;
};

struct memory {
    uintptr_t first, bytes;
    std::vector<bool> written;                 // by byte
    std::vector<uint32_t> read_by, written_by; // by sector: the last launch that touched it
};

struct count {
    uint64_t launches, asked[2], distinct[2];           // of all blocks; reads, writes
    double moved[2], instructions[2], requests, passes; // from some
};

const char *const file = getenv("SLT_EMULATION_COUNT");
std::map<uintptr_t, memory> memories;
std::map<std::string, count> kernels;
std::string kernel;
count *counts; // of the kernel that runs
uint32_t launch_number;
uint64_t blocks;
bool looking;
std::vector<access> log;

memory *memory_at(uintptr_t address)
{
    static memory *last;
    if (last != nullptr && address - last->first < last->bytes)
        return last;
    const auto next = memories.upper_bound(address);
    if (next == memories.begin())
        return nullptr;
    memory *m = &std::prev(next)->second;
    return address - m->first < m->bytes ? last = m : nullptr;
}

[[noreturn]] void never_written(const char *by, const memory &m, uintptr_t offset)
{
    fprintf(stderr, "%s reads byte %zu of %zu in device memory that nobody has written\n", by,
            (size_t)offset, (size_t)m.bytes);
    abort();
}

void touch(uintptr_t address, unsigned bytes, bool writes, uintptr_t place)
{
    const char here = 0;
    // A thread's own variables lie near those of this function.
    if (counts == nullptr || address - (uintptr_t)&here + near < 2 * near)
        return;
    const bool shared = address >= (uintptr_t)__bss_start && address < (uintptr_t)_end;
    memory *m = shared ? nullptr : memory_at(address);
    if (!shared && m == nullptr)
        return; // a register, or an argument
    if (address % bytes != 0) {
        fprintf(stderr, "%s moves %u bytes at an address that is not aligned to them\n",
                kernel.c_str(), bytes);
        abort();
    }
    if (m != nullptr) {
        const uintptr_t first = address - m->first;
        for (uintptr_t i = first; i < first + bytes && i < m->bytes; i++)
            if (writes)
                m->written[i] = true;
            else if (!m->written[i])
                never_written(kernel.c_str(), *m, i);
        for (uintptr_t s = first / sector; s <= (first + bytes - 1) / sector; s++) {
            uint32_t &by = (writes ? m->written_by : m->read_by)[s];
            counts->distinct[writes] += by != launch_number ? sector : 0;
            by = launch_number;
        }
        counts->asked[writes] += bytes;
    }
    if (looking)
        log.push_back({place, address,
                       thread->x + block_size.x * (thread->y + block_size.y * thread->z),
                       (uint8_t)bytes, writes, shared});
}

// One request of a warp, or of a part of it.
void request(const access *const *all, unsigned threads, double weight)
{
    std::vector<uintptr_t> pieces;
    const uintptr_t size = all[0]->shared ? 4 : sector;
    for (unsigned i = 0; i < threads; i++)
        for (uintptr_t p = all[i]->address / size;
             p <= (all[i]->address + all[i]->bytes - 1) / size; p++)
            pieces.push_back(p);
    std::sort(pieces.begin(), pieces.end());
    pieces.erase(std::unique(pieces.begin(), pieces.end()), pieces.end());
    if (!all[0]->shared) {
        counts->moved[all[0]->writes] += weight * (double)(pieces.size() * sector);
        return;
    }
    unsigned words[banks] = {};
    for (uintptr_t p : pieces)
        words[p % banks]++;
    counts->requests += weight;
    counts->passes += weight * *std::max_element(words, words + banks);
}

// The accesses of a warp at one place, in the order of threads, and of time for each of them.
void place_of_warp(const access *first, const access *last, double weight)
{
    std::vector<const access *> next, end, now;
    for (const access *a = first; a < last;) {
        next.push_back(a);
        const uint32_t mine = a->thread;
        while (a < last && a->thread == mine)
            a++;
        end.push_back(a);
    }
    for (;;) {
        now.clear();
        for (size_t i = 0; i < next.size(); i++)
            if (next[i] < end[i])
                now.push_back(next[i]++);
        if (now.empty())
            return;
        if (!now[0]->shared)
            counts->instructions[now[0]->writes] += weight;
        const unsigned bytes = now[0]->bytes;
        const size_t together = warp_size / (bytes > 8 ? 4 : bytes > 4 ? 2 : 1);
        for (size_t i = 0; i < now.size(); i += together)
            request(&now[i], (unsigned)std::min(together, now.size() - i), weight);
    }
}

void look_at_block()
{
    const double weight = (double)blocks / (double)std::min(blocks, sampled);
    const auto warp_place = [](const access &a) {
        return std::make_pair(a.thread / warp_size, a.place);
    };
    std::stable_sort(log.begin(), log.end(), [&](const access &a, const access &b) {
        const auto p = warp_place(a), q = warp_place(b);
        return p != q ? p < q : a.thread < b.thread;
    });
    for (size_t i = 0, k; i < log.size(); i = k) {
        for (k = i; k < log.size() && warp_place(log[k]) == warp_place(log[i]); k++)
            ;
        place_of_warp(&log[i], &log[k - 1] + 1, weight);
    }
    log.clear();
}

struct report {
    ~report()
    {
        FILE *f = file != nullptr && !kernels.empty() ? fopen(file, "w") : nullptr;
        if (f == nullptr)
            return;
        fprintf(f, "kernel\tlaunches\tread\tread moved\tread distinct\tloads\twritten\t"
                   "write moved\twrite distinct\tstores\tshared requests\tshared passes\n");
        for (const auto &k : kernels) {
            const count &c = k.second;
            fprintf(f, "%s\t%llu", k.first.c_str(), (unsigned long long)c.launches);
            for (int w = 0; w < 2; w++)
                fprintf(f, "\t%llu\t%.0f\t%llu\t%.0f", (unsigned long long)c.asked[w], c.moved[w],
                        (unsigned long long)c.distinct[w], c.instructions[w]);
            fprintf(f, "\t%.0f\t%.0f\n", c.requests, c.passes);
        }
        fclose(f);
    }
} at_the_end;
} // namespace

void count_kernel(const char *name, uint64_t number_of_blocks)
{
    if (file == nullptr)
        return;
    kernel = name[0] == '(' ? std::string(name + 1, strlen(name) - 2) : name;
    counts = &kernels[kernel];
    counts->launches++;
    blocks = number_of_blocks;
    launch_number++;
}

// Blocks that are spread over all are looked at.
void count_block(uint64_t number)
{
    const uint64_t each = (blocks + sampled - 1) / sampled;
    looking = counts != nullptr && (blocks <= sampled || number % each == each / 2);
}

void count_block_end()
{
    if (looking)
        look_at_block();
    looking = false;
}

void count_kernel_end()
{
    counts = nullptr;
}

void count_other(const char *name)
{
    if (file != nullptr)
        kernels[name].launches++;
}

void count_memory(const void *p, size_t bytes)
{
    if (file == nullptr)
        return;
    memory &m = memories[(uintptr_t)p];
    m = memory{(uintptr_t)p, bytes, {}, {}, {}};
    m.written.resize(bytes);
    m.read_by.resize(bytes / sector + 1);
    m.written_by.resize(bytes / sector + 1);
}

void count_no_memory(const void *p)
{
    memory *m = memory_at((uintptr_t)p);
    if (m != nullptr)
        m->bytes = 0; // for memory_at, which remembers it
}

static void set_written(const void *p, size_t bytes, bool written)
{
    memory *m = file != nullptr ? memory_at((uintptr_t)p) : nullptr;
    if (m != nullptr)
        std::fill_n(m->written.begin() + (ptrdiff_t)((uintptr_t)p - m->first), bytes, written);
}

void count_written(const void *p, size_t bytes)
{
    set_written(p, bytes, true);
}

void forget(const void *from, uint64_t bytes)
{
    if (file != nullptr)
        submit([=]() { set_written(from, bytes, false); });
}

void count_access(const void *at, unsigned bytes, bool writes)
{
    touch((uintptr_t)at, bytes, writes, (uintptr_t)__builtin_return_address(0));
}

void count_read(const void *p, size_t bytes, const char *by)
{
    const memory *m = file != nullptr ? memory_at((uintptr_t)p) : nullptr;
    for (size_t i = 0; m != nullptr && i < bytes; i++)
        if (!m->written[(uintptr_t)p - m->first + i])
            never_written(by, *m, (uintptr_t)p - m->first + i);
}
} // namespace emulation

// ---- What the compiler calls ----

#define HERE (uintptr_t) __builtin_return_address(0)
#define TOUCH(n)                                                                                   \
    void __tsan_read##n(void *p)                                                                   \
    {                                                                                              \
        emulation::touch((uintptr_t)p, n, false, HERE);                                            \
    }                                                                                              \
    void __tsan_write##n(void *p)                                                                  \
    {                                                                                              \
        emulation::touch((uintptr_t)p, n, true, HERE);                                             \
    }                                                                                              \
    void __tsan_unaligned_read##n(void *p)                                                         \
    {                                                                                              \
        emulation::touch((uintptr_t)p, n, false, HERE);                                            \
    }                                                                                              \
    void __tsan_unaligned_write##n(void *p)                                                        \
    {                                                                                              \
        emulation::touch((uintptr_t)p, n, true, HERE);                                             \
    }

extern "C" {
TOUCH(1)
TOUCH(2)
TOUCH(4)
TOUCH(8)
TOUCH(16)

// Structs of other sizes, which a thread moves 16 bytes after the other.
void __tsan_read_range(void *p, unsigned long bytes)
{
    for (uintptr_t i = 0; i < bytes; i += 16)
        emulation::touch((uintptr_t)p + i, (unsigned)std::min(16ul, bytes - i), false, HERE + i);
}

void __tsan_write_range(void *p, unsigned long bytes)
{
    for (uintptr_t i = 0; i < bytes; i += 16)
        emulation::touch((uintptr_t)p + i, (unsigned)std::min(16ul, bytes - i), true, HERE + i);
}

void __tsan_init()
{
}
}
