// Products by oneDNN's sgemm, with results that do not depend on the number of threads.
//
// Left to itself, oneDNN divides the sum over k among threads where m and n are small and k is
// large, as in the gradients of small weights, and then adds their sums. So the blocks of C are
// dealt out here and every block is the work of one thread. oneDNN also chooses among kernels by
// the extent of a product, and they round differently (on AVX2 everywhere, on AVX-512 where the
// second operand alone is transposed); so the blocks follow from the shape alone.
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include "kernels/cpu/cpu.h"

#define ROWS_OF_BLOCK 16 // blocks begin at multiples of these
#define COLS_OF_BLOCK 64
#define MAX_BLOCKS    64
#define SMALL_BLOCK   ((int64_t)128 * 128) // elements of C
#define LARGE_BLOCK   ((int64_t)512 * 512)

// How many blocks there are along m and n.
struct grid {
    int64_t rows, cols;
};

// oneDNN leaves C untouched when there is nothing to sum up.
static void scale(const struct cpu_product *p)
{
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->n; j++)
            p->c[i * p->ldc + j] = p->beta == 0 ? 0 : p->beta * p->c[i * p->ldc + j];
}

// The grid of so many blocks whose blocks read the least of both operands.
static struct grid grid_of(int64_t m, int64_t n, int64_t blocks)
{
    struct grid best = {1, blocks};
    double least = -1;
    for (int64_t rows = 1; rows <= blocks; rows++) {
        const double read = (double)m / (double)rows + (double)n * (double)rows / (double)blocks;
        if (blocks % rows != 0 || (least >= 0 && read >= least))
            continue;
        best = (struct grid){rows, blocks / rows};
        least = read;
    }
    return best;
}

// Two blocks already of small products; more only while they are so large that packing their
// operands costs little, a transposed first one twice as much.
static int64_t blocks_of(const struct cpu_product *p)
{
    const int64_t large = p->transpose_a ? 2 * LARGE_BLOCK : LARGE_BLOCK;
    int64_t blocks = p->m * p->n >= 2 * SMALL_BLOCK ? 2 : 1;
    while (blocks < MAX_BLOCKS && p->m * p->n >= 2 * blocks * large)
        blocks *= 2;
    return blocks;
}

// Where block i of so many along n begins: at a multiple of the unit. Where there are fewer units
// than blocks, some blocks are empty.
static int64_t begin(int64_t n, int64_t unit, int64_t blocks, int64_t i)
{
    const int64_t units = n < unit ? 1 : n / unit;
    return i == blocks ? n : units * i / blocks * unit;
}

static dnnl_status_t multiply_block(const struct cpu_product *p, struct grid g, int64_t block)
{
    const int64_t row = block / g.cols, col = block % g.cols;
    const int64_t i = begin(p->m, ROWS_OF_BLOCK, g.rows, row);
    const int64_t j = begin(p->n, COLS_OF_BLOCK, g.cols, col);
    const int64_t m = begin(p->m, ROWS_OF_BLOCK, g.rows, row + 1) - i;
    const int64_t n = begin(p->n, COLS_OF_BLOCK, g.cols, col + 1) - j;
    if (m == 0 || n == 0)
        return dnnl_success;
    return dnnl_sgemm(p->transpose_a ? 'T' : 'N', p->transpose_b ? 'T' : 'N', m, n, p->k, p->alpha,
                      p->transpose_a ? p->a + i : p->a + i * p->lda, p->lda,
                      p->transpose_b ? p->b + j * p->ldb : p->b + j, p->ldb, p->beta,
                      p->c + i * p->ldc + j, p->ldc);
}

static void multiply(struct slt_ctx *ctx, const struct cpu_product *p)
{
    const int64_t blocks = blocks_of(p);
    const struct grid grid = grid_of(p->m, p->n, blocks);
    dnnl_status_t failure = dnnl_success;
#pragma omp parallel num_threads(ctx->threads)
    {
        // oneDNN uses as many threads as the calling thread's OpenMP setting says.
        const int before = omp_get_max_threads();
        omp_set_num_threads(1);
#pragma omp for schedule(static)
        for (int64_t block = 0; block < blocks; block++) {
            const dnnl_status_t status = multiply_block(p, grid, block);
            if (status != dnnl_success) {
#pragma omp atomic write
                failure = status;
            }
        }
        omp_set_num_threads(before);
    }
    if (failure != dnnl_success)
        cpu_fail(ctx, failure == dnnl_out_of_memory ? SLT_ERR_MEMORY : SLT_ERR_DEVICE,
                 "oneDNN failed in a matrix product");
}

void cpu_sgemm(struct slt_ctx *ctx, const struct cpu_product *p)
{
    if (p->m == 0 || p->n == 0)
        return;
    if (p->k == 0)
        scale(p);
    else
        multiply(ctx, p);
}
