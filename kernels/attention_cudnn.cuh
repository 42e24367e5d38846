/* attention_cudnn.cuh - attention by cuDNN: what attention_cudnn.cu and its graphs share.
 *
 *   attention_cudnn.cu         plan, scratch, what goes around cuDNN's engines
 *   attention_cudnn_graph.cu   the graphs of both passes
 *
 * cuDNN sees q, k, v, y [B, heads, longest, D] through offsets in elements ("ragged"), lengths of
 * every sequence, and strides; the rows stay packed where they are. What it keeps of each softmax is
 * ln of the sum of e^score, [B, heads, longest]: translated to attention.h's lse and back, so that
 * backward may be of another kernel.
 */
#ifndef KERNELS_ATTENTION_CUDNN_CUH
#define KERNELS_ATTENTION_CUDNN_CUH

#include "kernels/attention.cuh"
#include "kernels/cudnn.h"

#ifdef WITH_CUDNN
#include "kernels/cudnn_graph.cuh"

/* What has memory, by id in the graph. The offsets of tensor x are at x + CUDNN_OFFSETS. */
enum {
    CUDNN_Q = 1,
    CUDNN_K,
    CUDNN_V,
    CUDNN_Y,
    CUDNN_DY,
    CUDNN_DQ,
    CUDNN_DK,
    CUDNN_DV,
    CUDNN_TENSORS, // those of rows
    CUDNN_OFFSETS = CUDNN_TENSORS - 1,
    CUDNN_QUERIES = CUDNN_OFFSETS + CUDNN_TENSORS, // lengths, I32 [B]
    CUDNN_KEYS,
    CUDNN_STATISTICS, // F32 [B, heads, longest]
    CUDNN_DELTA,      // F32 [B, heads, longest], rowsum(dy * y)
    CUDNN_SCALE,      // numbers of the host
    CUDNN_PADDED,
    CUDNN_MASKED,
    CUDNN_ONE,
    CUDNN_IDS
};

/* Shapes and strides as the graphs take them. */
typedef struct CudnnAttention {
    int64_t B, heads, kv_heads, D, queries, keys; // queries, keys: longest, rounded up
    int64_t stride[CUDNN_TENSORS];                // from one row to the next, elements
    cudnnDataType_t type;
    bool causal;
    bool other_keys; // than the queries' own: the diagonal ends at the last query and key
    bool keeps;      // forward writes statistics
} CudnnAttention;

void attention_cudnn_forward_graph(CudnnGraph *g, const CudnnAttention *a);
void attention_cudnn_backward_graph(CudnnGraph *g, const CudnnAttention *a);
#endif

#endif
