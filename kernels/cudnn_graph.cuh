/* cudnn_graph.cuh - an operation graph of cuDNN's backend API: tensors and operations are recorded, then
 * an engine is planned for all of them at once.
 *
 * As with Graph, recording after a failure does nothing; cudnn_graph_plan() tells the first one. Every
 * tensor has four dimensions. Those with memory have an id, below GRAPH_PLACES; the others are
 * `virtual`: cuDNN keeps them on the chip or not at all.
 */
#ifndef KERNELS_CUDNN_GRAPH_CUH
#define KERNELS_CUDNN_GRAPH_CUH

#include "kernels/cudnn.cuh"

enum { GRAPH_PARTS = 160, GRAPH_OPERATIONS = 40, GRAPH_PLACES = 32 };

typedef struct CudnnTensor {
    cudnnBackendDescriptor_t part;
    int64_t dim[4], stride[4];
} CudnnTensor;

typedef struct CudnnGraph {
    const Cudnn *library;
    const char *op; // for messages
    Status status;
    cudnnBackendDescriptor_t part[GRAPH_PARTS]; // all, freed together
    int parts;
    cudnnBackendDescriptor_t operation[GRAPH_OPERATIONS];
    int operations;
    bool placed[GRAPH_PLACES]; // ids that are in use
    int64_t between;           // virtual tensors
    cudnnBackendDescriptor_t plan;
    size_t workspace; // bytes
} CudnnGraph;

/* What an operation takes besides its tensors. */
typedef struct CudnnPointwise {
    cudnnPointwiseMode_t mode;
    cudnnDataType_t compute, out;
    int axis; // of GEN_INDEX
} CudnnPointwise;

/* The true numbers of rows, columns and sums of a product, [B, 1, 1, 1] I32; NULL: as the tensors. */
typedef struct CudnnLengths {
    const CudnnTensor *m, *n, *k;
} CudnnLengths;

void cudnn_graph_open(CudnnGraph *g, const Cudnn *library, const char *op);
void cudnn_graph_close(CudnnGraph *g); // accepts one that was never opened, all zero

/* With memory. offsets [B + 1] I64: where each of dim[0] starts, in elements; NULL: at stride[0]. */
CudnnTensor cudnn_tensor(CudnnGraph *g, int id, cudnnDataType_t type, const int64_t dim[4],
                         const int64_t stride[4], const CudnnTensor *offsets);
/* One F32 in host memory, read when the graph is run. */
CudnnTensor cudnn_scalar(CudnnGraph *g, int id);
/* Virtual. */
CudnnTensor cudnn_between(CudnnGraph *g, cudnnDataType_t type, const int64_t dim[4],
                          const int64_t stride[4]);

/* y = mode(x, b, mask), b and mask NULL where the mode has none. _to: into a tensor that is there. */
CudnnTensor cudnn_pointwise(CudnnGraph *g, CudnnPointwise p, const CudnnTensor *x,
                            const CudnnTensor *b, const CudnnTensor *mask);
void cudnn_pointwise_to(CudnnGraph *g, CudnnPointwise p, const CudnnTensor *x, const CudnnTensor *b,
                        const CudnnTensor *mask, const CudnnTensor *y);
/* y = a b over the last two dimensions; heads of b may be shared by several of a. */
void cudnn_product(CudnnGraph *g, const CudnnTensor *a, const CudnnTensor *b, const CudnnTensor *y,
                   CudnnLengths lengths);
/* Over the dimensions where y is smaller than x. */
void cudnn_reduction(CudnnGraph *g, cudnnReduceTensorOp_t mode, const CudnnTensor *x,
                     const CudnnTensor *y);
/* y: the elements of x, in other dimensions and strides. */
void cudnn_reshape(CudnnGraph *g, const CudnnTensor *x, const CudnnTensor *y);

/* Finds an engine whose results are the same from run to run. Sets g->workspace. Errors: of the
 * recording; E_DEVICE where cuDNN has no such engine for this graph on this card. */
MUST_CHECK Status cudnn_graph_plan(CudnnGraph *g);

/* place[id]: memory of each id in use, 16 bytes aligned. A failure is told to the device. */
void cudnn_graph_run(const CudnnGraph *g, const Call *c, void *const place[GRAPH_PLACES],
                     void *workspace);

#endif
