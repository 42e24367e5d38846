/* vector.h - what the CPU kernels share: wider code at run time, storage types, exp, tanh, draws.
 *
 * A kernel is written once, in F32, over rows. It reads a stretch of a row with vector_read(), which
 * hands out F32 rows as they are and widens BF16 and F16 into `room`; computes; and writes with
 * vector_write() or, for a gradient, vector_give(). A stretch is at most VECTOR_STRETCH elements, so
 * that the rooms stay in the first-level cache:
 *
 *     CLONES static void row_square(Tensor *y, const Tensor *x, int64_t row)
 *     {
 *         float room[VECTOR_STRETCH], out_room[VECTOR_STRETCH];
 *         for (int64_t i = 0; i < C; i += VECTOR_STRETCH) {
 *             const int64_t n = vector_stretch(C - i);
 *             const float *a = vector_read(vector_at(x, row, i), x->dtype, n, room);
 *             float *b = vector_place(vector_at(y, row, i), y->dtype, out_room);
 *     #pragma omp simd
 *             for (int64_t k = 0; k < n; k++)
 *                 b[k] = a[k] * a[k];
 *             vector_write(vector_at(y, row, i), y->dtype, b, n);
 *         }
 *     }
 *
 * The mathematical functions are polynomials in fused multiply-adds: an element has the same bits
 * wherever it stands in a loop, vectorised or not, and on every width of vector. They are scalar
 * here and become vector code inside a loop marked `omp simd` in a function marked CLONES.
 */
#ifndef KERNELS_VECTOR_H
#define KERNELS_VECTOR_H

#include "runtime/device.h"
#include "runtime/half.h"
#include "runtime/philox.h"
#include "runtime/tensor.h"

#include <math.h>

/* Compiles a function for AVX-512 machines too; the loader picks. Sanitizers do not survive the
 * loader's choice being made before they are set up. */
#if defined(CAIRN_SANITIZE) || defined(__clang__)
#define CLONES
#else
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "default")))
#endif

/* What is called inside a CLONES function must be inlined to be compiled for its machine. */
#define VECTOR_INLINE static inline __attribute__((always_inline, unused))

enum {
    VECTOR_STRETCH = 512,          // elements of a room
    VECTOR_THREAD_SHARE = 1 << 14, // elements: work below this is not worth waking a thread
};

VECTOR_INLINE int64_t vector_stretch(int64_t left)
{
    return left < VECTOR_STRETCH ? left : VECTOR_STRETCH;
}

/* For num_threads(): as many as the device has, fewer where `elements` are few. What a thread does
 * must not change bits: the number is for time alone. */
VECTOR_INLINE int vector_threads(const Device *d, int64_t elements)
{
    const int64_t most = elements / VECTOR_THREAD_SHARE;

    return most < 1 ? 1 : most < d->threads ? (int)most : d->threads;
}

VECTOR_INLINE void *vector_at(const Tensor *x, int64_t row, int64_t column)
{
    return (char *)x->data + (size_t)(row * x->stride + column) * (x->dtype == F32 ? 4 : 2);
}

VECTOR_INLINE void vector_from_bf16(float *to, const uint16_t *from, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        to[i] = float_from_bf16(from[i]);
}

VECTOR_INLINE void vector_to_bf16(uint16_t *to, const float *from, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &from[i], sizeof bits);
        const uint32_t rounded = bits + 0x7FFFu + ((bits >> 16) & 1);
        const uint32_t quiet = bits | 0x400000u;
        to[i] = (uint16_t)(((bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded) >> 16);
    }
}

VECTOR_INLINE void vector_from_f16(float *to, const uint16_t *from, int64_t n)
{
    int64_t i = 0;

    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(
            to + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(from + i))));
    for (; i < n; i++)
        to[i] = float_from_f16(from[i]);
}

VECTOR_INLINE void vector_to_f16(uint16_t *to, const float *from, int64_t n)
{
    int64_t i = 0;

    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(void *)(to + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; i++)
        to[i] = f16_from_float(from[i]);
}

/* n elements at `from` as F32: `from` itself, or widened into `room`. */
VECTOR_INLINE const float *vector_read(const void *from, Dtype dtype, int64_t n, float *room)
{
    if (dtype == F32)
        return from;
    if (dtype == BF16)
        vector_from_bf16(room, from, n);
    else
        vector_from_f16(room, from, n);
    return room;
}

/* Where to compute what vector_write() then stores: `to` itself, or `room`. */
VECTOR_INLINE float *vector_place(void *to, Dtype dtype, float *room)
{
    return dtype == F32 ? to : room;
}

/* Stores n elements in `dtype`; nothing to do where they were computed in place. */
VECTOR_INLINE void vector_write(void *to, Dtype dtype, const float *from, int64_t n)
{
    if (dtype == BF16)
        vector_to_bf16(to, from, n);
    else if (dtype == F16)
        vector_to_f16(to, from, n);
    else if (to != from)
        memcpy(to, from, (size_t)n * sizeof *from);
}

/* Stores a gradient: adds to what is there, rounding once, or overwrites. */
VECTOR_INLINE void vector_give(void *to, Dtype dtype, bool add, const float *from, int64_t n)
{
    if (!add) {
        vector_write(to, dtype, from, n);
        return;
    }
    for (int64_t i = 0; i < n; i += VECTOR_STRETCH) {
        float room[VECTOR_STRETCH];
        const int64_t part = vector_stretch(n - i);
        void *at = (char *)to + (size_t)i * (dtype == F32 ? 4 : 2);
        const float *there = vector_read(at, dtype, part, room);
        float *sum = vector_place(at, dtype, room);
#pragma omp simd
        for (int64_t k = 0; k < part; k++)
            sum[k] = there[k] + from[i + k];
        vector_write(at, dtype, sum, part);
    }
}

VECTOR_INLINE float vector_bits(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

/* `yes` where so, else `no`. By bits: of `so ? yes : no` the compiler may make a branch that computes
 * only one of the two, and then does not vectorise the loop. */
VECTOR_INLINE float vector_choose(bool so, float yes, float no)
{
    const uint32_t mask = 0u - so;
    uint32_t a, b;

    memcpy(&a, &yes, sizeof a);
    memcpy(&b, &no, sizeof b);
    return vector_bits((a & mask) | (b & ~mask));
}

/* e^c = p 2^n: gives p; *n: n in the low bits. -86.6 <= c <= 88.722839, or NaN. */
VECTOR_INLINE float vector_exp_parts(float c, uint32_t *n)
{
    const float magic = 0x1.8p23f;
    const float shifted = __builtin_fmaf(c, 0x1.715476p0f, magic); // c / ln 2, to the nearest
    const float whole = shifted - magic;
    const float r =
        __builtin_fmaf(whole, 0x1.05c611p-29f, __builtin_fmaf(whole, -0x1.62e43p-1f, c));
    float q = __builtin_fmaf(r, 0.00139013323f, 0.00836325979f);
    q = __builtin_fmaf(q, r, 0.0416668549f);
    q = __builtin_fmaf(q, r, 0.166665766f);
    q = __builtin_fmaf(q, r, 0.499999995f);
    memcpy(n, &shifted, sizeof *n);
    return __builtin_fmaf(r * r, q, r) + 1;
}

/* e^x within 1 unit in the last place or so; 0 below -86.6, infinity above 88.72; NaN stays. */
VECTOR_INLINE float vector_exp(float x)
{
    const float low = -86.6f, high = 88.722839f;
    const float above = x < low ? low : x;
    uint32_t n;
    const float p = vector_exp_parts(above > high ? high : above, &n);
    const float y = p * vector_bits((n + 126) << 23) * 2; // 2^n in two steps: n may be 128
    return vector_choose(x < low, 0, vector_choose(x > high, INFINITY, y));
}

/* The same bits from -86.6 to 87; beyond, what it is there: half the instructions. NaN stays. */
VECTOR_INLINE float vector_exp_bounded(float x)
{
    const float above = x < -86.6f ? -86.6f : x;
    uint32_t n;
    const float p = vector_exp_parts(above > 87.0f ? 87.0f : above, &n);
    return p * vector_bits((n + 127) << 23);
}

/* 1 / (1 + e^-x); at least e^-87. */
VECTOR_INLINE float vector_sigmoid(float x)
{
    return 1 / (1 + vector_exp_bounded(-x));
}

/* Within 2 units in the last place or so. */
VECTOR_INLINE float vector_tanh(float x)
{
    const float a = __builtin_fabsf(x), s = x * x;
    float q = __builtin_fmaf(s, -0.00609611777f, 0.0209966308f);
    q = __builtin_fmaf(q, s, -0.0538507395f);
    q = __builtin_fmaf(q, s, 0.133327677f);
    q = __builtin_fmaf(q, s, -0.333333289f);
    const float near = __builtin_fmaf(s * a, q, a);
    const float far = 1 - 2 / (vector_exp_bounded(2 * a) + 1);
    return __builtin_copysignf(vector_choose(a < 0.625f, near, far), x);
}

/* Sums and extremes of a stretch, in an order fixed by n and the machine's width of vector. */
VECTOR_INLINE float vector_sum(const float *x, int64_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

VECTOR_INLINE float vector_max(const float *x, int64_t n)
{
    float most = -INFINITY;
#pragma omp simd reduction(max : most)
    for (int64_t i = 0; i < n; i++)
        most = x[i] > most ? x[i] : most;
    return most;
}

VECTOR_INLINE float vector_dot(const float *a, const float *b, int64_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum = __builtin_fmaf(a[i], b[i], sum);
    return sum;
}

/* Two multiplications and two exchanges of Philox on four counters at once; each number is the low
 * half of a 64-bit lane, the high halves are rubbish. */
VECTOR_INLINE void vector_philox_round(__m256i c[4], __m256i key0, __m256i key1)
{
    const __m256i p0 = _mm256_mul_epu32(c[0], _mm256_set1_epi64x(0xD2511F53));
    const __m256i p1 = _mm256_mul_epu32(c[2], _mm256_set1_epi64x(0xCD9E8D57));

    c[0] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), c[1]), key0);
    c[2] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), c[3]), key1);
    c[1] = p1;
    c[3] = p0;
}

/* out[i] = word i % 4 of philox() with counter {block + i / 4, c1, c2, c3}; i < n rounded up to 16,
 * so `out` has room for that many. */
VECTOR_INLINE void vector_philox(uint32_t *out, int64_t n, uint32_t key0, uint32_t key1,
                                 uint32_t block, uint32_t c1, uint32_t c2, uint32_t c3)
{
    for (int64_t i = 0; i < n; i += 16, block += 4) {
        // in this order the last step puts the words of the four counters one after another
        __m256i c[4] = {_mm256_add_epi32(_mm256_set1_epi64x(block), _mm256_setr_epi64x(0, 2, 1, 3)),
                        _mm256_set1_epi64x(c1), _mm256_set1_epi64x(c2), _mm256_set1_epi64x(c3)};
        uint32_t k0 = key0, k1 = key1;
#pragma GCC unroll 10
        for (int r = 0; r < 10; r++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
            vector_philox_round(c, _mm256_set1_epi64x(k0), _mm256_set1_epi64x(k1));
        const __m256i w01 = _mm256_blend_epi32(c[0], _mm256_slli_epi64(c[1], 32), 0xAA);
        const __m256i w23 = _mm256_blend_epi32(c[2], _mm256_slli_epi64(c[3], 32), 0xAA);
        _mm256_storeu_si256((__m256i *)(void *)(out + i), _mm256_unpacklo_epi64(w01, w23));
        _mm256_storeu_si256((__m256i *)(void *)(out + i + 8), _mm256_unpackhi_epi64(w01, w23));
    }
}

#endif
