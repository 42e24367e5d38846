/* elementwise.cuh - maps over the elements of a matrix: y = f(a, b), each of the three strided.
 *
 * A thread takes a run of columns that fills 16 bytes of storage: in one access where the run is
 * whole and aligned, element by element at the end of a row and in views of odd width or place. A
 * thread has read its run before it writes it, so y may be a or b.
 *
 * f is a functor with the number of matrices it reads as INPUTS (0 to 2) and
 *
 *     template <int W> __device__ void operator()(float (&out)[W], Place at, const float (&a)[W], ...)
 *
 * or Each<F>, F a functor from one float of each input to a float, where the place is of no matter.
 */
#ifndef KERNELS_ELEMENTWISE_CUH
#define KERNELS_ELEMENTWISE_CUH

#include "kernels/gpu.cuh"

#include <type_traits>

static const unsigned ELEMENTWISE_BLOCK = 256;      // threads
static const int64_t ELEMENTWISE_GRID_ROWS = 65535; // blocks; CUDA's limit in this direction

/* A run of n columns from `column` on. */
struct Place {
    int64_t row, column;
    int n;
};

/* x[i] = p[i], 0 from n on. wide: p is aligned for the whole run, to 16 bytes at most. */
template <typename T, int W>
__device__ __forceinline__ void run_load(float (&x)[W], const T *p, int n, bool wide)
{
    typedef std::conditional_t<sizeof(T) * W % 16 == 0, uint4, uint2> Word;
    constexpr int EACH = sizeof(Word) / sizeof(T);

    if (wide && n == W) {
#pragma unroll
        for (int w = 0; w < W / EACH; w++) {
            const Word raw = reinterpret_cast<const Word *>(p)[w];
            const T *e = reinterpret_cast<const T *>(&raw);
#pragma unroll
            for (int i = 0; i < EACH; i++)
                x[w * EACH + i] = to_float(e[i]);
        }
    } else {
#pragma unroll
        for (int i = 0; i < W; i++)
            x[i] = i < n ? to_float(p[i]) : 0.0f;
    }
}

/* p[i] = x[i] for i < n. */
template <typename T, int W>
__device__ __forceinline__ void run_store(T *p, const float (&x)[W], int n, bool wide)
{
    typedef std::conditional_t<sizeof(T) * W % 16 == 0, uint4, uint2> Word;
    constexpr int EACH = sizeof(Word) / sizeof(T);

    if (wide && n == W) {
#pragma unroll
        for (int w = 0; w < W / EACH; w++) {
            Word raw;
            T *e = reinterpret_cast<T *>(&raw);
#pragma unroll
            for (int i = 0; i < EACH; i++)
                e[i] = from_float<T>(x[w * EACH + i]);
            reinterpret_cast<Word *>(p)[w] = raw;
        }
    } else {
#pragma unroll
        for (int i = 0; i < W; i++)
            if (i < n)
                p[i] = from_float<T>(x[i]);
    }
}

/* A gradient: adds to what is there, rounding once, or overwrites. */
template <typename T, int W>
__device__ __forceinline__ void run_give(T *p, float (&x)[W], int n, bool wide, bool add)
{
    if (add) {
        float there[W];
        run_load(there, p, n, wide);
#pragma unroll
        for (int i = 0; i < W; i++)
            x[i] += there[i];
    }
    run_store(p, x, n, wide);
}

/* A matrix whose storage type only the running program knows. */
struct AnyView {
    void *data;
    int64_t stride;
    Dtype dtype;
};

template <int W>
__device__ __forceinline__ void run_load_any(float (&x)[W], AnyView from, Place at, bool wide)
{
    const int64_t i = at.row * from.stride + at.column;

    if (from.dtype == F32)
        run_load(x, static_cast<const float *>(from.data) + i, at.n, wide);
    else if (from.dtype == BF16)
        run_load(x, static_cast<const bf16 *>(from.data) + i, at.n, wide);
    else
        run_load(x, static_cast<const f16 *>(from.data) + i, at.n, wide);
}

template <int W>
__device__ __forceinline__ void run_give_any(AnyView to, float (&x)[W], Place at, bool wide,
                                             bool add)
{
    const int64_t i = at.row * to.stride + at.column;

    if (to.dtype == F32)
        run_give(static_cast<float *>(to.data) + i, x, at.n, wide, add);
    else if (to.dtype == BF16)
        run_give(static_cast<bf16 *>(to.data) + i, x, at.n, wide, add);
    else
        run_give(static_cast<f16 *>(to.data) + i, x, at.n, wide, add);
}

template <typename F>
struct Each {
    static const int INPUTS = F::INPUTS;
    F f;

    template <int W, typename... Run>
    __device__ __forceinline__ void operator()(float (&out)[W], Place, const Run &...x) const
    {
#pragma unroll
        for (int i = 0; i < W; i++)
            out[i] = f(x[i]...);
    }
};

template <typename T, typename F>
__global__ void elementwise_map(Matrix<T> y, Matrix<const T> a, Matrix<const T> b, int64_t N,
                                int64_t C, bool wide, bool add, F f)
{
    constexpr int W = Pack<T>::SIZE;
    const int64_t column = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * W;
    const int64_t rows = (int64_t)gridDim.y * blockDim.y;

    if (column >= C)
        return;
    const int n = C - column < W ? (int)(C - column) : W;
    for (int64_t row = (int64_t)blockIdx.y * blockDim.y + threadIdx.y; row < N; row += rows) {
        const Place at = {row, column, n};
        float out[W], p[W], q[W];
        if constexpr (F::INPUTS > 0)
            run_load(p, a.at(row, column), n, wide);
        if constexpr (F::INPUTS > 1)
            run_load(q, b.at(row, column), n, wide);
        if constexpr (F::INPUTS == 0)
            f(out, at);
        else if constexpr (F::INPUTS == 1)
            f(out, at, p);
        else
            f(out, at, p, q);
        run_give(y.at(row, column), out, n, wide, add);
    }
}

/* ---- on the host ---- */

/* Threads side by side along `runs` runs of columns and, where those are few, along rows. */
static inline dim3 elementwise_block(int64_t runs)
{
    unsigned x = 1;

    while (x < ELEMENTWISE_BLOCK && x < runs)
        x *= 2;
    return dim3(x, ELEMENTWISE_BLOCK / x);
}

static inline dim3 elementwise_grid(int64_t runs, int64_t rows, dim3 block)
{
    const int64_t y = (rows + block.y - 1) / block.y;

    return dim3(blocks_for(runs, block.x),
                (unsigned)(y < ELEMENTWISE_GRID_ROWS ? y : ELEMENTWISE_GRID_ROWS));
}

/* Whether all `rows` rows of x can be read in whole runs of W elements; NULL can. */
static inline bool elementwise_wide(const Tensor *x, int64_t rows, int W)
{
    const size_t run = x ? dtype_size(x->dtype) * (size_t)W : 16;

    return !x ||
           ((uintptr_t)x->data % (run < 16 ? run : 16) == 0 && (rows == 1 || x->stride % W == 0));
}

static inline AnyView any_view(const Tensor *x)
{
    return AnyView{x ? x->data : nullptr, x ? x->stride : 0, x ? x->dtype : F32};
}

template <typename F>
struct IsEach : std::false_type {
};
template <typename F>
struct IsEach<Each<F>> : std::true_type {
};

/* y = f(a, b), or y += f(a, b) where add is set; a and b of y's dtype and shape, NULL where f reads
 * fewer. */
template <typename F>
static void elementwise(const Call *c, const Tensor *y, const Tensor *a, const Tensor *b, bool add,
                        F f)
{
    const bool block = tensor_contiguous(y) && (!a || tensor_contiguous(a)) &&
                       (!b || tensor_contiguous(b)) && IsEach<F>::value;
    const int64_t N = block ? 1 : tensor_rows(y), C = block ? tensor_size(y) : tensor_columns(y);

    if (tensor_size(y) == 0)
        return;
    with_type(y->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        const int W = Pack<T>::SIZE;
        const bool wide =
            elementwise_wide(y, N, W) && elementwise_wide(a, N, W) && elementwise_wide(b, N, W);
        const int64_t runs = (C + W - 1) / W;
        const dim3 threads = elementwise_block(runs);
        LAUNCH((elementwise_map<T, F>), elementwise_grid(runs, N, threads), threads, 0,
               call_stream(c), matrix<T>(y), matrix<const T>(a), matrix<const T>(b), N, C, wide,
               add, f);
    });
}

#endif
