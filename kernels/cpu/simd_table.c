// The table of operations of one instruction set.
#include "kernels/cpu/product.h"
#include "kernels/cpu/simd_ops.h"

// Route costs are fitted to tests/bench/bench_routes.c on machines with these instruction sets;
// that of plain C is a guess.
#if defined(__AVX512F__)
#define NAME       "AVX-512"
#define ROUTE_COST 8.6, 450, 40, 5.3
#elif defined(__AVX2__)
#define NAME       "AVX2"
#define ROUTE_COST 10, 450, 45, 4.2
#else
#define NAME       "plain C"
#define ROUTE_COST 20, 450, 40, 5.3
#endif

static const struct cpu_isa isa = {NAME, &SIMD(cpu_linear_kernels), &SIMD(cpu_sparse_kernels),
                                   &SIMD(cpu_band_kernels)};

static int open(struct slt_ctx **ctx, const struct slt_ops_options *options, struct slt_error *err)
{
    int rc = cpu_open(ctx, options, err);
    if (rc == 0)
        (*ctx)->isa = &isa;
    return rc;
}

extern const struct slt_ops SIMD(cpu_ops);

#define CPU_ROW(op)  .op = cpu_##op,
#define SIMD_ROW(op) .op = SIMD(cpu_##op),

const struct slt_ops SIMD(cpu_ops) = {
    .version = SLT_OPS_VERSION,
    .name = "cpu",
    .route_cost = {ROUTE_COST},
    .micro_tokens = 4096,
    .open = open,
    SLT_OPS_OF_DEVICE(CPU_ROW)    // memory.c, backend.c
    SLT_OPS_OF_BACKEND(CPU_ROW)   // backend.c
    SLT_OPS_OF_ELEMENTS(SIMD_ROW) // simd_*.c; for one token alone most call the reference
    SLT_OPS_OF_HOST(CPU_ROW)      // memory.c
    SLT_OPS_OF_PRODUCTS(CPU_ROW)  // linear.c, sparse.c: inner loops come from the context
};
