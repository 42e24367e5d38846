/* layernorm.cuh - what the CUDA kernels of layernorm and add_layernorm share; formulas: layernorm.h.
 */
#ifndef KERNELS_LAYERNORM_CUH
#define KERNELS_LAYERNORM_CUH

#include "kernels/layernorm.h"
#include "kernels/norm_rows.cuh"

/* The sum of a cell's d = value - near, and of d^2. */
template <typename Cell>
__device__ __forceinline__ float2 spread_of(const Cell &s, float near)
{
    float2 sum = make_float2(0, 0);

#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++) {
        const float d = s.value[j] - near;
        sum = sum + make_float2(d, d * d);
    }
    return sum;
}

template <typename Cell>
__device__ __forceinline__ float sum_of(const Cell &s)
{
    float sum = 0;

#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++)
        sum += s.value[j];
    return sum;
}

struct Statistics {
    float mean, rstd;
};

/* spread: of a whole row of C; near: close to its mean, as good as F32 sums of C numbers are. */
static __device__ __forceinline__ Statistics statistics_of(float2 spread, float near, int64_t C,
                                                           float epsilon)
{
    const float shift = spread.x / (float)C;
    const float variance = spread.y / (float)C - shift * shift;

    return Statistics{near + shift, 1 / sqrtf((variance < 0 ? 0 : variance) + epsilon)};
}

#endif
