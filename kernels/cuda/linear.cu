// Dense products by cuBLASLt: factors in BF16, or in F32 in full or rounded to TF32; sums in F32.
//
// What cuBLASLt needs to know of a product (descriptors, layouts, the chosen algorithm) depends on
// shapes, types and alignment only and is kept: a product that has been asked for before costs one
// look-up. Its workspace is ours, which makes results reproducible.
#include <new>
#include <string.h>

#include "kernels/cuda/cuda.h"

#define WORK  ((size_t)32 << 20)
// What algorithms ask for at most. Finer differences of places would choose among algorithms, which
// round differently, by where a region of memory happens to begin.
#define ALIGNMENT 16
#define SLOTS 1024 // of the table of plans, a power of two; a model needs some dozens

struct key {
    int64_t m, n, k, lda, ldb, ldc; // column-major, as cuBLASLt has them
    uint32_t align[3];              // of the pointers, in bytes, up to ALIGNMENT
    uint8_t transpose[2], type, result, reduced, spare[3];
};

struct plan {
    struct key key;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t layout[3];
    cublasLtMatmulAlgo_t algorithm;
};

struct cuda_products {
    cublasLtHandle_t blas;
    void *work;
    struct plan *slot[SLOTS];
    int count;
};

int cuda_products_create(struct cuda_products **products, struct slt_error *err)
{
    struct cuda_products *p = new (std::nothrow) cuda_products();
    if (p == NULL)
        return cuda_error(err, SLT_ERR_MEMORY, "cannot allocate the plans of products");
    const cudaError_t status = cudaMalloc(&p->work, WORK);
    const cublasStatus_t blas =
        status == cudaSuccess ? cublasLtCreate(&p->blas) : CUBLAS_STATUS_SUCCESS;
    if (status == cudaSuccess && blas == CUBLAS_STATUS_SUCCESS) {
        *products = p;
        return 0;
    }
    const int code = cuda_error(err, SLT_ERR_DEVICE, "cannot use device 'cuda': %s",
                                status != cudaSuccess ? cudaGetErrorString(status)
                                                      : cublasLtGetStatusString(blas));
    cuda_products_free(p);
    return code;
}

static void plan_free(struct plan *p)
{
    for (int i = 0; i < 3; i++)
        if (p->layout[i] != NULL)
            cublasLtMatrixLayoutDestroy(p->layout[i]);
    if (p->product != NULL)
        cublasLtMatmulDescDestroy(p->product);
    delete p;
}

void cuda_products_free(struct cuda_products *p)
{
    if (p == NULL)
        return;
    for (int i = 0; i < SLOTS; i++)
        if (p->slot[i] != NULL)
            plan_free(p->slot[i]);
    if (p->blas != NULL)
        cublasLtDestroy(p->blas);
    cudaFree(p->work);
    delete p;
}

// ---- Plans ----

static uint32_t alignment(const void *pointer)
{
    uint32_t bytes = ALIGNMENT;
    while ((uintptr_t)pointer % bytes != 0)
        bytes /= 2;
    return bytes;
}

static cublasStatus_t set_operation(struct plan *p, cublasLtMatmulDescAttributes_t which,
                                    bool transpose)
{
    const cublasOperation_t op = transpose ? CUBLAS_OP_T : CUBLAS_OP_N;
    return cublasLtMatmulDescSetAttribute(p->product, which, &op, sizeof op);
}

static cublasStatus_t find_algorithm(struct cuda_products *products, struct plan *p)
{
    static const cublasLtMatmulPreferenceAttributes_t aligned[3] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES};
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t found;
    const size_t work = WORK;
    int count = 0;
    cublasStatus_t s = cublasLtMatmulPreferenceCreate(&preference);
    if (s != CUBLAS_STATUS_SUCCESS)
        return s;
    s = cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                             &work, sizeof work);
    for (int i = 0; s == CUBLAS_STATUS_SUCCESS && i < 3; i++)
        s = cublasLtMatmulPreferenceSetAttribute(preference, aligned[i], &p->key.align[i],
                                                 sizeof p->key.align[i]);
    // The result is written over the third matrix, which therefore stands for the fourth.
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatmulPreferenceSetAttribute(preference,
                                                 CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
                                                 &p->key.align[2], sizeof p->key.align[2]);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatmulAlgoGetHeuristic(products->blas, p->product, p->layout[0], p->layout[1],
                                           p->layout[2], p->layout[2], preference, 1, &found,
                                           &count);
    cublasLtMatmulPreferenceDestroy(preference);
    if (s == CUBLAS_STATUS_SUCCESS && count == 0)
        s = CUBLAS_STATUS_NOT_SUPPORTED;
    if (s == CUBLAS_STATUS_SUCCESS)
        p->algorithm = found.algo;
    return s;
}

static cublasStatus_t make_plan(struct cuda_products *products, struct plan *p)
{
    const struct key *k = &p->key;
    const cudaDataType type = k->type == SLT_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    const cudaDataType result = k->result == SLT_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    // Of each matrix as it is stored.
    const uint64_t rows[3] = {(uint64_t)(k->transpose[0] ? k->k : k->m),
                              (uint64_t)(k->transpose[1] ? k->n : k->k), (uint64_t)k->m};
    const uint64_t cols[3] = {(uint64_t)(k->transpose[0] ? k->m : k->k),
                              (uint64_t)(k->transpose[1] ? k->k : k->n), (uint64_t)k->n};
    const int64_t ld[3] = {k->lda, k->ldb, k->ldc};
    cublasStatus_t s = cublasLtMatmulDescCreate(
        &p->product, k->reduced ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = set_operation(p, CUBLASLT_MATMUL_DESC_TRANSA, k->transpose[0]);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = set_operation(p, CUBLASLT_MATMUL_DESC_TRANSB, k->transpose[1]);
    for (int i = 0; s == CUBLAS_STATUS_SUCCESS && i < 3; i++)
        s = cublasLtMatrixLayoutCreate(&p->layout[i], i < 2 ? type : result, rows[i], cols[i],
                                       ld[i]);
    return s == CUBLAS_STATUS_SUCCESS ? find_algorithm(products, p) : s;
}

// FNV-1a.
static uint32_t hash(const struct key *key)
{
    const unsigned char *byte = (const unsigned char *)key;
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < sizeof *key; i++)
        h = (h ^ byte[i]) * 16777619u;
    return h;
}

// The plan of a key, made if it is new; NULL after a failure, which the context keeps.
static const struct plan *find_plan(struct slt_ctx *ctx, const struct key *key)
{
    struct cuda_products *products = ctx->products;
    uint32_t at = hash(key) % SLOTS;
    while (products->slot[at] != NULL) {
        if (memcmp(&products->slot[at]->key, key, sizeof *key) == 0)
            return products->slot[at];
        at = (at + 1) % SLOTS;
    }
    struct plan *p = new (std::nothrow) plan();
    if (p == NULL || products->count == SLOTS - 1) {
        delete p;
        cuda_check(ctx, cudaErrorMemoryAllocation, "planning a product");
        return NULL;
    }
    p->key = *key;
    const cublasStatus_t s = make_plan(products, p);
    if (s != CUBLAS_STATUS_SUCCESS) {
        plan_free(p);
        cuda_check_blas(ctx, s, "planning a product");
        return NULL;
    }
    products->slot[at] = p;
    products->count++;
    return p;
}

// ---- Products ----

// A sum of no products.
template <class T>
static __global__ void scale_elements(T *c, int64_t ld, int64_t cols, float beta, int64_t n)
{
    const int64_t i = cuda_index();
    if (i < n)
        cuda_set(&c[i / cols * ld + i % cols],
                 beta == 0 ? 0 : beta * cuda_value(c[i / cols * ld + i % cols]));
}

template <class T>
static void scale(struct slt_ctx *ctx, struct cuda_matrix c, int64_t rows, int64_t cols,
                  double beta)
{
    SLT_LAUNCH_FLAT(ctx, scale_elements<T>, (unsigned)cuda_blocks(rows * cols, CUDA_BLOCK),
                    CUDA_BLOCK, (T *)c.data, c.ld, cols, (float)beta, rows * cols);
}

// cuBLASLt is column-major: a row-major matrix is the transpose of what it sees, so that c^T =
// op(b)^T op(a)^T is asked for.
void cuda_gemm(struct slt_ctx *ctx, const struct cuda_product &p)
{
    const float times = (float)p.alpha, keep = (float)p.beta;
    if (p.m == 0 || p.n == 0)
        return;
    if (p.k == 0) {
        CUDA_TYPED(p.c.dtype, scale, ctx, p.c, p.m, p.n, p.beta);
        return;
    }
    struct key key;
    memset(&key, 0, sizeof key); // it is compared by its bytes
    key.m = p.n;
    key.n = p.m;
    key.k = p.k;
    key.lda = p.b.ld;
    key.ldb = p.a.ld;
    key.ldc = p.c.ld;
    key.align[0] = alignment(p.b.data);
    key.align[1] = alignment(p.a.data);
    key.align[2] = alignment(p.c.data);
    key.transpose[0] = p.transpose_b;
    key.transpose[1] = p.transpose_a;
    key.type = (uint8_t)p.a.dtype;
    key.result = (uint8_t)p.c.dtype;
    key.reduced = ctx->reduced && p.a.dtype == SLT_F32;
    const struct plan *plan = find_plan(ctx, &key);
    if (plan == NULL)
        return;
    cuda_check_blas(ctx,
                    cublasLtMatmul(ctx->products->blas, plan->product, &times, p.b.data,
                                   plan->layout[0], p.a.data, plan->layout[1], &keep, p.c.data,
                                   plan->layout[2], p.c.data, plan->layout[2], &plan->algorithm,
                                   ctx->products->work, WORK, ctx->stream),
                    "a product");
}

void cuda_allow_reduced(struct slt_ctx *ctx, bool allow)
{
    ctx->reduced = allow;
}

// ---- Factors ----

uint64_t cuda_factor_bytes(enum slt_dtype dtype, int64_t rows, int64_t cols)
{
    return (uint64_t)(rows * cuda_padded(cols)) * slt_dtype_size(dtype);
}

template <class T>
static __global__ void copy_factor(bf16 *to, int64_t ld, const T *from, int64_t from_ld,
                                   int64_t cols, int64_t n)
{
    const int64_t i = cuda_index();
    if (i < n)
        cuda_set(&to[i / cols * ld + i % cols], cuda_value(from[i / cols * from_ld + i % cols]));
}

template <class T>
static void copy(struct slt_ctx *ctx, struct cuda_matrix to, const void *from, int64_t from_ld,
                 int64_t rows, int64_t cols)
{
    SLT_LAUNCH_FLAT(ctx, copy_factor<T>, (unsigned)cuda_blocks(rows * cols, CUDA_BLOCK), CUDA_BLOCK,
                    (bf16 *)to.data, to.ld, (const T *)from, from_ld, cols, rows * cols);
}

struct cuda_matrix cuda_factor(struct slt_ctx *ctx, struct slt_tensor t, enum slt_dtype dtype,
                               uint64_t *used)
{
    const struct cuda_matrix self = {cuda_pointer<void>(t), t.dtype, t.ld};
    struct cuda_matrix copied = {ctx->work + *used, SLT_BF16, cuda_padded(t.cols)};
    const uint64_t room = ctx->work_bytes - *used;
    const bool pads = cuda_factor_bytes(SLT_BF16, t.rows, t.cols) <= room;
    if (dtype == t.dtype && (dtype == SLT_F32 || t.ld % CUDA_ROW_ALIGN == 0 || !pads))
        return self;
    if (!pads)
        copied.ld = t.cols;
    const uint64_t bytes = (uint64_t)(t.rows * copied.ld) * sizeof(bf16);
    if (bytes > room && ctx->error.code == 0)
        cuda_error(&ctx->error, SLT_ERR_DEVICE, "the workspace has no room for a factor");
    if (bytes > room || bytes == 0)
        return self;
    CUDA_TYPED(t.dtype, copy, ctx, copied, self.data, t.ld, t.rows, t.cols);
    *used += bytes;
    return copied;
}

struct cuda_matrix cuda_matrix_of_act(struct slt_act a)
{
    const struct cuda_matrix m = {a.dtype == SLT_BF16 ? (void *)cuda_act<bf16>(a)
                                                      : (void *)cuda_act<float>(a),
                                  a.dtype, cuda_ld(a)};
    return m;
}

static struct cuda_matrix result_of(struct slt_tensor t)
{
    const struct cuda_matrix m = {cuda_pointer<void>(t), t.dtype, t.ld};
    return m;
}

// ---- The table's rows ----

void cuda_linear_forward(struct slt_ctx *ctx, struct slt_act y, double beta, struct slt_act x,
                         struct slt_tensor w, double alpha)
{
    uint64_t used = 0;
    struct cuda_product p = {x.tokens, w.rows, w.cols};
    p.c = cuda_matrix_of_act(y);
    p.beta = beta;
    p.a = cuda_matrix_of_act(x);
    p.b = cuda_factor(ctx, w, x.dtype, &used);
    p.transpose_b = true;
    p.alpha = alpha;
    cuda_gemm(ctx, p);
}

void cuda_linear_backward_input(struct slt_ctx *ctx, struct slt_act dx, double beta,
                                struct slt_act dy, struct slt_tensor w, double alpha)
{
    uint64_t used = 0;
    struct cuda_product p = {dy.tokens, w.cols, w.rows};
    p.c = cuda_matrix_of_act(dx);
    p.beta = beta;
    p.a = cuda_matrix_of_act(dy);
    p.b = cuda_factor(ctx, w, dy.dtype, &used);
    p.alpha = alpha;
    cuda_gemm(ctx, p);
}

void cuda_linear_backward_weight(struct slt_ctx *ctx, struct slt_tensor dw, double beta,
                                 struct slt_act dy, struct slt_act x, double alpha)
{
    struct cuda_product p = {dw.rows, dw.cols, x.tokens};
    p.c = result_of(dw);
    p.beta = beta;
    p.a = cuda_matrix_of_act(dy);
    p.transpose_a = true;
    p.b = cuda_matrix_of_act(x);
    p.alpha = alpha;
    cuda_gemm(ctx, p);
}

void cuda_matmul(struct slt_ctx *ctx, struct slt_tensor c, double beta, struct slt_tensor a,
                 bool transpose_a, struct slt_tensor b, bool transpose_b, double alpha)
{
    const enum slt_dtype dtype = a.dtype == SLT_BF16 || b.dtype == SLT_BF16 ? SLT_BF16 : SLT_F32;
    uint64_t used = 0;
    struct cuda_product p = {c.rows, c.cols, transpose_a ? a.rows : a.cols};
    p.c = result_of(c);
    p.beta = beta;
    p.a = cuda_factor(ctx, a, dtype, &used);
    p.transpose_a = transpose_a;
    p.b = cuda_factor(ctx, b, dtype, &used);
    p.transpose_b = transpose_b;
    p.alpha = alpha;
    cuda_gemm(ctx, p);
}
