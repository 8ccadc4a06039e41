// The GPU as a device: contexts, buffers, copies, and activations in and out.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda.h"

extern "C" {
#include "core/bfloat.h"
#include "core/codes.h"
}

// ---- Errors ----

int cuda_error(struct slt_error *err, int code, const char *format, ...)
{
    if (err == NULL)
        return code;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    err->code = code;
    err->hint[0] = '\0';
    return code;
}

void cuda_check(struct slt_ctx *ctx, cudaError_t status, const char *what)
{
    if (status != cudaSuccess && ctx->error.code == 0)
        cuda_error(&ctx->error, SLT_ERR_DEVICE, "the GPU failed in %s: %s", what,
                   cudaGetErrorString(status));
}

void cuda_check_blas(struct slt_ctx *ctx, cublasStatus_t status, const char *what)
{
    if (status != CUBLAS_STATUS_SUCCESS && ctx->error.code == 0)
        cuda_error(&ctx->error, SLT_ERR_DEVICE, "cuBLAS failed in %s: %s", what,
                   cublasLtGetStatusString(status));
}

int cuda_synchronize(struct slt_ctx *ctx, struct slt_error *err)
{
    // Kernels fail when they run, which is noticed here, whichever it was.
    cuda_comm_settle(ctx);
    cuda_check(ctx, cudaStreamSynchronize(ctx->stream),
               "an earlier operation (CUDA_LAUNCH_BLOCKING=1 and --eager tell which)");
    const int code = ctx->error.code;
    if (code != 0) {
        cuda_error(err, code, "%s", ctx->error.message);
        cuda_comm_give_up(ctx);
    }
    ctx->error.code = 0;
    return code;
}

// ---- From the host ----

// An asynchronous copy may read its source after it has returned, unless CUDA has taken the source
// aside, which it need not. So it is taken aside here, into page-locked memory, slot after slot;
// a slot is written again only once its last copy is done.
#define STAGED_BYTES ((uint64_t)256 << 10)
#define STAGED_SLOTS 16 // more than there are writes in a step, so that those need not wait

struct cuda_staging {
    char *memory; // (STAGED_SLOTS, STAGED_BYTES)
    cudaEvent_t copied[STAGED_SLOTS];
    int next;
};

static void staging_free(struct cuda_staging *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < STAGED_SLOTS; i++)
        if (s->copied[i] != NULL)
            cudaEventDestroy(s->copied[i]);
    cudaFreeHost(s->memory);
    free(s);
}

static cudaError_t staging_create(struct cuda_staging **staging)
{
    struct cuda_staging *s = (struct cuda_staging *)calloc(1, sizeof *s);
    if (s == NULL)
        return cudaErrorMemoryAllocation;
    cudaError_t status = cudaMallocHost((void **)&s->memory, STAGED_SLOTS * STAGED_BYTES);
    for (int i = 0; status == cudaSuccess && i < STAGED_SLOTS; i++)
        status = cudaEventCreateWithFlags(&s->copied[i], cudaEventDisableTiming);
    if (status == cudaSuccess)
        *staging = s;
    else
        staging_free(s);
    return status;
}

void cuda_write(struct slt_ctx *ctx, struct slt_buffer *buffer, uint64_t offset, const void *data,
                uint64_t bytes)
{
    struct cuda_staging *s = ctx->staging;
    cudaError_t status = cudaSuccess;
    for (uint64_t at = 0, n; status == cudaSuccess && at < bytes; at += n) {
        const int slot = s->next;
        char *staged = s->memory + (uint64_t)slot * STAGED_BYTES;
        n = bytes - at < STAGED_BYTES ? bytes - at : STAGED_BYTES;
        s->next = (slot + 1) % STAGED_SLOTS;
        cuda_comm_settle(ctx);
        if ((status = cudaEventSynchronize(s->copied[slot])) != cudaSuccess)
            break;
        memcpy(staged, (const char *)data + at, n);
        status = cudaMemcpyAsync(buffer->data + offset + at, staged, n, cudaMemcpyHostToDevice,
                                 ctx->stream);
        if (status == cudaSuccess)
            status = cudaEventRecord(s->copied[slot], ctx->stream);
    }
    cuda_check(ctx, status, "copying to the device");
}

// ---- Context ----

// The maps of 8-bit moments, which the device finds its codes in.
static cudaError_t write_codes(struct slt_ctx *c)
{
    float map[2 * SLT_CODES_8BIT];
    slt_codes_dynamic(map, false);
    slt_codes_dynamic(map + SLT_CODES_8BIT, true);
    cudaError_t status = cudaMalloc((void **)&c->codes, sizeof map);
    return status == cudaSuccess ? cudaMemcpy(c->codes, map, sizeof map, cudaMemcpyHostToDevice)
                                 : status;
}

// What a context has of the device itself.
static int open_device(struct slt_ctx *c, const struct slt_ops_options *options,
                       struct slt_error *err)
{
    const int chosen = options->chosen;
    int count = 0, driver = 0;
    cudaDeviceProp device;
    cudaError_t status = cudaGetDeviceCount(&count);
    // A driver that is missing or too old says so here.
    if (status != cudaSuccess || count == 0)
        return cuda_error(err, SLT_ERR_DEVICE, "cannot use device 'cuda': %s",
                          status != cudaSuccess ? cudaGetErrorString(status) : "there is no GPU");
    if (chosen > count)
        return cuda_error(err, SLT_ERR_DEVICE,
                          "cannot use device 'cuda:%d': the last GPU here is number %d", chosen - 1,
                          count - 1);
    c->device = chosen > 0 ? chosen - 1 : options->turn % count;
    if ((status = cudaSetDevice(c->device)) != cudaSuccess ||
        (status = cudaGetDeviceProperties(&device, c->device)) != cudaSuccess ||
        (status = cudaDriverGetVersion(&driver)) != cudaSuccess ||
        (status = cudaStreamCreate(&c->stream)) != cudaSuccess ||
        (status = staging_create(&c->staging)) != cudaSuccess ||
        (status = write_codes(c)) != cudaSuccess)
        return cuda_error(err, SLT_ERR_DEVICE, "cannot use device 'cuda': %s",
                          cudaGetErrorString(status));
    snprintf(c->name, sizeof c->name, "%s", device.name);
    snprintf(c->text, sizeof c->text, "GPU, %s, %.0f GB, compute %d.%d, driver %d.%d", c->name,
             (double)device.totalGlobalMem / 1e9, device.major, device.minor, driver / 1000,
             driver % 1000 / 10);
    return cuda_products_create(&c->products, err);
}

int cuda_open(struct slt_ctx **ctx, const struct slt_ops_options *options, struct slt_error *err)
{
    struct slt_ctx *c = (struct slt_ctx *)calloc(1, sizeof *c);
    if (c == NULL)
        return cuda_error(err, SLT_ERR_MEMORY, "cannot allocate a CUDA context");
    snprintf(c->text, sizeof c->text, "a GPU, to plan for");
    const int code = options->to_plan ? 0 : open_device(c, options, err);
    if (code != 0) {
        cuda_close(c);
        return code;
    }
    *ctx = c;
    return 0;
}

void cuda_close(struct slt_ctx *ctx)
{
    cuda_comm_close(ctx);
    cuda_products_free(ctx->products);
    staging_free(ctx->staging);
    if (ctx->codes != NULL)
        cudaFree(ctx->codes);
    if (ctx->stream != NULL)
        cudaStreamDestroy(ctx->stream);
    free(ctx);
}

char *cuda_describe(struct slt_ctx *ctx, char *text, size_t size)
{
    snprintf(text, size, "%s", ctx->text);
    return text;
}

void cuda_set_workspace(struct slt_ctx *ctx, struct slt_buffer *buffer, uint64_t offset,
                        uint64_t bytes)
{
    ctx->work = buffer != NULL ? buffer->data + offset : NULL;
    ctx->work_bytes = buffer != NULL ? bytes : 0;
}

// ---- Buffers ----

void cuda_available(struct slt_ctx *ctx, uint64_t *available, uint64_t *all)
{
    size_t free_bytes = 0, all_bytes = 0;
    cuda_check(ctx, cudaMemGetInfo(&free_bytes, &all_bytes), "asking for its free memory");
    *available = free_bytes;
    *all = all_bytes;
}

int cuda_buffer_create(struct slt_ctx *ctx, struct slt_buffer **buffer, const char *region,
                       uint64_t bytes, struct slt_error *err)
{
    struct slt_buffer *b = (struct slt_buffer *)calloc(1, sizeof *b);
    if (b == NULL)
        return cuda_error(err, SLT_ERR_MEMORY, "cannot allocate a buffer for %s", region);
    b->bytes = bytes;
    const cudaError_t status = cudaMalloc((void **)&b->data, bytes > 0 ? bytes : 1);
    if (status == cudaSuccess) {
        cuda_check(ctx, cudaMemsetAsync(b->data, 0, bytes, ctx->stream), "clearing memory");
        *buffer = b;
        return 0;
    }
    (void)cudaGetLastError(); // it is reported here
    free(b);
    uint64_t available, all;
    cuda_available(ctx, &available, &all);
    return cuda_error(err, SLT_ERR_MEMORY,
                      "cannot allocate %llu bytes on the GPU for %s: %llu are free",
                      (unsigned long long)bytes, region, (unsigned long long)available);
}

void cuda_buffer_free(struct slt_ctx *ctx, struct slt_buffer *buffer)
{
    if (buffer == NULL)
        return;
    cuda_check(ctx, cudaFree(buffer->data), "freeing memory");
    free(buffer);
}

void cuda_read(struct slt_ctx *ctx, void *data, struct slt_buffer *buffer, uint64_t offset,
               uint64_t bytes)
{
    if (bytes == 0)
        return;
    cuda_comm_settle(ctx);
    cuda_check(
        ctx,
        cudaMemcpyAsync(data, buffer->data + offset, bytes, cudaMemcpyDeviceToHost, ctx->stream),
        "copying from the device");
    cuda_check(ctx, cudaStreamSynchronize(ctx->stream), "copying from the device");
}

void cuda_zero(struct slt_ctx *ctx, struct slt_buffer *buffer, uint64_t offset, uint64_t bytes)
{
    cuda_check(ctx, cudaMemsetAsync(buffer->data + offset, 0, bytes, ctx->stream),
               "clearing memory");
}

// ---- Activations ----

uint64_t cuda_act_bytes(struct slt_ctx *ctx, enum slt_dtype dtype, int64_t tokens, int64_t features)
{
    (void)ctx;
    return (uint64_t)tokens * (uint64_t)cuda_padded(features) * slt_dtype_size(dtype);
}

// Copies as many rows and features as act has, in its type, between row-major memories.
static void copy_rows(struct slt_ctx *ctx, struct slt_act act, void *to, int64_t to_ld,
                      const void *from, int64_t from_ld, enum cudaMemcpyKind kind)
{
    const size_t size = slt_dtype_size(act.dtype);
    if (act.features > 0 && act.tokens > 0)
        cuda_check(ctx,
                   cudaMemcpy2DAsync(to, (size_t)to_ld * size, from, (size_t)from_ld * size,
                                     (size_t)act.features * size, (size_t)act.tokens, kind,
                                     ctx->stream),
                   "copying activations");
}

// Values that the host has as floats and the device in BF16.
static uint16_t *host_values(struct slt_ctx *ctx, struct slt_act act)
{
    uint16_t *half = (uint16_t *)malloc((size_t)(act.tokens * act.features) * sizeof *half + 1);
    if (half == NULL)
        cuda_check(ctx, cudaErrorMemoryAllocation, "copying activations");
    return half;
}

void cuda_act_write(struct slt_ctx *ctx, struct slt_act act, const void *values)
{
    uint16_t *half = NULL;
    if (act.dtype == SLT_BF16) {
        if ((half = host_values(ctx, act)) == NULL)
            return;
        for (int64_t i = 0; i < act.tokens * act.features; i++)
            half[i] = slt_bf16_nearest(((const float *)values)[i]);
        values = half;
    }
    copy_rows(ctx, act, cuda_matrix_of_act(act).data, cuda_ld(act), values, act.features,
              cudaMemcpyHostToDevice);
    cuda_check(ctx, cudaStreamSynchronize(ctx->stream), "copying activations");
    free(half);
}

void cuda_act_read(struct slt_ctx *ctx, void *values, struct slt_act act)
{
    uint16_t *half = NULL;
    if (act.dtype == SLT_BF16 && (half = host_values(ctx, act)) == NULL)
        return;
    copy_rows(ctx, act, half != NULL ? half : values, act.features, cuda_matrix_of_act(act).data,
              cuda_ld(act), cudaMemcpyDeviceToHost);
    cuda_check(ctx, cudaStreamSynchronize(ctx->stream), "copying activations");
    for (int64_t i = 0; half != NULL && i < act.tokens * act.features; i++)
        ((float *)values)[i] = slt_bf16_value(half[i]);
    free(half);
}

void cuda_act_copy(struct slt_ctx *ctx, struct slt_act y, struct slt_act x)
{
    copy_rows(ctx, x, cuda_matrix_of_act(y).data, cuda_ld(y), cuda_matrix_of_act(x).data,
              cuda_ld(x), cudaMemcpyDeviceToDevice);
}
