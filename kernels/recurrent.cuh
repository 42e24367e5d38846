/* recurrent.cuh - what the CUDA twins of rnn, lstm and gru share. Formulas: recurrent.h.
 *
 *   recurrent.cu             plan, scratch, ranks, the products over all rows
 *   recurrent_forward.cu     one kernel a step: h w_hh and the cells
 *   recurrent_backward.cu    one kernel a step: dgates w_hh and the cells' gradients
 *   recurrent_cudnn.cu       all of it by cuDNN, where that is forced
 *
 * As on the CPU the sequences are ranked by length, longest first, and states lie in the order of
 * ranks, so that a step concerns the first of them; blocks of later ones leave at once. The list of
 * launches depends on the bucket alone and is captured into a graph with everything else.
 *
 * Where the card and the shape allow it, one cooperative launch takes all steps: each block keeps its
 * part of w_hh in shared memory, and the blocks of the same ranks wait for each other after a step.
 * It computes the same sums in the same order. blocks_resident() decides.
 */
#ifndef KERNELS_RECURRENT_CUH
#define KERNELS_RECURRENT_CUH

#include "kernels/gpu.cuh"
#include "kernels/recurrent.h"

/* Where things lie in scratch, in bytes; a region that is not used has no bytes. */
struct RecurrentCuda {
    GemmPlan *gates, *dx, *dw_ih, *dw_hh;
    size_t order;    // I32 [B], sequences by rank
    size_t states;   // F32 [D*B, H], three times: h, h', c; backward dh, dc
    size_t gates_at; // forward F32, backward T: [N, D*G*H]
    size_t dgates_h; // T [N, D*G*H], of gru on the side of w_hh
    size_t bias;     // F32 [2, D*G*H]: b_ih + b_hh; b_hh of the third gate of gru
    size_t before;   // T [N, D*H]: the state each row started from
    size_t sums;     // F32 [slices, D*G*H] of dgates, then of dgates_h
    size_t arrived;  // U32 [D, B]: how often blocks of these ranks have come to the end of a step
    size_t products;
    RecurrentCudnn *cudnn; // NULL: the kernels here; else nothing else is used
    int resident; // blocks of ranks of the kernel that keeps w_hh on chip; 0: one launch a step
};

enum { RECURRENT_SLICE = 256 }; // rows of a slice of the gradients of biases

template <typename T>
static inline T *scratch_at(const Call *c, size_t at)
{
    return reinterpret_cast<T *>(static_cast<char *>(c->scratch) + at);
}

/* Which kernel: sets plan->resident, once scratch has been laid out. */
void recurrent_choose_forward(Call *c, const RecurrentShape *s);
void recurrent_choose_backward(Call *c, const RecurrentShape *s);

/* order[rank] = sequence. */
void recurrent_rank_cuda(const Call *c, const RecurrentShape *s);

/* How many blocks of ranks can be resident at once, each with `columns` blocks beside it, and their
 * part of w_hh in shared memory; 0: the card cannot, or the shape does not fit. */
template <typename... P>
static inline int blocks_resident(void (*kernel)(P...), int threads, size_t bytes, unsigned columns,
                                  unsigned rows)
{
    int device = 0, most = 0, cooperative = 0, processors = 0, each = 0;

    if (cudaGetDevice(&device) != cudaSuccess ||
        cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) !=
            cudaSuccess ||
        cudaDeviceGetAttribute(&cooperative, cudaDevAttrCooperativeLaunch, device) != cudaSuccess ||
        cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device) != cudaSuccess)
        return 0;
    if (!cooperative || bytes > (size_t)most ||
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes) !=
            cudaSuccess ||
        cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, kernel, threads, bytes) != cudaSuccess)
        return 0;
    const unsigned fit = (unsigned)(each * processors) / columns;
    return (int)(fit < rows ? fit : rows);
}

/* Waits until the `count`th block has come here; all threads call it. What blocks wrote before is
 * then seen by all. They must be resident at once. */
static __device__ __forceinline__ void wait_for_blocks(unsigned *arrived, unsigned count)
{
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        atomicAdd(arrived, 1u);
        while (atomicAdd(arrived, 0u) < count)
            __nanosleep(32);
        __threadfence();
    }
    __syncthreads();
}

/* What each launch of a step must know of the batch. */
struct Sequences {
    const int32_t *offsets, *order;
    int64_t B;

    __device__ __forceinline__ int64_t length(int64_t rank) const
    {
        return rank < B ? offsets[order[rank] + 1] - offsets[order[rank]] : 0;
    }
    /* The row where it is at step t, in the order of direction d. */
    __device__ __forceinline__ int64_t row(int64_t rank, int64_t d, int64_t t) const
    {
        const int32_t b = order[rank];
        return d ? offsets[b + 1] - 1 - t : offsets[b] + t;
    }
};

/* Four numbers of which `left` are there (others 0); whole: p is aligned to four of them. */
static __device__ __forceinline__ float4 load_four(const float *p, int64_t left, bool whole)
{
    if (whole && left >= 4)
        return *reinterpret_cast<const float4 *>(p);
    return make_float4(left > 0 ? p[0] : 0.0f, left > 1 ? p[1] : 0.0f, left > 2 ? p[2] : 0.0f,
                       left > 3 ? p[3] : 0.0f);
}
template <typename T>
static __device__ __forceinline__ float4 load_four(const T *p, int64_t left, bool whole)
{
    if (whole && left >= 4) {
        const uint2 raw = *reinterpret_cast<const uint2 *>(p);
        const T *e = reinterpret_cast<const T *>(&raw);
        return make_float4(to_float(e[0]), to_float(e[1]), to_float(e[2]), to_float(e[3]));
    }
    return make_float4(left > 0 ? to_float(p[0]) : 0.0f, left > 1 ? to_float(p[1]) : 0.0f,
                       left > 2 ? to_float(p[2]) : 0.0f, left > 3 ? to_float(p[3]) : 0.0f);
}
template <typename T>
static __device__ __forceinline__ float4 load_four(const Weight<T> &w, int64_t at, int64_t left,
                                                   bool whole)
{
    return w.f32 ? load_four(static_cast<const float *>(w.data) + at, left, whole)
                 : load_four(static_cast<const T *>(w.data) + at, left, whole);
}

static __device__ __forceinline__ void store_four(float *p, float4 x)
{
    *reinterpret_cast<float4 *>(p) = x;
}

static __device__ __forceinline__ float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

/* Calls f with a zero of T and the kind as a type. */
template <RecurrentKind K>
struct KindOf {
    static const RecurrentKind KIND = K;
    static const int GATE_COUNT = K == RNN ? 1 : K == LSTM ? 4 : 3;
};
template <typename F>
static inline void with_kind(RecurrentKind kind, Dtype dtype, F f)
{
    with_type(dtype, [&](auto zero) {
        if (kind == RNN)
            f(zero, KindOf<RNN>());
        else if (kind == LSTM)
            f(zero, KindOf<LSTM>());
        else
            f(zero, KindOf<GRU>());
    });
}

#endif
