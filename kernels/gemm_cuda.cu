/* gemm_cuda.cu - products of a GPU, by cuBLASLt.
 *
 * cuBLASLt sees columns where we see rows: c = a b in rows is c^T = b^T a^T in columns, so our b is
 * its first operand and the bias runs along its rows. A plan keeps the descriptors and the first
 * answer of the heuristic for a fixed workspace among schemes whose sums have a fixed order; it is
 * never chosen by timing. Two answers: for operands aligned to 16 bytes, and for others; which one
 * runs depends on addresses alone. F32 is F32, unless the device was told to take TF32.
 *
 * What the library does not take (a and b of different types, a narrow c of F32 operands, a bias of
 * another type than c) is converted in scratch first, c after.
 */
#ifndef WITH_EMULATOR
#include "kernels/cublaslt.cuh"
#include "kernels/gemm_parts.h"
#include "kernels/gpu.cuh"

#include <stdlib.h>

enum { CONVERT_THREADS = 256, CONVERT_MOST_BLOCKS = 4096, ALIGNED = 16 };
enum { A, B, C, BIAS, OPERANDS };

static const size_t WORKSPACE = 32u << 20;

typedef struct GemmCublas {
    GemmPlan plan;
    Gemm g;
    Device *device;
    CublasLt *lt;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t layout[3];  // of our a, b, c
    cublasLtMatmulAlgo_t algorithm[2]; // of unaligned and aligned operands
    Dtype used[OPERANDS];              // dtype that the library sees
    size_t converted[OPERANDS];        // bytes of scratch; 0: as it is
} GemmCublas;

static cudaDataType_t type_of(Dtype d)
{
    return d == F32 ? CUDA_R_32F : d == BF16 ? CUDA_R_16BF : CUDA_R_16F;
}

bool gemm_cuda_copies_b(Device *d, const Gemm *g)
{
    (void)d;
    return g->a.dtype != g->b.dtype;
}

static Dtype dtype_given(const Gemm *g, int i)
{
    return i == A ? g->a.dtype : i == B ? g->b.dtype : i == C ? g->c.dtype : g->bias_dtype;
}

/* Rows and columns in memory. */
static void extent(const Gemm *g, int i, int64_t *rows, int64_t *columns)
{
    const GemmMatrix *x = i == A ? &g->a : i == B ? &g->b : &g->c;
    const int64_t r = i == BIAS ? 1 : i == B ? g->k : g->m, c = i == A ? g->k : g->n;
    const bool turned = i < C && x->transposed;

    *rows = turned ? c : r;
    *columns = turned ? r : c;
}

static int64_t stride_used(const GemmCublas *p, int i)
{
    int64_t rows, columns;

    extent(&p->g, i, &rows, &columns);
    return p->converted[i] ? columns
           : i == A        ? p->g.a.stride
           : i == B        ? p->g.b.stride
                           : p->g.c.stride;
}

static void choose_types(GemmCublas *p)
{
    const Gemm *g = &p->g;
    const Dtype both = g->a.dtype == g->b.dtype ? g->a.dtype : F32;

    p->used[A] = p->used[B] = both;
    p->used[C] = g->c.dtype == both ? both : F32;
    p->used[BIAS] = p->used[C];
    for (int i = 0; i < OPERANDS; i++) {
        int64_t rows, columns;
        extent(g, i, &rows, &columns);
        if (p->used[i] != dtype_given(g, i) && (i != BIAS || g->bias))
            p->converted[i] = arena_round((size_t)(rows * columns) * dtype_size(p->used[i]));
    }
}

static cublasStatus_t make_layout(GemmCublas *p, int i)
{
    int64_t rows, columns;

    extent(&p->g, i, &rows, &columns);
    return p->lt->layout_create(&p->layout[i], type_of(p->used[i]), (uint64_t)columns,
                                (uint64_t)rows, stride_used(p, i));
}

static cublasStatus_t make_product(GemmCublas *p)
{
    const CublasLt *l = p->lt;
    const cublasOperation_t first = p->g.b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t second = p->g.a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    const bool tf32 = p->used[A] == F32 && p->device->tf32;
    cublasStatus_t s = l->product_create(
        &p->product, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F);

    if (!s)
        s = l->product_set(p->product, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first);
    if (!s)
        s = l->product_set(p->product, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second);
    if (!s && p->g.bias)
        s = l->product_set(p->product, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    for (int i = 0; i < 3 && !s; i++)
        s = make_layout(p, i);
    return s;
}

static cublasStatus_t ask(GemmCublas *p, uint32_t alignment, cublasLtMatmulAlgo_t *out)
{
    static const cublasLtMatmulPreferenceAttributes_t ALIGNMENTS[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    const CublasLt *l = p->lt;
    cublasLtMatmulPreference_t wish = nullptr;
    cublasLtMatmulHeuristicResult_t answer = {};
    int answers = 0;
    cublasStatus_t s = l->preference_create(&wish);

    if (!s)
        s = l->preference_set(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &WORKSPACE,
                              sizeof WORKSPACE);
    if (!s)
        s = l->preference_set(wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes,
                              sizeof schemes);
    for (int i = 0; i < 4 && !s; i++)
        s = l->preference_set(wish, ALIGNMENTS[i], &alignment, sizeof alignment);
    if (!s)
        s = l->heuristic(l->handle, p->product, p->layout[B], p->layout[A], p->layout[C],
                         p->layout[C], wish, 1, &answer, &answers);
    if (!s && (answers < 1 || answer.state != CUBLAS_STATUS_SUCCESS))
        s = CUBLAS_STATUS_NOT_SUPPORTED;
    if (wish)
        (void)l->preference_destroy(wish);
    *out = answer.algo;
    return s;
}

/* Whether 16-byte pieces of every row stay aligned. */
static bool strides_allow(const GemmCublas *p)
{
    for (int i = 0; i < 3; i++)
        if ((size_t)stride_used(p, i) * dtype_size(p->used[i]) % ALIGNED)
            return false;
    return true;
}

Status gemm_cuda_make(GemmPlan **out, Device *d, Gemm g)
{
    CublasLt *l = nullptr;
    Status status = cublaslt_open(d, &l);
    GemmCublas *p = status ? nullptr : static_cast<GemmCublas *>(calloc(1, sizeof *p));

    if (!status && !p)
        status = fail(E_MEMORY, "no memory for the plan of a matrix product");
    if (status)
        return status;
    p->plan.kind = d->kind;
    p->g = g;
    p->device = d;
    p->lt = l;
    choose_types(p);
    cublasStatus_t s = make_product(p);
    if (!s)
        s = ask(p, (uint32_t)dtype_size(p->used[A]), &p->algorithm[0]);
    if (!s && strides_allow(p))
        s = ask(p, ALIGNED, &p->algorithm[1]);
    else
        p->algorithm[1] = p->algorithm[0];
    if (s || g.activation != ACTIVATION_NONE) {
        gemm_cuda_free(&p->plan);
        return fail(E_DEVICE,
                    "device %s: cuBLASLt refuses the product [%lld, %lld] x [%lld, %lld] of %s and "
                    "%s (%s)",
                    d->name, (long long)g.m, (long long)g.k, (long long)g.k, (long long)g.n,
                    dtype_name(g.a.dtype), dtype_name(g.b.dtype),
                    s ? l->status_name(s) : "an activation is a kernel of its own");
    }
    *out = &p->plan;
    return OK;
}

void gemm_cuda_free(GemmPlan *plan)
{
    GemmCublas *p = reinterpret_cast<GemmCublas *>(plan);

    for (int i = 0; i < 3; i++)
        if (p->layout[i])
            (void)p->lt->layout_destroy(p->layout[i]);
    if (p->product)
        (void)p->lt->product_destroy(p->product);
    free(p);
}

size_t gemm_cuda_scratch(const GemmPlan *plan)
{
    const GemmCublas *p = reinterpret_cast<const GemmCublas *>(plan);
    size_t bytes = WORKSPACE;

    for (int i = 0; i < OPERANDS; i++)
        bytes += p->converted[i];
    return bytes;
}

/* Rows of one matrix to another of another storage type. */
template <typename To, typename From>
static __global__ void convert_kernel(To *to, int64_t to_stride, const From *from,
                                      int64_t from_stride, int64_t rows, int64_t columns)
{
    const int64_t step = (int64_t)gridDim.x * CONVERT_THREADS, count = rows * columns;

    for (int64_t i = (int64_t)blockIdx.x * CONVERT_THREADS + threadIdx.x; i < count; i += step)
        to[i / columns * to_stride + i % columns] =
            from_float<To>(to_float(from[i / columns * from_stride + i % columns]));
}

static void convert(cudaStream_t s, void *to, Dtype to_dtype, int64_t to_stride, const void *from,
                    Dtype from_dtype, int64_t from_stride, int64_t rows, int64_t columns)
{
    const int64_t blocks = (rows * columns + CONVERT_THREADS - 1) / CONVERT_THREADS;
    const unsigned grid =
        blocks < (int64_t)CONVERT_MOST_BLOCKS ? (unsigned)blocks : (unsigned)CONVERT_MOST_BLOCKS;

    with_type(to_dtype, [&](auto to_zero) {
        with_type(from_dtype, [&](auto from_zero) {
            typedef decltype(to_zero) To;
            typedef decltype(from_zero) From;
            LAUNCH((convert_kernel<To, From>), grid, CONVERT_THREADS, 0, s, static_cast<To *>(to),
                   to_stride, static_cast<const From *>(from), from_stride, rows, columns);
        });
    });
}

/* A converted copy of operand i in scratch, which then begins behind it; else what was given. */
static void *bring(const GemmCublas *p, cudaStream_t s, int i, const void *given, char **scratch,
                   bool read)
{
    void *to = *scratch;
    int64_t rows, columns;

    if (!p->converted[i])
        return const_cast<void *>(given);
    extent(&p->g, i, &rows, &columns);
    *scratch += p->converted[i];
    const int64_t stride = i == A   ? p->g.a.stride
                           : i == B ? p->g.b.stride
                           : i == C ? p->g.c.stride
                                    : columns;
    if (read)
        convert(s, to, p->used[i], columns, given, dtype_given(&p->g, i), stride, rows, columns);
    return to;
}

static bool aligned(const void *a, const void *b, const void *c, const void *bias)
{
    return (reinterpret_cast<uintptr_t>(a) | reinterpret_cast<uintptr_t>(b) |
            reinterpret_cast<uintptr_t>(c) | reinterpret_cast<uintptr_t>(bias)) %
               ALIGNED ==
           0;
}

void gemm_cuda_describe(Device *d, char *text, size_t room)
{
    CublasLt *lt = nullptr;
    const size_t v = cublaslt_open(d, &lt) ? 0 : lt->version();

    snprintf(text, room, v ? "cuBLASLt %zu.%zu.%zu" : "", v / 10000, v % 10000 / 100, v % 100);
}

void gemm_cuda_run(GemmPlan *plan, Stream *stream, const void *a, const void *b, void *c,
                   const void *bias, void *scratch)
{
    GemmCublas *p = reinterpret_cast<GemmCublas *>(plan);
    const cudaStream_t s = (cudaStream_t)device_stream(p->device, stream);
    const float one = 1, beta = p->g.accumulate ? 1.0f : 0.0f;
    char *rest = static_cast<char *>(scratch) + WORKSPACE;
    const void *use_a = bring(p, s, A, a, &rest, true), *use_b = bring(p, s, B, b, &rest, true);
    void *use_c = bring(p, s, C, c, &rest, p->g.accumulate);
    const void *use_bias = p->g.bias ? bring(p, s, BIAS, bias, &rest, true) : nullptr;
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;

    if (use_bias)
        status = p->lt->product_set(p->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &use_bias,
                                    sizeof use_bias);
    if (!status)
        status = p->lt->matmul(p->lt->handle, p->product, &one, use_b, p->layout[B], use_a,
                               p->layout[A], &beta, use_c, p->layout[C], use_c, p->layout[C],
                               &p->algorithm[aligned(use_a, use_b, use_c, use_bias)], scratch,
                               WORKSPACE, s);
    if (status) {
        device_fault(p->device, "cuBLASLt", p->lt->status_name(status));
        return;
    }
    if (p->converted[C])
        convert(s, c, p->g.c.dtype, p->g.c.stride, use_c, p->used[C], p->g.n, p->g.m, p->g.n);
}
#endif
