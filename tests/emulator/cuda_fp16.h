/* cuda_fp16.h - the emulator's: IEEE binary16. */
#ifndef TESTS_EMULATOR_CUDA_FP16_H
#define TESTS_EMULATOR_CUDA_FP16_H

#include "tests/emulator/cuda_runtime.h"

struct __half {
    uint16_t bits;

    __half() = default;
    /* To the nearest, ties to even; beyond 65519 infinite; every NaN is 0x7FFF, as CUDA's. */
    __half(float x)
    {
        bits = x == x ? std::bit_cast<uint16_t>((_Float16)x) : 0x7FFF;
    }
    operator float() const
    {
        return (float)std::bit_cast<_Float16>(bits);
    }
};
struct alignas(4) __half2 {
    __half x, y;
};
typedef __half half;
typedef __half2 half2;

inline float __half2float(__half x)
{
    return x;
}
inline __half __float2half(float x)
{
    return x;
}
inline __half __float2half_rn(float x)
{
    return x;
}
inline __half2 __floats2half2_rn(float low, float high)
{
    return {low, high};
}
inline __half2 __float22half2_rn(float2 x)
{
    return {x.x, x.y};
}
inline __half2 __halves2half2(__half low, __half high)
{
    return {low, high};
}
inline float2 __half22float2(__half2 x)
{
    return {x.x, x.y};
}
inline float __low2float(__half2 x)
{
    return x.x;
}
inline float __high2float(__half2 x)
{
    return x.y;
}
inline unsigned short __half_as_ushort(__half x)
{
    return x.bits;
}
inline __half __ushort_as_half(unsigned short bits)
{
    return std::bit_cast<__half>(bits);
}

#endif
