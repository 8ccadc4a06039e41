// What ranks exchange on GPUs, by NCCL: on a stream of its own, beside what is computed meanwhile.
//
// Exchanges are collected and begin together, once they are worth it or somebody waits for them. The
// communicator does not block: every call is looked after until it has been taken in, and whoever
// waits for the GPU asks keep_waiting between two looks, which hears the other ranks. A wait that is
// given up, or that NCCL reports an error in, aborts the communicator.
#include "kernels/cuda/cuda.h"

#if __has_include(<nccl.h>)
#include <dlfcn.h>
#include <nccl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORTH_IT ((size_t)16 << 20) // bytes

static_assert(sizeof(ncclUniqueId) == SLT_COMM_ID, "ops.h has the size of an id");

// The functions of libnccl that are used, by name.
#define NCCL_FUNCTIONS(f)                                                                          \
    f(GetErrorString) f(GetUniqueId) f(CommInitRankConfig) f(CommGetAsyncError) f(CommAbort)       \
        f(GroupStart) f(GroupEnd) f(AllReduce) f(Reduce) f(Broadcast)

struct nccl {
#define NCCL_POINTER(name) __typeof__(&nccl##name) name;
    NCCL_FUNCTIONS(NCCL_POINTER)
};

struct cuda_comm {
    struct nccl nccl;
    ncclComm_t comm;
    cudaStream_t stream;
    cudaEvent_t ready, done; // what is exchanged is; the exchange is
    struct slt_comm_options options;
    bool collects;    // a group is open
    size_t collected; // bytes in it
    bool busy;        // exchanges that nothing on the device waits for yet
    bool failed;      // and aborted
};

static int find_functions(struct nccl *nccl, void *library, struct slt_error *err)
{
#define NCCL_FIND(name)                                                                            \
    *(void **)(void *)&nccl->name = dlsym(library, "nccl" #name);                                  \
    if (nccl->name == NULL)                                                                        \
        return cuda_error(err, SLT_ERR_DEVICE, "NCCL has no nccl" #name ": it is too old");
    NCCL_FUNCTIONS(NCCL_FIND)
    return 0;
}

void cuda_comm_give_up(struct slt_ctx *ctx)
{
    struct cuda_comm *c = ctx->comm;
    if (c == NULL)
        return;
    if (c->collects)
        c->nccl.GroupEnd();
    c->collects = false;
    if (!c->failed && c->comm != NULL)
        c->nccl.CommAbort(c->comm);
    c->failed = true;
}

static void comm_fail(struct slt_ctx *ctx, int code, const char *what, const char *reason)
{
    if (ctx->error.code == 0)
        cuda_error(&ctx->error, code, "NCCL failed in %s: %s", what, reason);
    cuda_comm_give_up(ctx);
}

static bool keeps_waiting(struct slt_ctx *ctx, const char *what)
{
    const struct slt_comm_options *o = &ctx->comm->options;
    if (o->keep_waiting(o->user))
        return true;
    comm_fail(ctx, SLT_ERR_RANKS, what, "another rank has failed");
    return false;
}

// An error that NCCL reports: of this rank's own, unless another one says soon that it has failed.
static void report(struct slt_ctx *ctx, const char *what, ncclResult_t result)
{
    const struct timespec pause = {0, 10000000};
    for (int i = 0; i < 200; i++) {
        if (!keeps_waiting(ctx, what))
            return;
        nanosleep(&pause, NULL);
    }
    comm_fail(ctx, SLT_ERR_DEVICE, what, ctx->comm->nccl.GetErrorString(result));
}

// Waits until a call has been taken in.
static bool taken_in(struct slt_ctx *ctx, ncclResult_t result, const char *what)
{
    struct cuda_comm *c = ctx->comm;
    while (result == ncclInProgress) {
        ncclResult_t status = ncclInProgress;
        if (!keeps_waiting(ctx, what))
            return false;
        sched_yield();
        const ncclResult_t asked = c->nccl.CommGetAsyncError(c->comm, &status);
        result = asked != ncclSuccess ? asked : status;
    }
    if (result == ncclSuccess)
        return true;
    report(ctx, what, result);
    return false;
}

// ---- Joining and leaving ----

char *cuda_comm_place(struct slt_ctx *ctx, char *text, size_t size)
{
    cudaDeviceProp device = {};
    cuda_check(ctx, cudaGetDeviceProperties(&device, ctx->device), "asking which GPU this is");
    size_t used = (size_t)snprintf(text, size, "GPU");
    for (int i = 0; i < 16 && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%02x",
                                 i == 0 || (i >= 4 && i <= 10 && i % 2 == 0) ? "-" : "",
                                 (unsigned)(uint8_t)device.uuid.bytes[i]);
    return text;
}

int cuda_comm_id(void *library, char id[SLT_COMM_ID], struct slt_error *err)
{
    struct nccl nccl;
    ncclUniqueId unique;
    int code = find_functions(&nccl, library, err);
    if (code != 0)
        return code;
    const ncclResult_t result = nccl.GetUniqueId(&unique);
    if (result != ncclSuccess)
        return cuda_error(err, SLT_ERR_DEVICE, "NCCL does not start: %s",
                          nccl.GetErrorString(result));
    memcpy(id, &unique, sizeof unique);
    return 0;
}

int cuda_comm_open(struct slt_ctx *ctx, const char id[SLT_COMM_ID],
                   const struct slt_comm_options *options, struct slt_error *err)
{
    const char *const what = "joining ranks";
    struct cuda_comm *c = (struct cuda_comm *)calloc(1, sizeof *c);
    ncclUniqueId unique;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    if (c == NULL)
        return cuda_error(err, SLT_ERR_MEMORY, "cannot allocate a communicator");
    ctx->comm = c;
    c->options = *options;
    int code = find_functions(&c->nccl, options->nccl, err);
    if (code != 0)
        return code;
    cuda_check(ctx, cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking), what);
    cuda_check(ctx, cudaEventCreateWithFlags(&c->ready, cudaEventDisableTiming), what);
    cuda_check(ctx, cudaEventCreateWithFlags(&c->done, cudaEventDisableTiming), what);
    memcpy(&unique, id, sizeof unique);
    config.blocking = 0;
    if (ctx->error.code == 0)
        taken_in(
            ctx,
            c->nccl.CommInitRankConfig(&c->comm, options->size, unique, options->rank, &config),
            what);
    return cuda_synchronize(ctx, err);
}

void cuda_comm_close(struct slt_ctx *ctx)
{
    struct cuda_comm *c = ctx->comm;
    if (c == NULL)
        return;
    // All ranks have waited for their exchanges and said so. The communicator is left to the end of the
    // process: one that does not block is taken apart by a thread of its own, which no exit waits for.
    if (c->ready != NULL)
        cudaEventDestroy(c->ready);
    if (c->done != NULL)
        cudaEventDestroy(c->done);
    if (c->stream != NULL)
        cudaStreamDestroy(c->stream);
    free(c);
    ctx->comm = NULL;
    ctx->others = false;
}

// ---- Exchanges ----

// Begins what has been collected, which is what the computation has left by now.
static void begin(struct slt_ctx *ctx)
{
    const char *const what = "an exchange of ranks";
    struct cuda_comm *c = ctx->comm;
    if (!c->collects)
        return;
    c->collects = false;
    c->collected = 0;
    cuda_check(ctx, cudaEventRecord(c->ready, ctx->stream), what);
    cuda_check(ctx, cudaStreamWaitEvent(c->stream, c->ready, 0), what);
    const ncclResult_t result = c->nccl.GroupEnd();
    ctx->others = true;
    if (taken_in(ctx, result, what))
        c->busy = true;
}

// Whether one more exchange can be collected. A rank that has failed takes part in none.
static bool collect(struct slt_ctx *ctx)
{
    struct cuda_comm *c = ctx->comm;
    if (ctx->error.code != 0)
        cuda_comm_give_up(ctx);
    if (!c->failed && !c->collects)
        c->collects = c->nccl.GroupStart() == ncclSuccess;
    return !c->failed && c->collects;
}

static void collected(struct slt_ctx *ctx, ncclResult_t result, size_t bytes)
{
    struct cuda_comm *c = ctx->comm;
    c->collected += bytes;
    if (result != ncclSuccess && result != ncclInProgress)
        report(ctx, "an exchange of ranks", result);
    else if (c->collected >= WORTH_IT)
        begin(ctx);
}

static ncclDataType_t type_of(enum slt_dtype dtype)
{
    return dtype == SLT_F64 ? ncclFloat64 : dtype == SLT_BF16 ? ncclBfloat16 : ncclFloat32;
}

void cuda_all_reduce(struct slt_ctx *ctx, struct slt_tensor t)
{
    struct cuda_comm *c = ctx->comm;
    const size_t n = (size_t)(t.rows * t.cols);
    void *data = cuda_pointer<void>(t);
    if (collect(ctx))
        collected(ctx,
                  c->nccl.AllReduce(data, data, n, type_of(t.dtype), ncclSum, c->comm, c->stream),
                  n * slt_dtype_size(t.dtype));
}

void cuda_reduce_parts(struct slt_ctx *ctx, struct slt_tensor t, const int64_t *cut)
{
    struct cuda_comm *c = ctx->comm;
    const size_t width = slt_dtype_size(t.dtype);
    for (int i = 0; i < c->options.size; i++) {
        char *data = cuda_pointer<char>(t) + (size_t)cut[i] * width;
        const size_t n = (size_t)(cut[i + 1] - cut[i]);
        if (n > 0 && collect(ctx))
            collected(
                ctx,
                c->nccl.Reduce(data, data, n, type_of(t.dtype), ncclSum, i, c->comm, c->stream),
                n * width);
    }
}

void cuda_give_parts(struct slt_ctx *ctx, struct slt_tensor t, const int64_t *cut)
{
    struct cuda_comm *c = ctx->comm;
    const size_t width = slt_dtype_size(t.dtype);
    for (int i = 0; i < c->options.size; i++) {
        char *data = cuda_pointer<char>(t) + (size_t)cut[i] * width;
        const size_t bytes = (size_t)(cut[i + 1] - cut[i]) * width;
        if (bytes > 0 && collect(ctx))
            collected(ctx, c->nccl.Broadcast(data, data, bytes, ncclUint8, i, c->comm, c->stream),
                      bytes);
    }
}

void cuda_comm_wait(struct slt_ctx *ctx)
{
    struct cuda_comm *c = ctx->comm;
    begin(ctx);
    if (!c->busy)
        return;
    cuda_check(ctx, cudaEventRecord(c->done, c->stream), "an exchange of ranks");
    cuda_check(ctx, cudaStreamWaitEvent(ctx->stream, c->done, 0), "an exchange of ranks");
    c->busy = false;
}

void cuda_comm_settle(struct slt_ctx *ctx)
{
    const char *const what = "an exchange of ranks";
    struct cuda_comm *c = ctx->comm;
    while (ctx->others && !c->failed && cudaStreamQuery(ctx->stream) == cudaErrorNotReady) {
        ncclResult_t error = ncclSuccess;
        const ncclResult_t asked = c->nccl.CommGetAsyncError(c->comm, &error);
        error = asked != ncclSuccess ? asked : error;
        if (error != ncclSuccess && error != ncclInProgress)
            report(ctx, what, error);
        else if (keeps_waiting(ctx, what))
            sched_yield();
    }
    ctx->others = false;
}

#else

void cuda_comm_give_up(struct slt_ctx *ctx)
{
}

void cuda_comm_close(struct slt_ctx *ctx)
{
}

void cuda_comm_settle(struct slt_ctx *ctx)
{
}

#endif
