// The CPU as a device: contexts, buffers, and activations in and out.
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/bfloat.h"
#include "kernels/cpu/codes.h"
#include "kernels/cpu/cpu.h"

#define HUGE_PAGE ((uint64_t)2 << 20)

// Worker threads take no signals: a handler's frame on the stack of one that is inside a product of
// oneDNN's can overwrite memory, and what signals mean is the main thread's business.
static void block_signals(int threads)
{
#pragma omp parallel num_threads(threads)
    if (omp_get_thread_num() > 0) {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, NULL);
    }
}

int cpu_open(struct slt_ctx **ctx, const struct slt_ops_options *options, struct slt_error *err)
{
    struct slt_ctx *c = calloc(1, sizeof *c);
    struct cpu_codes *codes = malloc(2 * sizeof *codes);
    if (c == NULL || codes == NULL) {
        free(c);
        free(codes);
        return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate a CPU context");
    }
    cpu_codes_init(&codes[0], false);
    cpu_codes_init(&codes[1], true);
    c->codes = codes;
    c->threads = options != NULL && options->threads > 0 ? options->threads : omp_get_num_procs();
    block_signals(c->threads);
    *ctx = c;
    return 0;
}

void cpu_close(struct slt_ctx *ctx)
{
    free(ctx->codes);
    free(ctx);
}

void cpu_set_workspace(struct slt_ctx *ctx, struct slt_buffer *buffer, uint64_t offset,
                       uint64_t bytes)
{
    assert(buffer == NULL || offset + bytes <= buffer->bytes);
    ctx->work = buffer != NULL ? buffer->data + offset : NULL;
    ctx->work_bytes = buffer != NULL ? bytes : 0;
}

void cpu_fail(struct slt_ctx *ctx, int code, const char *message)
{
    if (ctx->error.code == 0)
        slt_error_set(&ctx->error, code, "%s", message);
}

int cpu_synchronize(struct slt_ctx *ctx, struct slt_error *err)
{
    const int code = ctx->error.code;
    if (code != 0)
        slt_error_set(err, code, "%s", ctx->error.message);
    ctx->error.code = 0;
    return code;
}

// ---- Buffers ----

// A mapping whose data starts at a huge page, so that the kernel may back all of it with such.
static int map_buffer(struct slt_buffer *b)
{
    const uint64_t bytes = (b->bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE + HUGE_PAGE;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return -1;
    b->allocation = p;
    b->mapped = bytes;
    b->data = (char *)p + (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
#ifdef MADV_HUGEPAGE
    madvise(b->data, bytes - HUGE_PAGE, MADV_HUGEPAGE);
#endif
    return 0;
}

static int allocate_buffer(struct slt_buffer *b)
{
    const uint64_t bytes = b->bytes > 0 ? b->bytes : 1;
    if (posix_memalign(&b->allocation, CPU_ALIGN, bytes) != 0)
        return -1;
    b->data = b->allocation;
    memset(b->data, 0, bytes);
    return 0;
}

int cpu_buffer_create(struct slt_ctx *ctx, struct slt_buffer **buffer, const char *region,
                      uint64_t bytes, struct slt_error *err)
{
    struct slt_buffer *b = calloc(1, sizeof *b);
    if (b != NULL) {
        b->bytes = bytes;
        const bool sane = bytes < SIZE_MAX / 2;
        if (sane && (bytes >= HUGE_PAGE ? map_buffer(b) : allocate_buffer(b)) == 0) {
            *buffer = b;
            return 0;
        }
    }
    free(b);
    return slt_error_set(err, SLT_ERR_MEMORY, "cannot allocate %llu bytes of memory for %s",
                         (unsigned long long)bytes, region);
}

void *cpu_address(struct slt_buffer *buffer)
{
    return buffer->data;
}

void cpu_buffer_free(struct slt_ctx *ctx, struct slt_buffer *buffer)
{
    if (buffer == NULL)
        return;
    if (buffer->mapped > 0)
        munmap(buffer->allocation, buffer->mapped);
    else
        free(buffer->allocation);
    free(buffer);
}

void cpu_write(struct slt_ctx *ctx, struct slt_buffer *buffer, uint64_t offset, const void *data,
               uint64_t bytes)
{
    assert(offset + bytes <= buffer->bytes);
    if (bytes > 0)
        memcpy(buffer->data + offset, data, bytes);
}

void cpu_read(struct slt_ctx *ctx, void *data, struct slt_buffer *buffer, uint64_t offset,
              uint64_t bytes)
{
    assert(offset + bytes <= buffer->bytes);
    if (bytes > 0)
        memcpy(data, buffer->data + offset, bytes);
}

void cpu_zero(struct slt_ctx *ctx, struct slt_buffer *buffer, uint64_t offset, uint64_t bytes)
{
    assert(offset + bytes <= buffer->bytes);
    const int64_t block = 1 << 20;
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t at = 0; at < (int64_t)bytes; at += block) {
        const int64_t left = (int64_t)bytes - at;
        memset(buffer->data + offset + at, 0, (size_t)(left < block ? left : block));
    }
}

// There is no faster format here.
void cpu_allow_reduced(struct slt_ctx *ctx, bool allow)
{
    (void)ctx;
    (void)allow;
}

// ---- Conversion ----

// Elements [at, at + n); at is a multiple of 8, and n is one except at the end.
static void round_stochastic(uint16_t *to, const float *from, int64_t at, int64_t n,
                             const struct slt_rounding *rounding)
{
    uint32_t word[4] = {0};
    for (int64_t i = 0; i < n; i++) {
        const uint64_t number = rounding->first + (uint64_t)(at + i);
        if (i == 0 || number % 8 == 0)
            slt_random_block(word, rounding->key, number / 8, rounding->lane);
        const uint32_t pair = word[number % 8 / 2];
        to[i] = slt_bf16_stochastic(from[i], (uint16_t)(number % 2 == 0 ? pair : pair >> 16));
    }
}

static void convert_run(struct slt_tensor to, struct slt_tensor from, int64_t at, int64_t n,
                        const struct slt_rounding *rounding)
{
    const size_t to_size = slt_dtype_size(to.dtype), from_size = slt_dtype_size(from.dtype);
    char *t = (char *)cpu_pointer(to) + (size_t)at * to_size;
    const char *f = (const char *)cpu_pointer(from) + (size_t)at * from_size;
    if (to.dtype == from.dtype) {
        memcpy(t, f, (size_t)n * to_size);
    } else if (to.dtype == SLT_F32) {
        for (int64_t i = 0; i < n; i++)
            ((float *)(void *)t)[i] = slt_bf16_value(((const uint16_t *)(const void *)f)[i]);
    } else if (rounding != NULL) {
        round_stochastic((uint16_t *)(void *)t, (const float *)(const void *)f, at, n, rounding);
    } else {
        for (int64_t i = 0; i < n; i++)
            ((uint16_t *)(void *)t)[i] = slt_bf16_nearest(((const float *)(const void *)f)[i]);
    }
}

void cpu_convert(struct slt_ctx *ctx, struct slt_tensor to, struct slt_tensor from,
                 const struct slt_rounding *rounding)
{
    const int64_t n = to.rows * to.cols, run = 1 << 14;
    assert(n == from.rows * from.cols);
#pragma omp parallel for schedule(static) num_threads(ctx->threads) if (n > run)
    for (int64_t at = 0; at < n; at += run)
        convert_run(to, from, at, n - at < run ? n - at : run, rounding);
}

// ---- Activations ----

uint64_t cpu_act_bytes(struct slt_ctx *ctx, enum slt_dtype dtype, int64_t tokens, int64_t features)
{
    return (uint64_t)features * (uint64_t)cpu_act_ld(tokens) * slt_dtype_size(dtype);
}

void cpu_act_write(struct slt_ctx *ctx, struct slt_act act, const void *values)
{
    const int64_t ld = cpu_act_ld(act.tokens);
    const size_t size = slt_dtype_size(act.dtype);
    char *to = cpu_act_pointer(act);
    const char *from = values;
    for (int64_t t = 0; t < act.tokens; t++)
        for (int64_t f = 0; f < act.features; f++)
            memcpy(to + (size_t)(f * ld + t) * size, from + (size_t)(t * act.features + f) * size,
                   size);
}

void cpu_act_read(struct slt_ctx *ctx, void *values, struct slt_act act)
{
    const int64_t ld = cpu_act_ld(act.tokens);
    const size_t size = slt_dtype_size(act.dtype);
    const char *from = cpu_act_pointer(act);
    char *to = values;
    for (int64_t t = 0; t < act.tokens; t++)
        for (int64_t f = 0; f < act.features; f++)
            memcpy(to + (size_t)(t * act.features + f) * size, from + (size_t)(f * ld + t) * size,
                   size);
}

void cpu_act_copy(struct slt_ctx *ctx, struct slt_act y, struct slt_act x)
{
    assert(y.tokens == x.tokens && y.features == x.features && y.dtype == x.dtype);
    const size_t row = (size_t)cpu_act_ld(x.tokens) * slt_dtype_size(x.dtype);
    char *to = cpu_act_pointer(y);
    const char *from = cpu_act_pointer(x);
#pragma omp parallel for schedule(static) num_threads(ctx->threads)
    for (int64_t f = 0; f < x.features; f++)
        memcpy(to + (size_t)f * row, from + (size_t)f * row, row);
}
