// The sparse products on tensor cores, where positions lie in bands of 16 rows with the same
// columns (supports of blocks): V, the values of a band, is a dense (16, K) matrix.
//
// Activations are transposed first, a chunk of tokens at a time, so that the K columns of a band
// are K runs of tokens. The products (M, N) over K:
//   forward   y^T[band] += V x^T[columns]           M rows of the band, N tokens, K columns
//   inputs    dx^T[16 columns] += V^T dy^T[bands]   M columns, N tokens, K the rows of all bands
//                                                   that have one of the columns
//   samples   dV = dy^T[band] x^T[columns]^T        M rows of the band, N columns, K tokens
//
// Every sum has one owner. A block reads each of its K runs of 128 tokens once.
//
// Workspace: x^T (in, chunk) and dy^T (out, chunk).
#include "kernels/cuda/mma.h"
#include "kernels/cuda/sparse.h"

#define BLOCK  128 // threads
#define BAND   SLT_BAND_ROWS
#define GROUP  SLT_BAND_COLUMNS
#define TOKENS 128 // of a block
#define CHUNK  CUDA_BLOCKS_CHUNK
#define STEP   32 // columns at once
#define PAD    8

// As struct slt_csr has them.
struct bands {
    const int32_t *row;   // (bands): the first row of each, negative for none
    const int32_t *start; // (groups + 1): the first part of each group of columns
    const int32_t *part;  // (parts, 3): the band's first row, the first position, their number
};

static struct bands bands_of(struct slt_csr s)
{
    struct bands b = {cuda_pointer<int32_t>(s.band_row), cuda_pointer<int32_t>(s.group_start),
                      cuda_pointer<int32_t>(s.group_part)};
    return b;
}

bool cuda_has_bands(struct slt_csr s, struct slt_act x)
{
    return slt_csr_has_bands(&s) && x.dtype == SLT_BF16;
}

static int64_t chunk_of(int64_t tokens)
{
    return cuda_blocks(tokens < CHUNK ? tokens : CHUNK, TOKENS) * TOKENS;
}

uint64_t cuda_blocks_work_bytes(const struct slt_op_shape *s)
{
    return (uint64_t)((s->in + s->out) * chunk_of(s->tokens)) * sizeof(bf16);
}

// ---- Transposed activations ----

// to (features, ld) = the transpose of from (tokens, features), zeros up to ld. A block of 32 x 8
// threads has 32 x 32 elements.
static __global__ void transpose_tile(bf16 *to, int64_t ld, const bf16 *from, int64_t from_ld,
                                      int64_t tokens, int64_t features)
{
    __shared__ bf16 tile[CUDA_WARP][CUDA_WARP + 2];
    const int64_t t0 = (int64_t)blockIdx.x * CUDA_WARP, f0 = (int64_t)blockIdx.y * CUDA_WARP;
    for (int i = threadIdx.y; i < CUDA_WARP; i += blockDim.y) {
        const int64_t t = t0 + i, f = f0 + threadIdx.x;
        cuda_set(&tile[i][threadIdx.x], 0);
        if (t < tokens && f < features)
            tile[i][threadIdx.x] = from[t * from_ld + f];
    }
    __syncthreads();
    for (int i = threadIdx.y; i < CUDA_WARP; i += blockDim.y)
        if (f0 + i < features)
            to[(f0 + i) * ld + t0 + threadIdx.x] = tile[threadIdx.x][i];
}

static void transpose(struct slt_ctx *ctx, bf16 *to, int64_t ld, struct slt_act from, int64_t first,
                      int64_t tokens)
{
    const dim3 grid((unsigned)(ld / CUDA_WARP), (unsigned)cuda_blocks(from.features, CUDA_WARP));
    SLT_LAUNCH(ctx, transpose_tile, grid, dim3(CUDA_WARP, 8), to, ld,
               cuda_act<bf16>(from) + first * cuda_ld(from), cuda_ld(from), tokens, from.features);
}

// ---- Products ----

// Copies a run of tokens of a transposed activation into a row of a tile.
static __device__ __forceinline__ void load_run(bf16 *to, const bf16 *from, int64_t ld, int64_t row,
                                                int64_t first, bool is_there)
{
    cuda_pack<bf16, 8> pack = {};
    if (is_there)
        pack = *(const cuda_pack<bf16, 8> *)(const void *)(from + row * ld + first);
    *(cuda_pack<bf16, 8> *)(void *)to = pack;
}

// sum (16 rows, 32 tokens of the warp) += a x for a tile x (16, TOKENS) by rows.
static __device__ __forceinline__ void multiply_tokens(float (*sum)[4], const uint32_t a[4],
                                                       const bf16 *x)
{
    const unsigned warp = threadIdx.x / CUDA_WARP;
#pragma unroll
    for (int n = 0; n < 2; n++) {
        uint32_t b[4];
        cuda_load_b_rows<TOKENS + PAD>(b, x + warp * 32 + n * 16);
        cuda_mma(sum[2 * n], a, b);
        cuda_mma(sum[2 * n + 1], a, b + 2);
    }
}

// y[t, first + row] += sum[row, t], for rows below count.
static __device__ void add_tokens(bf16 *y, int64_t ld, int64_t first, int64_t count, int64_t tokens,
                                  const float (*sum)[4])
{
    const unsigned warp = threadIdx.x / CUDA_WARP, lane = threadIdx.x % CUDA_WARP;
#pragma unroll
    for (int n = 0; n < 4; n++)
#pragma unroll
        for (int c = 0; c < 4; c++) {
            const int64_t row = lane / 4 + c / 2 * 8;
            const int64_t t =
                (int64_t)blockIdx.x * TOKENS + warp * 32 + n * 8 + lane % 4 * 2 + c % 2;
            if (row < count && t < tokens) {
                bf16 *to = &y[t * ld + first + row];
                cuda_set(to, cuda_value(*to) + sum[n][c]);
            }
        }
}

// Grid: tiles of tokens, bands.
static __global__ void __launch_bounds__(BLOCK)
    band_outputs(bf16 *y, int64_t ldy, const bf16 *xt, int64_t ld, struct cuda_sparse s,
                 const bf16 *value, struct bands bands, int64_t tokens)
{
    __shared__ __align__(16) bf16 v[BAND * (STEP + PAD)], x[STEP * (TOKENS + PAD)];
    const int64_t row = bands.row[blockIdx.y], t0 = (int64_t)blockIdx.x * TOKENS;
    if (row < 0)
        return;
    const int64_t at = s.start[row], count = s.start[row + 1] - at;
    float sum[4][4] = {};
    for (int64_t k0 = 0; k0 < count; k0 += STEP) {
        __syncthreads();
        for (int i = threadIdx.x; i < BAND * STEP; i += BLOCK) {
            const int r = i / STEP, k = i % STEP;
            bf16 *to = &v[r * (STEP + PAD) + k];
            cuda_set(to, 0);
            if (k0 + k < count)
                *to = value[at + r * count + k0 + k];
        }
        for (int i = threadIdx.x; i < STEP * (TOKENS / 8); i += BLOCK) {
            const int k = i / (TOKENS / 8), t = i % (TOKENS / 8) * 8;
            const bool is_there = k0 + k < count;
            load_run(&x[k * (TOKENS + PAD) + t], xt, ld, is_there ? cuda_column(s, at + k0 + k) : 0,
                     t0 + t, is_there);
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < STEP; k += 16) {
            uint32_t a[4];
            cuda_load_a<STEP + PAD>(a, v + k);
            multiply_tokens(sum, a, x + k * (TOKENS + PAD));
        }
    }
    add_tokens(y, ldy, row, BAND, tokens, sum);
}

// Grid: tiles of tokens, groups of 16 columns.
static __global__ void __launch_bounds__(BLOCK)
    band_inputs(bf16 *dx, int64_t ldx, const bf16 *dyt, int64_t ld, struct cuda_sparse s,
                const bf16 *value, struct bands bands, int64_t tokens)
{
    __shared__ __align__(16) bf16 v[BAND * (GROUP + PAD)], dy[BAND * (TOKENS + PAD)];
    const int64_t c0 = (int64_t)blockIdx.y * GROUP, t0 = (int64_t)blockIdx.x * TOKENS;
    float sum[4][4] = {};
    for (int32_t p = bands.start[blockIdx.y]; p < bands.start[blockIdx.y + 1]; p++) {
        const int64_t row = bands.part[3 * p], first = bands.part[3 * p + 1];
        const int width = bands.part[3 * p + 2];
        const int64_t at = s.start[row], count = s.start[row + 1] - at;
        __syncthreads();
        for (int i = threadIdx.x; i < BAND * GROUP; i += BLOCK)
            cuda_set(&v[i / GROUP * (GROUP + PAD) + i % GROUP], 0);
        for (int i = threadIdx.x; i < BAND * (TOKENS / 8); i += BLOCK) {
            const int r = i / (TOKENS / 8), t = i % (TOKENS / 8) * 8;
            load_run(&dy[r * (TOKENS + PAD) + t], dyt, ld, row + r, t0 + t, true);
        }
        __syncthreads();
        for (int i = threadIdx.x; i < BAND * width; i += BLOCK) {
            const int r = i / width, k = i % width;
            v[r * (GROUP + PAD) + cuda_column(s, at + first + k) - c0] =
                value[at + r * count + first + k];
        }
        __syncthreads();
        uint32_t a[4];
        cuda_load_a_transposed<GROUP + PAD>(a, v);
        multiply_tokens(sum, a, dy);
    }
    add_tokens(dx, ldx, c0, s.cols - c0 < GROUP ? s.cols - c0 : GROUP, tokens, sum);
}

// Grid: bands, runs of 64 of their columns. ld tokens are all there, the last ones zeros.
static __global__ void __launch_bounds__(BLOCK)
    band_samples(float *dvalue, float beta, const bf16 *dyt, const bf16 *xt, int64_t ld,
                 struct cuda_sparse s, struct bands bands)
{
    __shared__ __align__(16) bf16 dy[BAND * (64 + PAD)], x[64 * (64 + PAD)];
    const int64_t row = bands.row[blockIdx.x], k0 = (int64_t)blockIdx.y * 64;
    const unsigned warp = threadIdx.x / CUDA_WARP, lane = threadIdx.x % CUDA_WARP;
    if (row < 0 || k0 >= s.start[row + 1] - s.start[row])
        return;
    const int64_t at = s.start[row], count = s.start[row + 1] - at;
    float sum[2][4] = {};
    for (int64_t t0 = 0; t0 < ld; t0 += 64) {
        __syncthreads();
        for (int i = threadIdx.x; i < BAND * 8; i += BLOCK)
            load_run(&dy[i / 8 * (64 + PAD) + i % 8 * 8], dyt, ld, row + i / 8, t0 + i % 8 * 8,
                     true);
        for (int i = threadIdx.x; i < 64 * 8; i += BLOCK) {
            const bool is_there = k0 + i / 8 < count;
            load_run(&x[i / 8 * (64 + PAD) + i % 8 * 8], xt, ld,
                     is_there ? cuda_column(s, at + k0 + i / 8) : 0, t0 + i % 8 * 8, is_there);
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < 64; k += 16) {
            uint32_t a[4], b[4];
            cuda_load_a<64 + PAD>(a, dy + k);
            cuda_load_b<64 + PAD>(b, x + warp * 16 * (64 + PAD) + k);
            cuda_mma(sum[0], a, b);
            cuda_mma(sum[1], a, b + 2);
        }
    }
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
        for (int c = 0; c < 4; c++) {
            const int64_t r = lane / 4 + c / 2 * 8;
            const int64_t k = k0 + warp * 16 + n * 8 + lane % 4 * 2 + c % 2;
            float *to = &dvalue[at + r * count + k];
            if (k < count)
                *to = cuda_blend(beta, to, sum[n][c]);
        }
}

// ---- Entries ----

void cuda_blocks_forward(struct slt_ctx *ctx, struct slt_act y, struct slt_act x, struct slt_csr s,
                         struct slt_tensor values)
{
    const int64_t ld = chunk_of(x.tokens);
    bf16 *xt = (bf16 *)(void *)cuda_work(ctx);
    for (int64_t first = 0; first < x.tokens; first += ld) {
        const int64_t n = x.tokens - first < ld ? x.tokens - first : ld;
        const dim3 grid((unsigned)cuda_blocks(n, TOKENS), (unsigned)s.band_row.cols);
        transpose(ctx, xt, ld, x, first, n);
        SLT_LAUNCH(ctx, band_outputs, grid, BLOCK, cuda_act<bf16>(y) + first * cuda_ld(y),
                   cuda_ld(y), xt, ld, cuda_sparse_of(s), cuda_pointer<bf16>(values), bands_of(s),
                   n);
    }
}

void cuda_blocks_backward(struct slt_ctx *ctx, struct slt_act dx, struct slt_tensor dvalues,
                          double beta, struct slt_act dy, struct slt_act x, struct slt_csr s,
                          struct slt_tensor values)
{
    const int64_t ld = chunk_of(dy.tokens);
    bf16 *dyt = (bf16 *)(void *)cuda_work(ctx), *xt = dyt + s.rows * ld;
    for (int64_t first = 0; first < dy.tokens; first += ld) {
        const int64_t n = dy.tokens - first < ld ? dy.tokens - first : ld;
        transpose(ctx, dyt, ld, dy, first, n);
        if (dx.buffer != NULL) {
            const dim3 grid((unsigned)cuda_blocks(n, TOKENS), (unsigned)cuda_blocks(s.cols, GROUP));
            SLT_LAUNCH(ctx, band_inputs, grid, BLOCK, cuda_act<bf16>(dx) + first * cuda_ld(dx),
                       cuda_ld(dx), dyt, ld, cuda_sparse_of(s), cuda_pointer<bf16>(values),
                       bands_of(s), n);
        }
        if (dvalues.buffer == NULL)
            continue;
        const dim3 grid((unsigned)s.band_row.cols, (unsigned)cuda_blocks(s.cols, 64));
        transpose(ctx, xt, ld, x, first, n);
        SLT_LAUNCH(ctx, band_samples, grid, BLOCK, cuda_tensor(dvalues),
                   (float)(first == 0 ? beta : 1), dyt, xt, ld, cuda_sparse_of(s), bands_of(s));
    }
}
