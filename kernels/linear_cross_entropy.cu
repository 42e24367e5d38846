/* linear_cross_entropy.cu - CUDA twin of linear_cross_entropy.c: same contract, same formulas; chunks
 * and products: linear_cross_entropy.h.
 *
 *   rows      a block per row: the softmax in one pass over the logits, the row's loss, and where the
 *             call gives gradients those of the logits, while the row is in the cache
 *   gradient  the same from the log of the sum that forward kept
 *
 * A gradient that is narrower than its logit is written below logits that are still to be read: a block
 * goes forward by stretches, all of which is read before any of it is written.
 */
#include "kernels/linear_cross_entropy.h"

#include "kernels/cross_entropy.cuh"

enum { THREADS = 512, NARROW_THREADS = 256 };

template <typename T>
struct ChunkRows {
    LossRule rule;
    const float *logits; // [count, V]
    T *dlogits;          // the same memory; NULL: not wanted
    int64_t stride;      // of dlogits
    int64_t from, V;
    float *lse, *loss; // of all rows; lse may be NULL
};

/* 4 logits, whose gradients may be stored narrower. */
template <typename T>
struct Four {
    static const int SIZE = 4;
    float value[SIZE];

    __device__ __forceinline__ void load(const float *p)
    {
        const float4 four = *reinterpret_cast<const float4 *>(p);
        value[0] = four.x;
        value[1] = four.y;
        value[2] = four.z;
        value[3] = four.w;
    }
    __device__ __forceinline__ void store(T *p) const
    {
        if constexpr (sizeof(T) == sizeof(float)) {
            *reinterpret_cast<float4 *>(p) = make_float4(value[0], value[1], value[2], value[3]);
        } else {
            uint2 raw;
            T *e = reinterpret_cast<T *>(&raw);
#pragma unroll
            for (int i = 0; i < SIZE; i++)
                e[i] = from_float<T>(value[i]);
            *reinterpret_cast<uint2 *>(p) = raw;
        }
    }
};

template <typename T>
struct Single {
    static const int SIZE = 1;
    float value[SIZE];

    __device__ __forceinline__ void load(const float *p)
    {
        value[0] = *p;
    }
    __device__ __forceinline__ void store(T *p) const
    {
        *p = from_float<T>(value[0]);
    }
};

/* The gradients of a row of logits over them. All threads of the block call it. */
template <typename T, typename Cell>
__device__ __forceinline__ void gradient_row(const ChunkRows<T> &p, float lse)
{
    const float *x = p.logits + blockIdx.x * p.V;
    T *dx = p.dlogits + blockIdx.x * p.stride;
    const LogitSlope slope = p.rule.slope(p.from + blockIdx.x, lse);

    for (int64_t start = 0; start < p.V; start += THREADS * Cell::SIZE) {
        const int64_t i = start + (int64_t)threadIdx.x * Cell::SIZE;
        Cell cell;
        clear(cell);
        if (i < p.V) {
            cell.load(x + i);
            slope.turn(cell, i);
        }
        if constexpr (sizeof(T) < sizeof(float))
            __syncthreads();
        if (i < p.V)
            cell.store(dx + i);
    }
}

template <typename T, typename Cell>
__device__ __forceinline__ void clear_row(const ChunkRows<T> &p)
{
    T *dx = p.dlogits + blockIdx.x * p.stride;
    Cell zero;

    clear(zero);
    for (int64_t i = (int64_t)threadIdx.x * Cell::SIZE; i < p.V; i += THREADS * Cell::SIZE)
        zero.store(dx + i);
}

template <typename T, typename Cell>
__global__ void __launch_bounds__(THREADS) linear_cross_entropy_rows(ChunkRows<T> p)
{
    __shared__ float part[3][Team<THREADS>::WARPS];
    const int64_t n = p.from + blockIdx.x;
    const bool counts = p.rule.counts(n);
    RowLoss row = {0, 0};

    if (counts)
        row = row_loss<THREADS>(p.rule, p.logits + blockIdx.x * p.V, n, part);
    if (threadIdx.x == 0)
        p.loss[n] = row.loss;
    if (threadIdx.x == 0 && p.lse)
        p.lse[n] = row.lse;
    if (!p.dlogits)
        return;
    __syncthreads(); // every logit has been read
    if (counts)
        gradient_row<T, Cell>(p, row.lse);
    else
        clear_row<T, Cell>(p);
}

template <typename T, typename Cell>
__global__ void __launch_bounds__(THREADS) linear_cross_entropy_gradient(ChunkRows<T> p)
{
    const int64_t n = p.from + blockIdx.x;

    if (p.rule.counts(n))
        gradient_row<T, Cell>(p, p.lse[n]);
    else
        clear_row<T, Cell>(p);
}

/* The sum of dw into dw itself, a narrower tensor. */
template <typename T>
__global__ void __launch_bounds__(NARROW_THREADS)
    linear_cross_entropy_narrow(T *dw, const float *wide, int64_t count, bool add)
{
    const int64_t i = (int64_t)blockIdx.x * NARROW_THREADS + threadIdx.x;

    if (i < count)
        dw[i] = from_float<T>((add ? to_float(dw[i]) : 0.0f) + wide[i]);
}

template <typename T>
static ChunkRows<T> rows_of(const Call *c, int64_t from)
{
    const LinearCrossEntropyArgs *a = static_cast<const LinearCrossEntropyArgs *>(c->args);
    ChunkRows<T> p = {};

    p.V = tensor_rows(c->in[LCE_WEIGHT]);
    p.rule = loss_rule(c, CrossEntropyArgs{a->label_smoothing, a->classes}, p.V, c->in[LCE_TARGET],
                       c->in[LCE_OFFSETS], c->in[LCE_SCALARS]);
    p.logits = static_cast<const float *>(c->scratch);
    p.dlogits = linear_cross_entropy_gives(c) ? static_cast<T *>(c->scratch) : NULL;
    p.stride = linear_cross_entropy_dlogits(c, false).stride;
    p.from = from;
    p.lse = data<float>(c->save[LCE_LSE]);
    p.loss = static_cast<float *>(linear_cross_entropy_losses(c));
    return p;
}

template <typename T, typename Cell>
static void launch_rows(const Call *c, const ChunkRows<T> &p, int64_t count)
{
    if (c->pass == FORWARD)
        LAUNCH((linear_cross_entropy_rows<T, Cell>), (unsigned)count, THREADS, 0, call_stream(c),
               p);
    else
        LAUNCH((linear_cross_entropy_gradient<T, Cell>), (unsigned)count, THREADS, 0,
               call_stream(c), p);
}

static void run_rows(const Call *c, int64_t from, int64_t count)
{
    with_type(c->in[LCE_X]->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        const ChunkRows<T> p = rows_of<T>(c, from);
        if (p.V % Four<T>::SIZE == 0) // scratch itself is aligned
            launch_rows<T, Four<T>>(c, p, count);
        else
            launch_rows<T, Single<T>>(c, p, count);
    });
}

static void run_chunks(Call *c)
{
    const Tensor *dw = linear_cross_entropy_gives(c) ? c->din[LCE_WEIGHT] : NULL;
    const bool add = (c->accumulate >> LCE_WEIGHT & 1) != 0;
    const float *wide = linear_cross_entropy_wide(c);

    linear_cross_entropy_run(c, run_rows);
    if (dw && tensor_rows(c->in[LCE_X]) == 0)
        clear_gradient(c, LCE_WEIGHT);
    if (!wide)
        return;
    with_type(dw->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        LAUNCH((linear_cross_entropy_narrow<T>), blocks_for(tensor_size(dw), NARROW_THREADS),
               NARROW_THREADS, 0, call_stream(c), data<T>(dw), wide, tensor_size(dw), add);
    });
}

void linear_cross_entropy_forward_cuda(Call *c)
{
    run_chunks(c);
    LAUNCH(loss_fold, 1, LOSS_BLOCK, 0, call_stream(c), data<float>(c->out[0]),
           static_cast<const float *>(linear_cross_entropy_losses(c)), tensor_rows(c->in[LCE_X]),
           data<const float>(c->in[LCE_SCALARS]), (int64_t)1);
}

void linear_cross_entropy_backward_cuda(Call *c)
{
    run_chunks(c);
}
