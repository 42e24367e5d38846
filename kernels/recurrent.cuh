/* recurrent.cuh - what the CUDA twins of rnn, lstm and gru share. Formulas: recurrent.h.
 *
 *   recurrent.cu                      which kernel runs, plan, scratch, ranks
 *   recurrent_forward.cuh, .cu        h w_hh; the cells
 *   recurrent_backward.cuh, .cu       dgates w_hh; the cells' gradients
 *   recurrent_backward_products.cu    after it: gradients of weights, biases and x over all rows
 *   recurrent_cudnn.cu                all of it by cuDNN, where that is forced
 *
 * As on the CPU the sequences are ranked by length, longest first, and states lie in the order of
 * ranks, so that a step concerns the first of them; blocks of later ones leave at once. The list of
 * launches depends on the bucket alone and is captured into a graph with everything else.
 *
 * The kernel `steps` is launched once a step. `resident` takes all steps in one cooperative launch:
 * each block keeps its part of w_hh in shared memory, in the type it has, and the blocks of the same
 * ranks wait for each other after a step. It computes the same sums in the same order: the same bits.
 */
#ifndef KERNELS_RECURRENT_CUH
#define KERNELS_RECURRENT_CUH

#include "kernels/gpu.cuh"
#include "kernels/recurrent.h"

/* How the kernel `resident` is launched. */
struct Resident {
    unsigned ranks;  // blocks of ranks that are on the card at once
    size_t bytes;    // of shared memory of a block
    int most_shared; // that a block may have on this card
};

struct RecurrentCuda;

/* One of the kernels that a pass chooses among; the table is in recurrent.cu. */
struct RecurrentKernel {
    const char *name, *sizes;                     // sizes: for listings
    bool by_name;                                 // only forced, never chosen
    Status (*can_run)(Call *c, RecurrentCuda *p); // or why not and what to do; NULL: always
    void (*forward)(Call *c);
    void (*backward)(Call *c);
};

/* The plan of a call. Where things lie in scratch, in bytes; a region that is not used has no bytes. */
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
    const RecurrentKernel *kernel;
    Resident resident; // of the kernel of that name
};

enum { RECURRENT_SLICE = 256 }; // rows of a slice of the gradients of biases

template <typename T>
static inline T *scratch_at(const Call *c, size_t at)
{
    return reinterpret_cast<T *>(static_cast<char *>(c->scratch) + at);
}

/* For the table. _fits: OK and plan->resident, or why not and what to do. */
MUST_CHECK Status recurrent_forward_fits(const Call *c, RecurrentCuda *p);
MUST_CHECK Status recurrent_backward_fits(const Call *c, RecurrentCuda *p);
void recurrent_forward_resident(Call *c);
void recurrent_backward_resident(Call *c);
void recurrent_forward_steps(Call *c);
void recurrent_backward_steps(Call *c);

/* What follows from the gradients of the gates: those of biases, x, w_ih and w_hh. */
void recurrent_products_cuda(const Call *c, const RecurrentShape *s);

/* order[rank] = sequence. */
void recurrent_rank_cuda(const Call *c, const RecurrentShape *s);

/* Whether blocks of a kernel with `bytes` of shared memory can all be on the card at once: `units` of
 * them for the same ranks in each direction, and that up to `ranks` times. OK and *out, or E_DEVICE
 * says why not and what to do. */
MUST_CHECK Status recurrent_resident_fits(const Call *c, const void *kernel, int threads,
                                          size_t bytes, unsigned units, unsigned ranks,
                                          Resident *out);

/* Before every launch, since instructions of other sizes launch the same kernel; and to the card's
 * limit, so that none lowers what another wants that has been recorded and not yet replayed. */
static inline void resident_allow(const void *kernel, Resident r)
{
    (void)cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, r.most_shared);
}

/* Blocks of `rows` ranks in a grid's y, which ends at 65535: a block goes on to the ranks behind. */
static inline unsigned rank_blocks(int64_t B, int64_t rows)
{
    const unsigned all = blocks_for(B, rows);
    return all < 65535 ? all : 65535;
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
    /* Where the sequence of state d * B + rank has its own. */
    __device__ __forceinline__ int64_t place(int64_t state) const
    {
        return state / B * B + order[state % B];
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
template <typename T>
static __device__ __forceinline__ void store_four(T *p, float4 x)
{
    uint2 raw;
    T *e = reinterpret_cast<T *>(&raw);
    e[0] = from_float<T>(x.x);
    e[1] = from_float<T>(x.y);
    e[2] = from_float<T>(x.z);
    e[3] = from_float<T>(x.w);
    *reinterpret_cast<uint2 *>(p) = raw;
}

static __device__ __forceinline__ float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

/* A kind as a type. */
template <RecurrentKind K>
struct KindOf {
    static const RecurrentKind KIND = K;
    static const int GATE_COUNT = K == RNN ? 1 : K == LSTM ? 4 : 3;
};
template <typename F>
static inline void with_kind(RecurrentKind kind, F f)
{
    if (kind == RNN)
        f(KindOf<RNN>());
    else if (kind == LSTM)
        f(KindOf<LSTM>());
    else
        f(KindOf<GRU>());
}

#endif
