// Dense products as cuBLASLt has them: factors in BF16, or in F32 in full or rounded to TF32; sums
// in F32.
//
// What cuBLASLt needs to know of a product (descriptors, layouts, the chosen algorithm) depends on
// shapes, types and alignment only and is kept: a product that has been asked for before costs one
// look-up. Its workspace is ours, which makes results reproducible.
//
// All products are on one stream, that of dW not beside that of dx. In tiles of 128 x 256 on the 132
// SMs of an H100, 350m with 16,384 tokens: dx has 512 tiles (1024 features) or 1408 (2736), 3.9 and
// 10.7 rounds, of which 3% to 4% stand idle at the end. dW has 32 (o) to 96 (qkv), or 88 to 172, each
// 16,384 deep: too few for a round, but cuBLASLt can cut them along the tokens, as many of them as
// its workspace holds the partial sums of (32 MB, 256 tiles). What a second stream could fill is
// the rest of the last rounds: some 3% of the backward products, less what two products take from
// each other in the second-level cache; it would cost another such workspace, and any copies a second
// place. At ranks of 128 to 512 dh has 128 to 256 tiles and dB 8 to 44, which are cut in the same
// way; each reads dy (34 MB or more) once, at least 10 us, and beside the other would read it from
// the cache. That much there may be to gain, about 10 us a factor: 24 layers x 4 groups x 10 us, 1
// ms of some 100, on the factored route alone, which a GPU takes for low-rank layers and supports in
// bands only. To be measured before it is built.
#include <new>
#include <string.h>

#include "kernels/cuda/cuda.h"

#define WORK ((size_t)32 << 20)
// What algorithms ask for at most. Finer differences of places would choose among algorithms, which
// round differently, by where a region of memory happens to begin.
#define ALIGNMENT 16
#define SLOTS     1024 // of the table of plans, a power of two; a model needs some dozens

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

// cuBLASLt is column-major: a row-major matrix is the transpose of what it sees, so that c^T =
// op(b)^T op(a)^T is asked for.
void cuda_multiply(struct slt_ctx *ctx, const struct cuda_product &p)
{
    const float times = (float)p.alpha, keep = (float)p.beta;
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
