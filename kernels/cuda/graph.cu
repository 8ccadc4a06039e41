// Recorded operations as CUDA graphs: one launch for the hundreds of kernels of a micro-step.
#include <stdlib.h>

#include "kernels/cuda/cuda.h"

struct slt_graph {
    cudaGraphExec_t graph;
};

void cuda_capture_begin(struct slt_ctx *ctx)
{
    cuda_check(ctx, cudaStreamBeginCapture(ctx->stream, cudaStreamCaptureModeThreadLocal),
               "recording operations");
}

struct slt_graph *cuda_capture_end(struct slt_ctx *ctx)
{
    cudaGraph_t recorded = NULL;
    cudaGraphExec_t graph = NULL;
    cudaError_t status = cudaStreamEndCapture(ctx->stream, &recorded);
    if (status == cudaSuccess)
        status = cudaGraphInstantiate(&graph, recorded, 0);
    if (recorded != NULL)
        (void)cudaGraphDestroy(recorded);
    struct slt_graph *g =
        status == cudaSuccess ? (struct slt_graph *)malloc(sizeof(struct slt_graph)) : NULL;
    if (status == cudaSuccess && g == NULL) {
        (void)cudaGraphExecDestroy(graph);
        status = cudaErrorMemoryAllocation;
    }
    cuda_check(ctx, status, "recording operations");
    if (g != NULL)
        g->graph = graph;
    return g;
}

void cuda_graph_launch(struct slt_ctx *ctx, struct slt_graph *graph)
{
    cuda_check(ctx, cudaGraphLaunch(graph->graph, ctx->stream), "recorded operations");
    ctx->others = ctx->comm != NULL;
}

void cuda_graph_free(struct slt_ctx *ctx, struct slt_graph *graph)
{
    if (graph == NULL)
        return;
    cuda_check(ctx, cudaGraphExecDestroy(graph->graph), "freeing recorded operations");
    free(graph);
}
