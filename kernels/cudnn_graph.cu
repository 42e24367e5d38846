/* cudnn_graph.cu - operation graphs of cuDNN; see cudnn_graph.cuh. */
#include "kernels/cudnn.cuh"

#ifdef WITH_CUDNN
#include "kernels/cudnn_graph.cuh"
#include "runtime/device_stream.h"

#include <string.h>

enum { MOST_CONFIGURATIONS = 32, MOST_NOTES = 16, FIRST_VIRTUAL = 1000, ALIGNMENT = 16 };

void cudnn_graph_open(CudnnGraph *g, const Cudnn *library, const char *op)
{
    *g = CudnnGraph{};
    g->library = library;
    g->op = op;
}

void cudnn_graph_close(CudnnGraph *g)
{
    while (g->parts)
        (void)g->library->part_destroy(g->part[--g->parts]);
}

static void note(CudnnGraph *g, const char *what, cudnnStatus_t status)
{
    if (!g->status)
        g->status = cudnn_checked(g->library, g->op, what, status);
}

/* NULL after a failure. */
static cudnnBackendDescriptor_t make(CudnnGraph *g, cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t part = nullptr;

    if (!g->status && g->parts == GRAPH_PARTS)
        g->status = fail(E_DEVICE, "%s kernel cudnn: its graph has more than %d parts", g->op,
                         (int)GRAPH_PARTS);
    if (g->status)
        return nullptr;
    note(g, "a part of a graph", g->library->part_create(type, &part));
    if (!g->status)
        g->part[g->parts++] = part;
    return g->status ? nullptr : part;
}

static void set(CudnnGraph *g, cudnnBackendDescriptor_t part, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t count, const void *value)
{
    if (!g->status)
        note(g, "an attribute", g->library->part_set(part, name, type, count, value));
}

static void set_part(CudnnGraph *g, cudnnBackendDescriptor_t part, cudnnBackendAttributeName_t name,
                     const CudnnTensor *x)
{
    if (x)
        set(g, part, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x->part);
}

static void set_type(CudnnGraph *g, cudnnBackendDescriptor_t part, cudnnBackendAttributeName_t name,
                     cudnnDataType_t type)
{
    set(g, part, name, CUDNN_TYPE_DATA_TYPE, 1, &type);
}

static void finalize(CudnnGraph *g, const char *what, cudnnBackendDescriptor_t part)
{
    if (!g->status)
        note(g, what, g->library->part_finalize(part));
}

/* ---- tensors ---- */

static CudnnTensor tensor(CudnnGraph *g, int64_t id, cudnnDataType_t type, const int64_t dim[4],
                          const int64_t stride[4])
{
    const int64_t alignment = ALIGNMENT;
    CudnnTensor x = {};

    memcpy(x.dim, dim, sizeof x.dim);
    memcpy(x.stride, stride, sizeof x.stride);
    x.part = make(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    set(g, x.part, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    set_type(g, x.part, CUDNN_ATTR_TENSOR_DATA_TYPE, type);
    set(g, x.part, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    set(g, x.part, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dim);
    set(g, x.part, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, stride);
    return x;
}

CudnnTensor cudnn_tensor(CudnnGraph *g, int id, cudnnDataType_t type, const int64_t dim[4],
                         const int64_t stride[4], const CudnnTensor *offsets)
{
    const CudnnTensor x = tensor(g, id, type, dim, stride);

    g->placed[id] = true;
    set_part(g, x.part, CUDNN_ATTR_TENSOR_RAGGED_OFFSET_DESC, offsets);
    finalize(g, "a tensor", x.part);
    return x;
}

CudnnTensor cudnn_scalar(CudnnGraph *g, int id)
{
    const int64_t one[] = {1, 1, 1, 1};
    const bool yes = true;
    const CudnnTensor x = tensor(g, id, CUDNN_DATA_FLOAT, one, one);

    g->placed[id] = true;
    set(g, x.part, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &yes);
    finalize(g, "a number", x.part);
    return x;
}

CudnnTensor cudnn_between(CudnnGraph *g, cudnnDataType_t type, const int64_t dim[4],
                          const int64_t stride[4])
{
    const bool yes = true;
    const CudnnTensor x = tensor(g, FIRST_VIRTUAL + g->between++, type, dim, stride);

    set(g, x.part, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &yes);
    finalize(g, "a virtual tensor", x.part);
    return x;
}

/* ---- operations ---- */

static cudnnBackendDescriptor_t operation(CudnnGraph *g, cudnnBackendDescriptorType_t type)
{
    const cudnnBackendDescriptor_t part = make(g, type);

    if (part && g->operations == GRAPH_OPERATIONS)
        g->status = fail(E_DEVICE, "%s kernel cudnn: its graph has more than %d operations", g->op,
                         (int)GRAPH_OPERATIONS);
    if (!g->status)
        g->operation[g->operations++] = part;
    return part;
}

void cudnn_pointwise_to(CudnnGraph *g, CudnnPointwise p, const CudnnTensor *x, const CudnnTensor *b,
                        const CudnnTensor *mask, const CudnnTensor *y)
{
    const cudnnBackendDescriptor_t how = make(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    const int64_t axis = p.axis;

    set(g, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &p.mode);
    set_type(g, how, CUDNN_ATTR_POINTWISE_MATH_PREC, p.compute);
    if (p.mode == CUDNN_POINTWISE_GEN_INDEX)
        set(g, how, CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, 1, &axis);
    finalize(g, "a pointwise function", how);
    const cudnnBackendDescriptor_t o = operation(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set(g, o, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &how);
    set_part(g, o, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    set_part(g, o, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    set_part(g, o, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, mask);
    set_part(g, o, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    finalize(g, "a pointwise operation", o);
}

CudnnTensor cudnn_pointwise(CudnnGraph *g, CudnnPointwise p, const CudnnTensor *x,
                            const CudnnTensor *b, const CudnnTensor *mask)
{
    const CudnnTensor y = cudnn_between(g, p.out, x->dim, x->stride);

    cudnn_pointwise_to(g, p, x, b, mask, &y);
    return y;
}

void cudnn_product(CudnnGraph *g, const CudnnTensor *a, const CudnnTensor *b, const CudnnTensor *y,
                   CudnnLengths lengths)
{
    const cudnnBackendDescriptor_t how = make(g, CUDNN_BACKEND_MATMUL_DESCRIPTOR);

    set_type(g, how, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_DATA_FLOAT);
    finalize(g, "a product's type", how);
    const cudnnBackendDescriptor_t o = operation(g, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    set_part(g, o, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
    set_part(g, o, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
    set_part(g, o, CUDNN_ATTR_OPERATION_MATMUL_CDESC, y);
    set(g, o, CUDNN_ATTR_OPERATION_MATMUL_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &how);
    set_part(g, o, CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC, lengths.m);
    set_part(g, o, CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC, lengths.n);
    set_part(g, o, CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC, lengths.k);
    finalize(g, "a product", o);
}

void cudnn_reduction(CudnnGraph *g, cudnnReduceTensorOp_t mode, const CudnnTensor *x,
                     const CudnnTensor *y)
{
    const cudnnBackendDescriptor_t how = make(g, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);

    set(g, how, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &mode);
    set_type(g, how, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    finalize(g, "a reduction's type", how);
    const cudnnBackendDescriptor_t o = operation(g, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    set_part(g, o, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
    set_part(g, o, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
    set(g, o, CUDNN_ATTR_OPERATION_REDUCTION_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &how);
    finalize(g, "a reduction", o);
}

void cudnn_reshape(CudnnGraph *g, const CudnnTensor *x, const CudnnTensor *y)
{
    const cudnnBackendDescriptor_t o = operation(g, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);

    set_part(g, o, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x);
    set_part(g, o, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y);
    finalize(g, "a reshape", o);
}

/* ---- plans ---- */

/* False where its results may differ from run to run, or nobody says. */
static bool is_deterministic(CudnnGraph *g, cudnnBackendDescriptor_t configuration)
{
    cudnnBackendNumericalNote_t notes[MOST_NOTES];
    cudnnBackendDescriptor_t engine = make(g, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    int64_t count = 0;

    if (!engine ||
        g->library->part_get(configuration, CUDNN_ATTR_ENGINECFG_ENGINE,
                             CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &engine) ||
        g->library->part_get(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                             MOST_NOTES, &count, notes))
        return false;
    for (int64_t i = 0; i < count && i < MOST_NOTES; i++)
        if (notes[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC)
            return false;
    return true;
}

static bool plan_with(CudnnGraph *g, cudnnBackendDescriptor_t configuration)
{
    const Cudnn *n = g->library;
    const cudnnBackendDescriptor_t plan = make(g, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    int64_t count = 0, bytes = 0;

    if (!plan ||
        n->part_set(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &n->handle) ||
        n->part_set(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                    &configuration) ||
        n->part_finalize(plan) ||
        n->part_get(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count,
                    &bytes))
        return false;
    g->plan = plan;
    g->workspace = (size_t)bytes;
    return true;
}

/* Tries what the heuristic names, in its order, so that the choice is one of rule and not of time. */
static void search(CudnnGraph *g, cudnnBackendDescriptor_t graph, cudnnBackendHeurMode_t mode)
{
    const cudnnBackendDescriptor_t heuristic = make(g, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    cudnnBackendDescriptor_t found[MOST_CONFIGURATIONS] = {};
    int64_t count = 0;

    set(g, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
        &graph);
    set(g, heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    finalize(g, "these types, shapes and masks", heuristic);
    for (auto &configuration : found)
        configuration = make(g, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (g->status)
        return;
    note(g, "to name engines",
         g->library->part_get(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                              CUDNN_TYPE_BACKEND_DESCRIPTOR, MOST_CONFIGURATIONS, &count, found));
    for (int64_t i = 0; i < count && i < MOST_CONFIGURATIONS && !g->plan && !g->status; i++)
        if (is_deterministic(g, found[i]) && plan_with(g, found[i]))
            return;
}

Status cudnn_graph_plan(CudnnGraph *g)
{
    const cudnnBackendDescriptor_t graph = make(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);

    set(g, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &g->library->handle);
    set(g, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->operations,
        g->operation);
    finalize(g, "the graph", graph);
    search(g, graph, CUDNN_HEUR_MODE_A);
    if (!g->status && !g->plan)
        g->status =
            fail(E_DEVICE,
                 "%s kernel cudnn: cuDNN has no engine for this card, these shapes and this "
                 "mask whose results are the same from run to run; leave kernel.%s out",
                 g->op, g->op);
    return g->status;
}

void cudnn_graph_run(const CudnnGraph *g, const Call *c, void *const place[GRAPH_PLACES],
                     void *workspace)
{
    const Cudnn *n = g->library;
    cudnnBackendDescriptor_t pack = nullptr;
    int64_t id[GRAPH_PLACES];
    void *data[GRAPH_PLACES];
    int count = 0;

    for (int i = 0; i < GRAPH_PLACES; i++)
        if (g->placed[i])
            id[count] = i, data[count++] = place[i];
    cudnnStatus_t s = n->part_create(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack);
    s = s ? s : n->part_set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, id);
    s = s ? s
          : n->part_set(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count,
                        data);
    s = s ? s
          : n->part_set(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1,
                        &workspace);
    s = s ? s : n->part_finalize(pack);
    s = s ? s : n->set_stream(n->handle, (cudaStream_t)device_stream(c->device, c->stream));
    s = s ? s : n->execute(n->handle, g->plan, pack);
    if (pack)
        (void)n->part_destroy(pack);
    cudnn_launched(n, c->device, s);
}
#endif
