// What each backend says it can do: the largest shape it supports and one more, shapes of which
// only the type is known, and the sentences that name a shape.
#include "device.h"
#include "emulated.h"
#include "kernels/cpu/reference.h"
#include "kernels/cpu/sizes.h"

// A shape that is the largest in one of its fields.
struct limit {
    enum slt_op op;
    struct slt_op_shape largest;
    size_t field; // its offset
    int64_t more; // the least that is too much
};

#define FIELD(name)     offsetof(struct slt_op_shape, name)
#define ATTENTION(name) offsetof(struct slt_op_shape, attention.name)
#define THREADS         ((int64_t)256 * INT32_MAX) // of a grid of CUDA's

// Of all backends.
static const struct limit common[] = {
    {SLT_OP_EMBEDDING, {.tokens = 9, .in = 8, .out = INT32_MAX}, FIELD(out), 1},
    {SLT_OP_HEAD_LOSS, {.tokens = 9, .in = 8, .out = INT32_MAX}, FIELD(out), 1},
    {SLT_OP_ATTENTION, {.attention = {1, 9, 4, 2, 64, 0}}, ATTENTION(head_dim), 1},
    {SLT_OP_ATTENTION, {.attention = {1, 9, 4, 2, 64, 0}}, ATTENTION(kv_heads), 1},
    {SLT_OP_SPARSE, {.tokens = 9, .in = INT32_MAX, .out = 8, .nnz = 7}, FIELD(in), 1},
};

static const struct limit cpu[] = {
    {SLT_OP_ATTENTION, {.attention = {1, 9, 4, 2, CPU_HEAD_DIM_MAX, 0}}, ATTENTION(head_dim), 2},
    {SLT_OP_SPARSE, {.tokens = 9, .in = 70000, .out = 70000, .nnz = INT32_MAX}, FIELD(nnz), 1},
    {SLT_OP_BANDS, {.tokens = 9, .in = INT32_MAX, .out = 64, .nnz = 64}, FIELD(in), 1},
    {SLT_OP_BANDS, {.tokens = 9, .in = 64, .out = INT32_MAX, .nnz = 64}, FIELD(out), 1},
    {SLT_OP_ADAM, {.in = CPU_ADAM_RUN, .nnz = 1 << 20}, FIELD(in), 1},
};

static const struct limit cuda[] = {
    {SLT_OP_EMBEDDING, {.tokens = INT32_MAX, .in = 8, .out = 8}, FIELD(tokens), 1},
    {SLT_OP_RMSNORM, {.tokens = 9, .in = 8192}, FIELD(in), 1},
    {SLT_OP_RMSNORM, {.tokens = INT32_MAX, .in = 8}, FIELD(tokens), 1},
    {SLT_OP_SWIGLU, {.tokens = INT32_MAX, .in = 8}, FIELD(tokens), 1},
    {SLT_OP_ATTENTION, {.attention = {1, 9, 4, 2, 256, 0}}, ATTENTION(head_dim), 2},
    {SLT_OP_ATTENTION, {.attention = {1, 9, 65535, 1, 64, 0}}, ATTENTION(heads), 1},
    {SLT_OP_ATTENTION, {.attention = {65535, 9, 4, 2, 64, 0}}, ATTENTION(batch), 1},
    {SLT_OP_ATTENTION, {.attention = {1, 4LL * INT32_MAX, 1, 1, 2, 0}}, ATTENTION(seq), 1},
    {SLT_OP_ATTENTION,
     {.tokens = 4LL * INT32_MAX, .attention = {1, 9, 32, 32, 2, 0}},
     FIELD(tokens),
     1},
    {SLT_OP_LINEAR, {.tokens = INT32_MAX, .in = 8, .out = 8}, FIELD(tokens), 1},
    {SLT_OP_LINEAR, {.tokens = 9, .in = INT32_MAX, .out = 256}, FIELD(out), 1},
    {SLT_OP_LINEAR, {.tokens = 9, .in = 8, .out = 8, .nnz = THREADS}, FIELD(nnz), 1},
    {SLT_OP_HEAD_LOSS, {.tokens = 9, .in = 256, .out = INT32_MAX}, FIELD(in), 1},
    {SLT_OP_SPARSE, {.tokens = INT32_MAX, .in = 8, .out = 256, .nnz = 7}, FIELD(out), 1},
    {SLT_OP_SPARSE, {.tokens = 256, .in = 8, .out = INT32_MAX, .nnz = 7}, FIELD(tokens), 1},
    {SLT_OP_GRAD_NORM, {.nnz = (int64_t)INT32_MAX << 13, .out = 3}, FIELD(nnz), 1},
    {SLT_OP_ADAM, {.nnz = THREADS, .out = 3}, FIELD(nnz), 1},
    {SLT_OP_ADAM, {.nnz = 64LL * INT32_MAX, .in = 64}, FIELD(nnz), 1},
};

static const struct limit bands[] = {
    {SLT_OP_BANDS, {.tokens = 9, .in = 64, .out = 65535 * 16 + 15, .nnz = 64}, FIELD(out), 1},
    {SLT_OP_BANDS, {.tokens = 9, .in = 65535 * 16, .out = 64, .nnz = 64}, FIELD(in), 1},
    {SLT_OP_BANDS,
     {.tokens = 9, .in = 64, .out = 64, .nnz = INT32_MAX / 3 * 16LL + 15},
     FIELD(nnz),
     1},
};

static void test_limits(const struct slt_ops *ops, enum slt_dtype dtype, const struct limit *limit,
                        size_t count)
{
    struct device d = device_open(ops, dtype, 1);
    char text[256];
    for (size_t i = 0; i < count; i++) {
        struct slt_op_shape shape = limit[i].largest;
        int64_t field;
        shape.dtype = dtype;
        CHECK(ops->supports(d.ctx, limit[i].op, &shape), "%s, %s", ops->name,
              slt_op_describe(text, sizeof text, limit[i].op, &shape));
        memcpy(&field, (char *)&shape + limit[i].field, sizeof field);
        field += limit[i].more;
        memcpy((char *)&shape + limit[i].field, &field, sizeof field);
        CHECK(!ops->supports(d.ctx, limit[i].op, &shape), "%s, %s", ops->name,
              slt_op_describe(text, sizeof text, limit[i].op, &shape));
    }
    device_close(&d);
}

#define TEST_LIMITS(ops, dtype, limits)                                                            \
    test_limits(ops, dtype, limits, sizeof limits / sizeof *limits)

// Of each type, whether a backend computes in it, whether it has bands in it (SLT_DTYPE_COUNT: in
// none), and whether it takes weights in codes.
static void test_types(const struct slt_ops *ops, enum slt_dtype own, enum slt_dtype other,
                       enum slt_dtype in_bands, bool codes)
{
    struct device d = device_open(ops, own, 1);
    for (int type = 0; type < SLT_DTYPE_COUNT; type++)
        for (int op = 0; op <= SLT_OP_ADAM; op++) {
            const struct slt_op_shape shape = {.dtype = (enum slt_dtype)type};
            const bool coded = op == SLT_OP_EMBEDDING || op == SLT_OP_LINEAR;
            const bool can =
                shape.dtype == SLT_I8 ? codes && coded : shape.dtype == own || shape.dtype == other;
            const bool want = op == SLT_OP_BANDS ? shape.dtype == in_bands : can;
            CHECK(ops->supports(d.ctx, (enum slt_op)op, &shape) == want, "%s, operation %d in %s",
                  ops->name, op, slt_dtype_name(shape.dtype));
        }
    device_close(&d);
}

static void test_sentences(void)
{
    static const struct {
        const char *sentence;
        enum slt_op op;
        struct slt_op_shape shape;
    } want[] = {
        {"attention with 4 heads of 512 in F32",
         SLT_OP_ATTENTION,
         {.tokens = 64, .in = 2048, .attention = {2, 32, 4, 4, 512, 0}}},
        {"attention with 8 heads and 1 key-value head of 64 in BF16",
         SLT_OP_ATTENTION,
         {.dtype = SLT_BF16, .attention = {2, 32, 8, 1, 64, 0}}},
        {"attention with 1 head of 64, 65536 sequences, in F32",
         SLT_OP_ATTENTION,
         {.attention = {65536, 32, 1, 1, 64, 0}}},
        {"attention in F64", SLT_OP_ATTENTION, {.dtype = SLT_F64}},
        {"RMSNorm of 16384 features in BF16", SLT_OP_RMSNORM, {.dtype = SLT_BF16, .in = 16384}},
        {"SwiGLU of 1376 features, 3000000000 tokens, in F32",
         SLT_OP_SWIGLU,
         {.tokens = 3000000000, .in = 1376}},
        {"embedding of 512 features and 32000 words in F32",
         SLT_OP_EMBEDDING,
         {.in = 512, .out = 32000}},
        {"LM head of 512 features and 32000 words in F32",
         SLT_OP_HEAD_LOSS,
         {.in = 512, .out = 32000}},
        {"linear product of 512 to 1376 features in F32",
         SLT_OP_LINEAR,
         {.in = 512, .out = 1376, .nnz = 512}},
        {"sparse product of 512 to 1376 features with 21135 positions in F32",
         SLT_OP_SPARSE,
         {.in = 512, .out = 1376, .nnz = 21135}},
        {"sparse product in bands in BF16", SLT_OP_BANDS, {.dtype = SLT_BF16}},
        {"norm of gradients of 60000 values in F32", SLT_OP_GRAD_NORM, {.nnz = 60000, .out = 9}},
        {"Adam with moments in blocks of 4096 in F32", SLT_OP_ADAM, {.in = 4096, .nnz = 60000}},
    };
    char text[256];
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        CHECK(strcmp(slt_op_describe(text, sizeof text, want[i].op, &want[i].shape),
                     want[i].sentence) == 0,
              "'%s' instead of '%s'", text, want[i].sentence);
    CHECK(strcmp(slt_op_describe(text, 8, want[0].op, &want[0].shape), "attenti") == 0, "%s", text);
}

int main(void)
{
    static const char *const isas[] = {"avx512", "avx2", "plain"};
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        const struct slt_ops *ops = slt_cpu_ops(isas[i]);
        if (ops == NULL)
            continue;
        test_types(ops, SLT_F32, SLT_F32, SLT_F32, true);
        TEST_LIMITS(ops, SLT_F32, common);
        TEST_LIMITS(ops, SLT_F32, cpu);
    }
    test_types(&slt_cpu_reference_ops, SLT_F32, SLT_F32, SLT_DTYPE_COUNT, true);
    TEST_LIMITS(&slt_cpu_reference_ops, SLT_F32, common);
    test_types(&slt_cpu_reference_f64_ops, SLT_F64, SLT_F64, SLT_DTYPE_COUNT, true);
    TEST_LIMITS(&slt_cpu_reference_f64_ops, SLT_F64, common);
    if (emulated_ops() != NULL) {
        test_types(emulated_ops(), SLT_F32, SLT_BF16, SLT_BF16, false);
        TEST_LIMITS(emulated_ops(), SLT_F32, common);
        TEST_LIMITS(emulated_ops(), SLT_F32, cuda);
        TEST_LIMITS(emulated_ops(), SLT_BF16, cuda);
        TEST_LIMITS(emulated_ops(), SLT_BF16, bands);
    }
    test_sentences();
    return TEST_END();
}
