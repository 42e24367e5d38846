/* cuda_bf16.h - the emulator's: bfloat16 is the upper half of an F32. */
#ifndef TESTS_EMULATOR_CUDA_BF16_H
#define TESTS_EMULATOR_CUDA_BF16_H

#include "tests/emulator/cuda_runtime.h"

struct __nv_bfloat16 {
    uint16_t bits;

    __nv_bfloat16() = default;
    /* To the nearest, ties to even; every NaN is 0x7FFF, as CUDA's. */
    __nv_bfloat16(float x)
    {
        const uint32_t word = std::bit_cast<uint32_t>(x);
        const bool nan = (word & 0x7FFFFFFF) > 0x7F800000;
        bits = nan ? 0x7FFF : (uint16_t)((word + 0x7FFF + (word >> 16 & 1)) >> 16);
    }
    operator float() const
    {
        return std::bit_cast<float>((uint32_t)bits << 16);
    }
};
struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};
typedef __nv_bfloat16 nv_bfloat16;
typedef __nv_bfloat162 nv_bfloat162;

inline float __bfloat162float(__nv_bfloat16 x)
{
    return x;
}
inline __nv_bfloat16 __float2bfloat16(float x)
{
    return x;
}
inline __nv_bfloat16 __float2bfloat16_rn(float x)
{
    return x;
}
inline __nv_bfloat162 __floats2bfloat162_rn(float low, float high)
{
    return {low, high};
}
inline __nv_bfloat162 __float22bfloat162_rn(float2 x)
{
    return {x.x, x.y};
}
inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 low, __nv_bfloat16 high)
{
    return {low, high};
}
inline float2 __bfloat1622float2(__nv_bfloat162 x)
{
    return {x.x, x.y};
}
inline float __low2float(__nv_bfloat162 x)
{
    return x.x;
}
inline float __high2float(__nv_bfloat162 x)
{
    return x.y;
}
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x)
{
    return x.bits;
}
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits)
{
    return std::bit_cast<__nv_bfloat16>(bits);
}

#endif
