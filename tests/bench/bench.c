// What the benchmarks share.
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "slt/clock.h"

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
