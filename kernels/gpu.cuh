/* gpu.cuh - what every .cu file includes: launches, storage types, reductions, the view of a Call.
 *
 * A .cu file is compiled by nvcc for a GPU, and as C++20 with the emulator of tests/emulator in the
 * place of CUDA's headers for the tests. So that both see one source: launches by LAUNCH, dynamic
 * shared memory by DYNAMIC_SHARED, instructions that CUDA C lacks by the functions of
 * sm80.cuh. Arithmetic is F32 whatever the storage.
 */
#ifndef KERNELS_GPU_CUH
#define KERNELS_GPU_CUH

#include "kernels/ops.h"
#include "runtime/device_stream.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#ifdef __CUDACC__
#include <tuple>

/* LAUNCH((kernel<T, 4>), grid, block, bytes of dynamic shared memory, stream, arguments...). A grid of
 * no blocks, which CUDA calls an error, launches nothing: that is what a batch without rows asks for. */
#define LAUNCH(kernel, grid, block, bytes, stream, ...)                         \
    do {                                                                        \
        const dim3 launch_grid = dim3(grid);                                    \
        if (launch_grid.x && launch_grid.y && launch_grid.z)                    \
            (kernel)<<<launch_grid, (block), (bytes), (stream)>>>(__VA_ARGS__); \
    } while (0)
/* The same, with every block resident at once, so that blocks may wait for each other. */
#define LAUNCH_COOPERATIVE(kernel, grid, block, bytes, stream, ...) \
    launch_cooperative((kernel), (grid), (block), (bytes), (stream), __VA_ARGS__)
/* Once in a kernel; aligned to 1024 bytes. */
#define DYNAMIC_SHARED(T, name)                                       \
    extern __shared__ __align__(1024) unsigned char dynamic_shared[]; \
    T *name = reinterpret_cast<T *>(dynamic_shared)

template <typename... P, typename... A>
static inline void launch_cooperative(void (*kernel)(P...), dim3 grid, dim3 block, size_t bytes,
                                      cudaStream_t stream, A... values)
{
    std::tuple<P...> converted(values...);
    std::apply(
        [&](P &...each) {
            void *list[] = {&each...};
            (void)cudaLaunchCooperativeKernel(reinterpret_cast<const void *>(kernel), grid, block,
                                              list, bytes, stream);
        },
        converted);
}
#endif

typedef __nv_bfloat16 bf16;
typedef __half f16;

enum { WARP = 32 };
static const unsigned ALL_LANES = 0xFFFFFFFFu;

static __device__ __forceinline__ float to_float(float x)
{
    return x;
}
static __device__ __forceinline__ float to_float(bf16 x)
{
    return __bfloat162float(x);
}
static __device__ __forceinline__ float to_float(f16 x)
{
    return __half2float(x);
}

/* Rounds to the nearest, ties to even. */
template <typename T>
__device__ __forceinline__ T from_float(float x);
template <>
__device__ __forceinline__ float from_float<float>(float x)
{
    return x;
}
template <>
__device__ __forceinline__ bf16 from_float<bf16>(float x)
{
    return __float2bfloat16(x);
}
template <>
__device__ __forceinline__ f16 from_float<f16>(float x)
{
    return __float2half(x);
}

/* 16 bytes of T: 4 F32 or 8 BF16 or F16. p is 16-byte aligned. */
template <typename T>
struct Pack {
    static const int SIZE = 16 / (int)sizeof(T);
    float value[SIZE];

    __device__ __forceinline__ void load(const T *p)
    {
        const uint4 raw = *reinterpret_cast<const uint4 *>(p);
        const T *e = reinterpret_cast<const T *>(&raw);
#pragma unroll
        for (int i = 0; i < SIZE; i++)
            value[i] = to_float(e[i]);
    }
    __device__ __forceinline__ void store(T *p) const
    {
        uint4 raw;
        T *e = reinterpret_cast<T *>(&raw);
#pragma unroll
        for (int i = 0; i < SIZE; i++)
            e[i] = from_float<T>(value[i]);
        *reinterpret_cast<uint4 *>(p) = raw;
    }
};

/* A matrix whose rows are `stride` elements apart; data NULL where there is no such tensor. */
template <typename T>
struct Matrix {
    T *data;
    int64_t stride;

    __device__ __forceinline__ T *row(int64_t n) const
    {
        return data + n * stride;
    }
    __device__ __forceinline__ T *at(int64_t n, int64_t column) const
    {
        return row(n) + column;
    }
};

/* A weight or bias that is F32 or the activations' dtype T; NULL reads as 0. */
template <typename T>
struct Weight {
    const void *data;
    bool f32;

    __device__ __forceinline__ float operator[](int64_t i) const
    {
        return !data ? 0.0f
               : f32 ? static_cast<const float *>(data)[i]
                     : to_float(static_cast<const T *>(data)[i]);
    }
};

/* Over the 32 lanes of a warp; every lane gets the result, in one fixed order. */
static __device__ __forceinline__ float warp_sum(float x)
{
#pragma unroll
    for (int d = WARP / 2; d > 0; d /= 2)
        x += __shfl_xor_sync(ALL_LANES, x, d);
    return x;
}
static __device__ __forceinline__ float warp_max(float x)
{
#pragma unroll
    for (int d = WARP / 2; d > 0; d /= 2)
        x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, d));
    return x;
}

/* The sequence of row n, which is one of them: offsets[b] <= n < offsets[b + 1]. */
static __device__ __forceinline__ int64_t sequence_of(const int32_t *offsets, int64_t B, int64_t n)
{
    int64_t low = 0, high = B; // offsets[low] <= n < offsets[high]

    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        if (offsets[middle] <= n)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* ---- on the host ---- */

static inline unsigned blocks_for(int64_t count, int64_t per_block)
{
    return (unsigned)((count + per_block - 1) / per_block);
}
static inline cudaStream_t call_stream(const Call *c)
{
    return (cudaStream_t)device_stream(c->device, c->stream);
}
template <typename T>
static inline T *data(const Tensor *x)
{
    return x ? static_cast<T *>(x->data) : nullptr;
}
template <typename T>
static inline Matrix<T> matrix(const Tensor *x)
{
    return Matrix<T>{data<T>(x), x ? x->stride : 0};
}
template <typename T>
static inline Weight<T> weight_of(const Tensor *x)
{
    return Weight<T>{x ? x->data : nullptr, x && x->dtype == F32};
}

/* Zero into gradient i where it is wanted and not added to. */
static inline void clear_gradient(const Call *c, int i)
{
    if (c->din[i] && !(c->accumulate >> i & 1))
        call_clear(c, c->din[i]);
}

/* Calls f with a zero of the C++ type that stores dtype: with_type(x->dtype, [&](auto zero) {
 * typedef decltype(zero) T; ... }). */
template <typename F>
static inline void with_type(Dtype dtype, F f)
{
    if (dtype == F32)
        f(0.0f);
    else if (dtype == BF16)
        f(bf16());
    else
        f(f16());
}

#endif
