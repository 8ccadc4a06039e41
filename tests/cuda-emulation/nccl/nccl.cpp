// NCCL between processes of one machine: ranks meet in shared memory, a piece of every tensor at a
// time. What a stream is given runs in its order, as far as the others are there whenever somebody
// looks at it or waits for it, and again with every launch of a graph that it was recorded in. A
// communicator takes a few looks until a call is taken in, as one that does not block may; sums are
// formed in the order of ranks.
#include <atomic>
#include <fcntl.h>
#include <memory>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "nccl.h"

#include "core/bfloat.h"

#define PIECE ((size_t)1 << 18) // bytes of a rank that are shared at once
#define LOOKS 3                 // until a call has been taken in

// Where ranks meet: the last one that comes begins the next turn.
struct meeting {
    std::atomic<unsigned> arrived, turn;
};

struct emulated_comm {
    int rank, size, looks;
    bool joins, waits; // the others are not there yet; it waits for the turn after this one
    unsigned turn;
    struct meeting *here;
    char *pieces; // (size, PIECE)
    bool aborted;
    ncclUniqueId id;
};

static void arrive(ncclComm_t c)
{
    c->turn = c->here->turn;
    c->waits = true;
    if (++c->here->arrived == (unsigned)c->size) {
        c->here->arrived = 0;
        c->here->turn++;
    }
}

// Whether all are here; comes first if it has not.
static bool meet(ncclComm_t c)
{
    if (!c->waits)
        arrive(c);
    c->waits = c->here->turn == c->turn;
    return !c->waits;
}

const char *ncclGetErrorString(ncclResult_t result)
{
    return result == ncclSuccess      ? "no error"
           : result == ncclInProgress ? "in progress"
                                      : "unhandled system error";
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    memset(id, 0, sizeof *id);
    snprintf(id->internal, sizeof id->internal, "/slt-nccl-%ld-%ld-%ld", (long)getpid(),
             (long)now.tv_sec, now.tv_nsec);
    return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int size, ncclUniqueId id, int rank,
                                    ncclConfig_t *config)
{
    emulated_comm *c = new emulated_comm();
    c->rank = rank;
    c->size = size;
    c->id = id;
    const size_t bytes = sizeof(struct meeting) + (size_t)size * PIECE;
    const int file = shm_open(id.internal, O_RDWR | O_CREAT, 0600);
    if (config->blocking || file < 0 || ftruncate(file, (off_t)bytes) != 0)
        return ncclSystemError;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory == MAP_FAILED)
        return ncclSystemError;
    c->here = (struct meeting *)memory;
    c->pieces = (char *)memory + sizeof(struct meeting);
    c->joins = true;
    *comm = c;
    return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t c, ncclResult_t *error)
{
    if (c->joins && meet(c)) {
        c->joins = false;
        shm_unlink(c->id.internal); // all have opened it
    }
    const bool there = !c->joins && (c->looks == 0 || --c->looks == 0);
    *error = c->aborted ? ncclSystemError : there ? ncclSuccess : ncclInProgress;
    return ncclSuccess;
}

// The others learn nothing of it.
ncclResult_t ncclCommAbort(ncclComm_t c)
{
    shm_unlink(c->id.internal);
    c->aborted = true;
    return ncclSuccess;
}

// ---- Exchanges ----

// Calls of a group are in the order of their stream, as others are; they are looked after together.
static int depth;
static ncclComm_t grouped;

ncclResult_t ncclGroupStart()
{
    depth++;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd()
{
    if (--depth > 0 || grouped == nullptr)
        return ncclSuccess;
    grouped->looks = LOOKS;
    grouped = nullptr;
    return ncclInProgress;
}

static size_t width_of(ncclDataType_t type)
{
    return type == ncclFloat64 ? 8 : type == ncclFloat32 ? 4 : type == ncclBfloat16 ? 2 : 1;
}

// Element i of the ranks' pieces, summed.
static void add_element(ncclComm_t c, char *to, size_t i, ncclDataType_t type)
{
    double sum = 0;
    float single = 0;
    for (int r = 0; r < c->size; r++) {
        const char *piece = c->pieces + (size_t)r * PIECE;
        if (type == ncclFloat64)
            sum += ((const double *)(const void *)piece)[i];
        else if (type == ncclFloat32)
            single += ((const float *)(const void *)piece)[i];
        else
            single += slt_bf16_value(((const uint16_t *)(const void *)piece)[i]);
    }
    if (type == ncclFloat64)
        ((double *)(void *)to)[i] = sum;
    else if (type == ncclFloat32)
        ((float *)(void *)to)[i] = single;
    else
        ((uint16_t *)(void *)to)[i] = slt_bf16_nearest(single);
}

struct exchange {
    ncclComm_t c;
    const char *from;
    char *to;
    size_t count;
    ncclDataType_t type;
    bool sums;
    int root; // < 0: every rank gets the sum
    size_t at = 0;
    enum { SHARE, TAKE, LEAVE } next = SHARE;

    void take(size_t n)
    {
        const size_t width = width_of(type);
        if (!sums)
            memcpy(to + at * width, c->pieces + (size_t)root * PIECE, n * width);
        else if (root < 0 || root == c->rank)
            for (size_t i = 0; i < n; i++)
                add_element(c, to + at * width, i, type);
    }

    // Piece by piece: all share theirs, then all take what they need, before the next ones are shared.
    bool get_on()
    {
        const size_t width = width_of(type), most = PIECE / width;
        while (at < count && !c->aborted) {
            const size_t n = count - at < most ? count - at : most;
            if (next == SHARE)
                memcpy(c->pieces + (size_t)c->rank * PIECE, from + at * width, n * width);
            if (next == SHARE)
                next = TAKE;
            if (!meet(c))
                return false;
            if (next == TAKE)
                take(n);
            at = next == LEAVE ? at + n : at;
            next = next == TAKE ? LEAVE : SHARE;
        }
        at = 0;
        next = SHARE;
        return true;
    }
};

static ncclResult_t submit(cudaStream_t stream, const exchange &e)
{
    if (e.c->aborted || e.c->joins || e.c->looks > 0)
        return ncclInvalidUsage; // not looked after
    const auto state = std::make_shared<exchange>(e);
    stream->submit([state] { return state->get_on(); });
    if (depth > 0) {
        grouped = e.c;
        return ncclSuccess;
    }
    e.c->looks = LOOKS;
    return ncclInProgress;
}

ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type,
                           ncclRedOp_t, ncclComm_t comm, cudaStream_t stream)
{
    return submit(stream, {comm, (const char *)from, (char *)to, count, type, true, -1});
}

ncclResult_t ncclReduce(const void *from, void *to, size_t count, ncclDataType_t type, ncclRedOp_t,
                        int root, ncclComm_t comm, cudaStream_t stream)
{
    return submit(stream, {comm, (const char *)from, (char *)to, count, type, true, root});
}

ncclResult_t ncclBroadcast(const void *from, void *to, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream)
{
    return submit(stream, {comm, (const char *)from, (char *)to, count, type, false, root});
}
