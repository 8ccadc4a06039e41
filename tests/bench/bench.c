// What the benchmarks share.
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "core/bfloat.h"
#include "core/least.h"
#include "slt/clock.h"
#include "slt/random.h"

#define N 2048

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_quantile(double *values, int n, double q)
{
    qsort(values, (size_t)n, sizeof *values, ascending);
    return values[(int)(q * (n - 1) + 0.5)];
}

const struct slt_ops *bench_ops(const char *isa)
{
    const struct slt_ops *ops = slt_cpu_ops(isa);
    dnnl_cpu_isa_t most = dnnl_cpu_isa_all;
    if (isa != NULL && strcmp(isa, "avx2") == 0)
        most = dnnl_cpu_isa_avx2;
    else if (isa != NULL && strcmp(isa, "plain") == 0)
        most = dnnl_cpu_isa_sse41;
    if (ops == NULL || dnnl_set_max_cpu_isa(most) != dnnl_success) {
        fprintf(stderr, "bench: this machine cannot do '%s'\n", isa != NULL ? isa : "plain");
        exit(1);
    }
    return ops;
}

double bench_sgemm_rate(void)
{
    static float *a, *b, *c;
    const size_t size = (size_t)N * N;
    if (a == NULL) {
        a = malloc(size * sizeof *a);
        b = malloc(size * sizeof *b);
        c = malloc(size * sizeof *c);
        for (size_t i = 0; i < size; i++) {
            a[i] = (float)(i % 251) / 251;
            b[i] = (float)(i % 239) / 239;
            c[i] = 0;
        }
    }
    double best = 0;
    for (int i = 0; i < 3; i++) {
        const double start = slt_clock_now();
        dnnl_sgemm('N', 'N', N, N, N, 1, a, N, b, N, 0, c, N);
        const double rate = 2.0 * N * N * N / (slt_clock_now() - start) * 1e-9;
        best = rate > best ? rate : best;
    }
    return best;
}

void bench_threads(int threads)
{
    omp_set_num_threads(threads);
}

void bench_die(const struct slt_error *err)
{
    fprintf(stderr, "bench: %s\n", err->message);
    exit(1);
}

// ---- Data and weights ----

static void write_tokens(const char *path, int64_t vocab, int64_t count)
{
    struct slt_error err;
    struct slt_output *out;
    struct slt_tokens_writer *writer;
    const struct slt_tokens_header header = {
        .vocab_size = (uint32_t)vocab, .eos = 1, .pad = SLT_TOKEN_NONE};
    const struct slt_random_key key = slt_random_key("bench", "tokens", 1);
    uint32_t ids[1024];
    if (slt_output_open(&out, path, NULL, &err) != 0 ||
        slt_tokens_create(&writer, out, &header, &err) != 0)
        bench_die(&err);
    for (int64_t at = 0; at < count; at += 1024) {
        for (uint32_t i = 0; i < 1024; i += 4) {
            slt_random_block(ids + i, key, (uint64_t)at + i, 0);
            for (int k = 0; k < 4; k++)
                ids[i + (uint32_t)k] = 2 + ids[i + (uint32_t)k] % ((uint32_t)vocab - 2);
        }
        if (slt_tokens_append(writer, ids, 1024, 4096, &err) != 0)
            bench_die(&err);
    }
    if (slt_tokens_finish(writer, NULL, &err) != 0 || slt_output_publish(out, &err) != 0)
        bench_die(&err);
}

struct slt_tokens *bench_tokens(int64_t vocab, int64_t count)
{
    char path[] = "/tmp/slt-bench-XXXXXX";
    struct slt_error err;
    struct slt_input *in;
    struct slt_tokens *tokens;
    const int fd = mkstemp(path);
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    close(fd);
    write_tokens(path, vocab, count);
    if (slt_input_open(&in, path, NULL, &err) != 0 || slt_tokens_open(&tokens, in, &err) != 0)
        bench_die(&err);
    unlink(path);
    return tokens;
}

// The same values again and again, by large copies: a model of a GPU's size has them in seconds.
void bench_fill_weights(struct slt_model *m)
{
    enum { CHUNK = 1 << 20 };
    float *values = malloc(CHUNK * sizeof *values);
    uint16_t *rounded = malloc(CHUNK * sizeof *rounded);
    slt_random_uniform(values, slt_random_key("bench", "weights", 1), 0, CHUNK, 0.03f);
    for (int i = 0; i < CHUNK; i++)
        rounded[i] = slt_bf16_nearest(values[i]);
    for (int p = 0; p < m->part_count; p++) {
        const struct slt_tensor t = m->part[p].value;
        const uint64_t size = slt_dtype_size(t.dtype);
        for (int64_t at = 0; at < t.rows * t.cols; at += CHUNK)
            m->ops->write(m->ctx, t.buffer, t.offset + (uint64_t)at * size,
                          t.dtype == SLT_BF16 ? (const void *)rounded : values,
                          (uint64_t)slt_least(t.rows * t.cols - at, CHUNK) * size);
    }
    free(values);
    free(rounded);
}
