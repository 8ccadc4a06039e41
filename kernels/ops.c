// Operations in words, and a check that the lists of ops.h name all functions of the table.
#include <stdio.h>

#include "kernels/ops.h"

// ---- The lists ----

#define ONE(op) +1

enum {
    DEVICE = 0 SLT_OPS_OF_DEVICE(ONE),
    BACKEND = 0 SLT_OPS_OF_BACKEND(ONE),
    OPTIONAL = 0 SLT_OPS_OPTIONAL(ONE),
    HOST = 0 SLT_OPS_OF_HOST(ONE),
    COMM = 0 SLT_OPS_OF_COMM(ONE),
    ELEMENTS = 0 SLT_OPS_OF_ELEMENTS(ONE),
    PRODUCTS = 0 SLT_OPS_OF_PRODUCTS(ONE),
    NAMED = 1 + DEVICE + BACKEND + OPTIONAL + HOST + COMM + ELEMENTS + PRODUCTS // and open
};

// A function that no list names would be missing from every table.
_Static_assert(sizeof(struct slt_ops) ==
                   offsetof(struct slt_ops, open) + NAMED * sizeof(void (*)(void)),
               "the lists of ops.h name every function of struct slt_ops");

// ---- Sentences ----

static void describe_attention(char *text, size_t size, const struct slt_attention *a)
{
    char readers[48] = "", dim[32] = "";
    if (a->kv_heads != 0 && a->kv_heads != a->heads)
        snprintf(readers, sizeof readers, " and %lld key-value head%s", (long long)a->kv_heads,
                 a->kv_heads == 1 ? "" : "s");
    if (a->head_dim != 0)
        snprintf(dim, sizeof dim, " of %lld", (long long)a->head_dim);
    if (a->heads != 0)
        snprintf(text, size, " with %lld head%s%s%s", (long long)a->heads, a->heads == 1 ? "" : "s",
                 readers, dim);
}

// " of IN to OUT features with NNZ positions".
static void describe_product(char *text, size_t size, const struct slt_op_shape *s)
{
    int n = 0;
    if (s->in != 0 && s->out != 0)
        n = snprintf(text, size, " of %lld to %lld features", (long long)s->in, (long long)s->out);
    if (s->nnz != 0)
        snprintf(text + n, size - (size_t)n, " with %lld positions", (long long)s->nnz);
}

// What of a shape belongs to an operation; text is empty before.
static void describe_shape(char *text, size_t size, enum slt_op op, const struct slt_op_shape *s)
{
    struct slt_op_shape linear = *s;
    linear.nnz = 0;
    switch (op) {
    case SLT_OP_ATTENTION:
        describe_attention(text, size, &s->attention);
        break;
    case SLT_OP_EMBEDDING:
    case SLT_OP_HEAD_LOSS:
        if (s->in != 0 && s->out != 0)
            snprintf(text, size, " of %lld features and %lld words", (long long)s->in,
                     (long long)s->out);
        break;
    case SLT_OP_RMSNORM:
    case SLT_OP_SWIGLU:
        if (s->in != 0)
            snprintf(text, size, " of %lld features", (long long)s->in);
        break;
    case SLT_OP_LINEAR:
        describe_product(text, size, &linear);
        break;
    case SLT_OP_SPARSE:
    case SLT_OP_BANDS:
        describe_product(text, size, s);
        break;
    case SLT_OP_GRAD_NORM:
        if (s->nnz != 0)
            snprintf(text, size, " of %lld values", (long long)s->nnz);
        break;
    case SLT_OP_ADAM:
        if (s->in != 0)
            snprintf(text, size, " with moments in blocks of %lld", (long long)s->in);
        break;
    }
}

char *slt_op_describe(char *text, size_t size, enum slt_op op, const struct slt_op_shape *shape)
{
    static const char *const name[] = {
        [SLT_OP_EMBEDDING] = "embedding",         [SLT_OP_RMSNORM] = "RMSNorm",
        [SLT_OP_ATTENTION] = "attention",         [SLT_OP_SWIGLU] = "SwiGLU",
        [SLT_OP_HEAD_LOSS] = "LM head",           [SLT_OP_LINEAR] = "linear product",
        [SLT_OP_SPARSE] = "sparse product",       [SLT_OP_BANDS] = "sparse product in bands",
        [SLT_OP_GRAD_NORM] = "norm of gradients", [SLT_OP_ADAM] = "Adam",
    };
    char details[128] = "", many[64] = "";
    describe_shape(details, sizeof details, op, shape);
    // So many that they may be the reason for naming it.
    if (op == SLT_OP_ATTENTION && shape->attention.batch > UINT16_MAX)
        snprintf(many, sizeof many, ", %lld sequences,", (long long)shape->attention.batch);
    else if (shape->tokens > INT32_MAX)
        snprintf(many, sizeof many, ", %lld tokens,", (long long)shape->tokens);
    snprintf(text, size, "%s%s%s in %s", name[op], details, many, slt_dtype_name(shape->dtype));
    return text;
}
