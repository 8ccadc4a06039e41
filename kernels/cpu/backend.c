// What the tables of the fast backend share: the choice among them, what they can do, workspace.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/cpu/product.h"
#include "kernels/cpu/ref.h"
#include "kernels/cpu/sizes.h"
#include "kernels/limits.h"
#include "kernels/norm.h"

// ---- The tables, one for each instruction set (simd_table.c) ----

extern const struct slt_ops cpu_ops_plain;

static bool has_plain(void)
{
    return true;
}

#if defined(__x86_64__)
extern const struct slt_ops cpu_ops_avx512, cpu_ops_avx2;

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

// The best one first.
static const struct {
    const char *name;
    const struct slt_ops *ops;
    bool (*present)(void);
} tables[] = {
#if defined(__x86_64__)
    {"avx512", &cpu_ops_avx512, has_avx512},
    {"avx2", &cpu_ops_avx2, has_avx2},
#endif
    {"plain", &cpu_ops_plain, has_plain},
};

const struct slt_ops *slt_cpu_ops(const char *isa)
{
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if ((isa == NULL || strcmp(isa, tables[i].name) == 0) && tables[i].present())
            return tables[i].ops;
    return NULL;
}

// ---- Rows that do not depend on the instruction set ----

char *cpu_describe(struct slt_ctx *ctx, char *text, size_t size)
{
    snprintf(text, size, "CPU, %s, %d thread%s", ctx->isa->name, ctx->threads,
             ctx->threads == 1 ? "" : "s");
    return text;
}

bool cpu_supports(struct slt_ctx *ctx, enum slt_op op, const struct slt_op_shape *shape)
{
    const bool coded = shape->dtype == SLT_I8 && slt_op_takes_codes(op);
    if ((shape->dtype != SLT_F32 && !coded) || !slt_op_shape_is_possible(op, shape))
        return false;
    if (op == SLT_OP_ATTENTION) // tiles have so many rows
        return shape->attention.head_dim <= CPU_HEAD_DIM_MAX;
    if (op == SLT_OP_SPARSE) // the places of positions in the order of rows have 32 bits
        return shape->nnz <= INT32_MAX;
    if (op == SLT_OP_BANDS) // first rows are I32
        return shape->out <= INT32_MAX;
    if (op == SLT_OP_ADAM) // a block of moments is worked out on the stack
        return shape->in <= CPU_ADAM_RUN;
    return true;
}

// Tiles for each thread, or a row of scores for each.
static uint64_t attention_bytes(const struct slt_ctx *ctx, const struct slt_attention *a)
{
    const uint64_t scores = cpu_piece((uint64_t)cpu_act_ld(a->position), sizeof(float));
    return (uint64_t)ctx->threads * (scores > CPU_TILES_BYTES ? scores : CPU_TILES_BYTES);
}

// Logits and x^T of a chunk of tokens, the loss of every token.
static uint64_t head_bytes(const struct slt_op_shape *s)
{
    const int64_t chunk = s->tokens < CPU_HEAD_CHUNK ? s->tokens : CPU_HEAD_CHUNK;
    return cpu_piece((uint64_t)(s->out * cpu_head_ld(chunk) + chunk * s->in + s->tokens),
                     sizeof(float));
}

uint64_t cpu_work_bytes(struct slt_ctx *ctx, enum slt_op op, const struct slt_op_shape *shape)
{
    const uint64_t one_token = ref_work_bytes(ctx, op, shape);
    uint64_t bytes = 0;
    if (op == SLT_OP_LINEAR)
        bytes = cpu_linear_work_bytes(ctx, shape);
    else if (op == SLT_OP_SPARSE)
        bytes = cpu_sparse_work_bytes(ctx, shape);
    else if (op == SLT_OP_BANDS) // the packed values
        bytes = cpu_piece((uint64_t)shape->nnz, sizeof(float));
    else if (op == SLT_OP_ATTENTION)
        bytes = attention_bytes(ctx, &shape->attention);
    else if (op == SLT_OP_HEAD_LOSS)
        bytes = head_bytes(shape);
    else if (op == SLT_OP_GRAD_NORM) // a partial sum of each block of a tensor
        bytes = cpu_piece((uint64_t)(shape->nnz / SLT_NORM_BLOCK + 1), sizeof(double));
    return bytes > one_token ? bytes : one_token;
}

// ---- Norms of what several processes have parts of ----

void cpu_norm_of_squares(struct slt_ctx *ctx, struct slt_tensor scalars, struct slt_tensor sums)
{
    double squares = 0;
    for (int64_t i = 0; i < sums.cols; i++)
        squares += cpu_tensor_f64(sums)[i];
    slt_norm_finish(cpu_tensor_f64(scalars), sqrt(squares));
}
