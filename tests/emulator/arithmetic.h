/* arithmetic.h - CUDA's functions of numbers and bits, and its cached loads and stores.
 *
 * Those of C's library are the CPU's. With CAIRN_EMULATOR_MATH=rough each is off by as many ulps as
 * CUDA's programming guide lets a card be ("Single-Precision Floating-Point Functions"), up or down by
 * the bits of x: a test that passes so passes on a card. The fast forms (__expf and the like) are
 * exact here: their error is a GPU's own.
 */
#ifndef TESTS_EMULATOR_ARITHMETIC_H
#define TESTS_EMULATOR_ARITHMETIC_H

#include <bit>
#include <cmath>
#include <math.h>
#include <stdint.h>
#include <type_traits>

namespace emulator
{

/* y = f(x), or with CAIRN_EMULATOR_MATH=rough `ulps` beside it, towards 0 where up is more than `most`.
 * What a card gives exactly stays: 0, 1, -1, x itself, infinity, NaN. */
float rough(float x, float y, int ulps, float most);

} // namespace emulator

#define ROUGH(name, ulps, most)                         \
    inline float rough_##name(float x)                  \
    {                                                   \
        return emulator::rough(x, name(x), ulps, most); \
    }
ROUGH(expf, 2, INFINITY)
ROUGH(exp2f, 2, INFINITY)
ROUGH(logf, 1, INFINITY)
ROUGH(log2f, 1, INFINITY)
ROUGH(tanhf, 2, 1)
ROUGH(erff, 2, 1)
ROUGH(erfcf, 4, 2)
#undef ROUGH

inline float __expf(float x)
{
    return expf(x);
}
inline float __exp10f(float x)
{
    return powf(10.0f, x);
}
inline float __logf(float x)
{
    return logf(x);
}
inline float __log2f(float x)
{
    return log2f(x);
}
inline float __powf(float x, float y)
{
    return powf(x, y);
}
inline float __sinf(float x)
{
    return sinf(x);
}
inline float __cosf(float x)
{
    return cosf(x);
}
inline void __sincosf(float x, float *sine, float *cosine)
{
    *sine = sinf(x);
    *cosine = cosf(x);
}
inline float __tanhf(float x)
{
    return tanhf(x);
}
inline float __fdividef(float a, float b)
{
    return a / b;
}
inline float __fdiv_rn(float a, float b)
{
    return a / b;
}
inline float __fadd_rn(float a, float b)
{
    volatile float sum = a + b; // never part of a fused product
    return sum;
}
inline float __fsub_rn(float a, float b)
{
    volatile float difference = a - b;
    return difference;
}
inline float __fmul_rn(float a, float b)
{
    volatile float product = a * b;
    return product;
}
inline float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}
inline float __frcp_rn(float x)
{
    return 1.0f / x;
}
inline float __fsqrt_rn(float x)
{
    return sqrtf(x);
}
inline float __frsqrt_rn(float x)
{
    return 1.0f / sqrtf(x);
}
inline float rsqrtf(float x)
{
    return 1.0f / sqrtf(x);
}
inline double rsqrt(double x)
{
    return 1.0 / sqrt(x);
}
inline float __saturatef(float x)
{
    return x > 0 ? (x < 1 ? x : 1) : 0;
}

inline unsigned __float_as_uint(float x)
{
    return std::bit_cast<unsigned>(x);
}
inline int __float_as_int(float x)
{
    return std::bit_cast<int>(x);
}
inline float __uint_as_float(unsigned x)
{
    return std::bit_cast<float>(x);
}
inline float __int_as_float(int x)
{
    return std::bit_cast<float>(x);
}
inline long long __double_as_longlong(double x)
{
    return std::bit_cast<long long>(x);
}
inline double __longlong_as_double(long long x)
{
    return std::bit_cast<double>(x);
}
inline int __float2int_rn(float x)
{
    return (int)nearbyintf(x);
}
inline int __float2int_rz(float x)
{
    return (int)x;
}
inline int __float2int_rd(float x)
{
    return (int)floorf(x);
}
inline float __int2float_rn(int x)
{
    return (float)x;
}
inline float __uint2float_rn(unsigned x)
{
    return (float)x;
}

inline int __popc(unsigned x)
{
    return std::popcount(x);
}
inline int __popcll(unsigned long long x)
{
    return std::popcount(x);
}
inline int __clz(int x)
{
    return std::countl_zero((unsigned)x);
}
inline int __clzll(long long x)
{
    return std::countl_zero((unsigned long long)x);
}
inline int __ffs(int x)
{
    return __builtin_ffs(x);
}
inline int __ffsll(long long x)
{
    return __builtin_ffsll(x);
}
inline unsigned long long __brevll(unsigned long long x)
{
    unsigned long long reversed = 0;
    for (int i = 0; i < 64; i++)
        reversed |= (x >> i & 1) << (63 - i);
    return reversed;
}
inline unsigned __brev(unsigned x)
{
    return (unsigned)(__brevll(x) >> 32);
}
inline unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)((uint64_t)a * b >> 32);
}
inline int __mulhi(int a, int b)
{
    return (int)((int64_t)a * b >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift)
{
    const uint64_t both = (uint64_t)high << 32 | low;
    return (unsigned)(both << (shift & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift)
{
    const uint64_t both = (uint64_t)high << 32 | low;
    return (unsigned)(both >> (shift & 31));
}
/* Byte i of the result is byte selector[i] of b:a, or its sign where bit 3 is set. */
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector)
{
    const uint64_t both = (uint64_t)b << 32 | a;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) {
        const unsigned which = selector >> (4 * i) & 15;
        unsigned byte = (unsigned)(both >> (8 * (which & 7))) & 255;
        if (which & 8)
            byte = byte & 128 ? 255 : 0;
        result |= byte << (8 * i);
    }
    return result;
}
inline int __dp4a(int a, int b, int sum)
{
    for (int i = 0; i < 4; i++)
        sum += (int8_t)(a >> (8 * i)) * (int8_t)(b >> (8 * i));
    return sum;
}

/* Which cache a value goes through makes no difference here. */
#define CACHED_LOAD(name)        \
    template <typename T>        \
    inline T name(const T *from) \
    {                            \
        return *from;            \
    }
#define CACHED_STORE(name)              \
    template <typename T>               \
    inline void name(T *to, const T &x) \
    {                                   \
        *to = x;                        \
    }
CACHED_LOAD(__ldg)
CACHED_LOAD(__ldca)
CACHED_LOAD(__ldcg)
CACHED_LOAD(__ldcs)
CACHED_LOAD(__ldlu)
CACHED_LOAD(__ldcv)
CACHED_STORE(__stwb)
CACHED_STORE(__stcg)
CACHED_STORE(__stcs)
CACHED_STORE(__stwt)
#undef CACHED_LOAD
#undef CACHED_STORE

template <typename A, typename B>
inline std::common_type_t<A, B> min(A a, B b)
{
    return a < b ? a : b;
}
template <typename A, typename B>
inline std::common_type_t<A, B> max(A a, B b)
{
    return a > b ? a : b;
}

/* From here on; those above are the CPU's. */
#define expf(x) rough_expf(x)
#define exp2f(x) rough_exp2f(x)
#define logf(x) rough_logf(x)
#define log2f(x) rough_log2f(x)
#define tanhf(x) rough_tanhf(x)
#define erff(x) rough_erff(x)
#define erfcf(x) rough_erfcf(x)

inline long long clock64()
{
    return 0;
}
inline void __prof_trigger(int) {}

#endif
