// Linear products: what cuBLASLt (products.cu) is given.
//
// Rows of BF16 that do not start at multiples of 16 bytes are slow for it, and of some it may have
// no algorithm at all; so is a result in F32 whose rows do not. It never sees such: what does not
// lie so is copied into the workspace, rows padded, which moves each element once in and, of a
// result, once out. Padding also fills the extents up to multiples of 8 where it is at hand on both
// sides: those of 5461 features become 5464. Products of F32 factors are left as they are: every
// algorithm for them takes single elements.
//
// Copies of activations are made of CUDA_COPY_TOKENS at once, whole ones of weights and of their
// gradients: of a down weight of 1b (2048, 5461) 22 + 22 MB, 13 us at 3.35 TB/s, 9 at 4.8, and of
// its gradient, added to, 45 written by the product, then 45 + 45 read and 45 written, 54 us and
// 37; the product itself has 366 GFLOP, about 600 us. No shape of 350m has a copy. The kernels have
// 12 to 19 registers (sm_90a) and no spills.
#include "kernels/cuda/cuda.h"

// ---- Copies ----

#define PACK 8 // elements of a copy that a thread has

// to (rows, ld) = from (rows, cols), zeros behind: a block of 32 x 8 threads for 8 rows, a thread
// for a pack, which it stores at once.
template <class T>
static __global__ void pad_rows(bf16 *to, int64_t ld, const T *from, int64_t from_ld, int64_t rows,
                                int64_t cols)
{
    const int64_t row = (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
    const int64_t first = ((int64_t)blockIdx.y * blockDim.x + threadIdx.x) * PACK;
    float v[PACK];
    if (row >= rows || first >= ld)
        return;
#pragma unroll
    for (int i = 0; i < PACK; i++)
        v[i] = first + i < cols ? cuda_value(from[row * from_ld + first + i]) : 0;
    cuda_store<PACK>(&to[row * ld + first], v);
}

// to (rows, cols) = beta to + from: blocks as above; a thread has every 32nd element of a row, so
// that its neighbours read and write what lies next to it.
template <class T>
static __global__ void blend_rows(T *to, int64_t ld, float beta, const float *from, int64_t from_ld,
                                  int64_t rows, int64_t cols)
{
    const int64_t row = (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
    const int64_t first = (int64_t)blockIdx.y * blockDim.x * PACK + threadIdx.x;
    if (row >= rows)
        return;
#pragma unroll
    for (int i = 0; i < PACK; i++) {
        const int64_t c = first + i * CUDA_WARP;
        if (c >= cols)
            return;
        const float x = from[row * from_ld + c];
        cuda_set(&to[row * ld + c], beta == 0 ? x : beta * cuda_value(to[row * ld + c]) + x);
    }
}

// Zeros what lies behind cols elements of each row: a thread for each.
static __global__ void clear_padding(bf16 *x, int64_t ld, int64_t rows, int64_t cols, int64_t upto)
{
    const int64_t row = cuda_index();
    for (int64_t c = cols; row < rows && c < upto; c++)
        cuda_set(&x[row * ld + c], 0);
}

static void clear(struct slt_ctx *ctx, const struct cuda_matrix &m, int64_t rows, int64_t cols,
                  int64_t upto)
{
    if (!m.cleared)
        SLT_LAUNCH_FLAT(ctx, clear_padding, (unsigned)cuda_blocks(rows, CUDA_BLOCK), CUDA_BLOCK,
                        (bf16 *)m.data, m.ld, rows, cols, upto);
}

static dim3 copy_grid(int64_t rows, int64_t cols)
{
    return dim3((unsigned)cuda_blocks(rows, CUDA_BLOCK / CUDA_WARP),
                (unsigned)cuda_blocks(cols, CUDA_WARP * PACK));
}

#define COPY_BLOCK dim3(CUDA_WARP, CUDA_BLOCK / CUDA_WARP)

template <class T>
static void pad(struct slt_ctx *ctx, struct cuda_matrix to, struct cuda_matrix from, int64_t rows,
                int64_t cols)
{
    SLT_LAUNCH_FLAT(ctx, pad_rows<T>, copy_grid(rows, cols), COPY_BLOCK, (bf16 *)to.data, to.ld,
                    (const T *)from.data, from.ld, rows, cols);
}

template <class T>
static void blend(struct slt_ctx *ctx, struct cuda_matrix to, double beta, struct cuda_matrix from,
                  int64_t rows, int64_t cols)
{
    SLT_LAUNCH_FLAT(ctx, blend_rows<T>, copy_grid(rows, cols), COPY_BLOCK, (T *)to.data, to.ld,
                    (float)beta, (const float *)from.data, from.ld, rows, cols);
}

static uint64_t size_of(const struct cuda_matrix &m)
{
    return slt_dtype_size(m.dtype);
}

static bool is_aligned(const struct cuda_matrix &m)
{
    return (uintptr_t)m.data % 16 == 0 && (uint64_t)m.ld * size_of(m) % 16 == 0;
}

uint64_t cuda_factor_bytes(enum slt_dtype dtype, int64_t rows, int64_t cols)
{
    return (uint64_t)(rows * cuda_padded(cols)) * slt_dtype_size(dtype);
}

// A place for (rows, cols), rows padded, behind *used of the workspace; no data if there is none.
static struct cuda_matrix take(struct slt_ctx *ctx, uint64_t *used, enum slt_dtype dtype,
                               int64_t rows, int64_t cols)
{
    const uint64_t bytes = cuda_factor_bytes(dtype, rows, cols);
    struct cuda_matrix m = {cuda_work(ctx, *used), dtype, cuda_padded(cols)};
    m.padding = m.ld - cols;
    if (bytes <= ctx->work_bytes - *used) {
        *used += bytes;
        return m;
    }
    if (ctx->error.code == 0)
        cuda_error(&ctx->error, SLT_ERR_DEVICE, "the workspace has no room for a factor");
    m.data = NULL;
    return m;
}

static struct cuda_matrix copied(struct slt_ctx *ctx, uint64_t *used, struct cuda_matrix from,
                                 int64_t rows, int64_t cols)
{
    struct cuda_matrix to = take(ctx, used, SLT_BF16, rows, cols);
    if (to.data != NULL)
        CUDA_TYPED(from.dtype, pad, ctx, to, from, rows, cols);
    to.cleared = true;
    return to;
}

static struct cuda_matrix matrix_of(struct slt_tensor t)
{
    const struct cuda_matrix m = {cuda_pointer<void>(t), t.dtype, t.ld, t.ld - t.cols};
    return m;
}

struct cuda_matrix cuda_factor(struct slt_ctx *ctx, struct slt_tensor t, enum slt_dtype dtype,
                               uint64_t *used)
{
    const struct cuda_matrix self = matrix_of(t);
    if ((dtype == t.dtype && (dtype == SLT_F32 || is_aligned(self))) || t.rows * t.cols == 0)
        return self;
    return copied(ctx, used, self, t.rows, t.cols);
}

struct cuda_matrix cuda_matrix_of_act(struct slt_act a)
{
    struct cuda_matrix m = {a.dtype == SLT_BF16 ? (void *)cuda_act<bf16>(a)
                                                : (void *)cuda_act<float>(a),
                            a.dtype, cuda_ld(a)};
    m.padding = a.first + a.features == a.width ? m.ld - a.width : 0;
    return m;
}

struct cuda_matrix cuda_matrix_rows(struct cuda_matrix m, int64_t first)
{
    m.data = (char *)m.data + (uint64_t)(first * m.ld) * size_of(m);
    return m;
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

// The product of BF16 factors that all lie as they should, with extents filled up.
static void multiply(struct slt_ctx *ctx, struct cuda_product p)
{
    const int64_t n = cuda_padded(p.n), k = cuda_padded(p.k);
    // What is written there is nobody's.
    if (!p.transpose_b && p.c.padding >= n - p.n && p.b.padding >= n - p.n)
        p.n = n;
    if (k > p.k && !p.transpose_a && p.transpose_b && p.a.padding >= k - p.k &&
        p.b.padding >= k - p.k) {
        clear(ctx, p.a, p.m, p.k, k); // both: NaN times zero would count
        clear(ctx, p.b, p.n, p.k, k);
        p.k = k;
    }
    cuda_multiply(ctx, p);
}

// Columns [first, ...) of a matrix.
static struct cuda_matrix columns_from(struct cuda_matrix m, int64_t first)
{
    m.data = (char *)m.data + (uint64_t)first * size_of(m);
    return m;
}

// The product of BF16 factors, some of which, or the result, are copied: run after run of the
// tokens, which are the rows of a, and of c or of b.
static void multiply_copies(struct slt_ctx *ctx, struct cuda_product p)
{
    const bool sums = p.transpose_a, with_b = sums && !p.transpose_b; // tokens are added up
    const bool copies_a = !is_aligned(p.a), copies_b = !is_aligned(p.b),
               copies_c = !is_aligned(p.c);
    const int64_t tokens = sums ? p.k : p.m;
    const bool in_runs = copies_a || (copies_b && with_b) || (copies_c && !sums);
    const int64_t run = in_runs && tokens > CUDA_COPY_TOKENS ? CUDA_COPY_TOKENS : tokens;
    struct cuda_matrix c = p.c;
    if (copies_b && !with_b)
        p.b = copied(ctx, &p.used, p.b, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n);
    if (copies_c)
        c = take(ctx, &p.used, SLT_F32, sums ? p.m : run, p.n);
    for (int64_t first = 0; first < tokens && ctx->error.code == 0; first += run) {
        struct cuda_product part = p;
        const int64_t n = tokens - first < run ? tokens - first : run;
        (sums ? part.k : part.m) = n;
        part.a = cuda_matrix_rows(p.a, first);
        if (copies_a)
            part.a = copied(ctx, &part.used, part.a, n, sums ? p.m : p.k);
        if (sums)
            part.b = with_b ? cuda_matrix_rows(p.b, first) : columns_from(p.b, first);
        if (copies_b && with_b)
            part.b = copied(ctx, &part.used, part.b, n, p.n);
        part.c = copies_c || sums ? c : cuda_matrix_rows(c, first);
        part.beta = sums && first > 0 ? 1 : copies_c ? 0 : p.beta;
        if (ctx->error.code == 0)
            multiply(ctx, part);
        if (copies_c && (!sums || first + n == tokens))
            CUDA_TYPED(p.c.dtype, blend, ctx, cuda_matrix_rows(p.c, sums ? 0 : first), p.beta, c,
                       part.m, p.n);
    }
}

void cuda_gemm(struct slt_ctx *ctx, const struct cuda_product &p)
{
    if (p.m == 0 || p.n == 0 || (p.k > 0 && (p.a.data == NULL || p.b.data == NULL)))
        return;
    if (p.k == 0)
        CUDA_TYPED(p.c.dtype, scale, ctx, p.c, p.m, p.n, p.beta);
    else if (p.a.dtype != SLT_BF16)
        cuda_multiply(ctx, p);
    else if (is_aligned(p.a) && is_aligned(p.b) && is_aligned(p.c))
        multiply(ctx, p);
    else
        multiply_copies(ctx, p);
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
    p.used = used;
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
    p.used = used;
    cuda_gemm(ctx, p);
}

void cuda_linear_backward_weight(struct slt_ctx *ctx, struct slt_tensor dw, double beta,
                                 struct slt_act dy, struct slt_act x, double alpha)
{
    struct cuda_product p = {dw.rows, dw.cols, x.tokens};
    p.c = matrix_of(dw);
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
    p.c = matrix_of(c);
    p.beta = beta;
    p.a = cuda_factor(ctx, a, dtype, &used);
    p.transpose_a = transpose_a;
    p.b = cuda_factor(ctx, b, dtype, &used);
    p.transpose_b = transpose_b;
    p.alpha = alpha;
    p.used = used;
    cuda_gemm(ctx, p);
}
