/* mma.cuh - mma.m16n8k16 of sm80.cuh for BF16 and F16 alike.
 *
 * Of the 16 x 16 left operand a lane has rows lane / 4 (a[0], a[2]) and 8 further (a[1], a[3]), columns
 * lane % 4 * 2 and the next (a[0], a[1]) and 8 further. Of a 16 x 8 result it has rows lane / 4 (0, 1)
 * and 8 further (2, 3), columns lane % 4 * 2 and the next.
 */
#ifndef KERNELS_MMA_CUH
#define KERNELS_MMA_CUH

#include "kernels/gpu.cuh"
#include "kernels/sm80.cuh"

static __device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                           uint32_t b1, bf16)
{
    mma_bf16(d, a, b0, b1);
}
static __device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                           uint32_t b1, f16)
{
    mma_f16(d, a, b0, b1);
}

static __device__ __forceinline__ uint32_t mma_pack(float low, float high, bf16)
{
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const uint32_t *>(&pair);
}
static __device__ __forceinline__ uint32_t mma_pack(float low, float high, f16)
{
    const __half2 pair = __floats2half2_rn(low, high);
    return *reinterpret_cast<const uint32_t *>(&pair);
}

#endif
