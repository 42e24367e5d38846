/* draw.c - Philox on sixteen counters at once where there is AVX-512, else on four. */
#include "kernels/draw.h"

#include "kernels/vector.h"

#define WIDE __attribute__((target("arch=x86-64-v4")))

/* As vector_philox_round(), eight counters. */
WIDE static inline __attribute__((always_inline)) void wide_round(__m512i c[4], __m512i key0,
                                                                  __m512i key1)
{
    enum { XOR3 = 0x96 };
    const __m512i p0 = _mm512_mul_epu32(c[0], _mm512_set1_epi64(0xD2511F53));
    const __m512i p1 = _mm512_mul_epu32(c[2], _mm512_set1_epi64(0xCD9E8D57));

    c[0] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), c[1], key0, XOR3);
    c[2] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), c[3], key1, XOR3);
    c[1] = p1;
    c[3] = p0;
}

/* The words of eight counters, one counter after another. */
WIDE static inline __attribute__((always_inline)) void wide_store(uint32_t *out, const __m512i c[4])
{
    const __m512i w01 = _mm512_mask_blend_epi32(0xAAAA, c[0], _mm512_slli_epi64(c[1], 32));
    const __m512i w23 = _mm512_mask_blend_epi32(0xAAAA, c[2], _mm512_slli_epi64(c[3], 32));

    _mm512_storeu_si512(out, _mm512_unpacklo_epi64(w01, w23));
    _mm512_storeu_si512(out + 16, _mm512_unpackhi_epi64(w01, w23));
}

WIDE static void wide_words(uint32_t *out, int64_t n, uint32_t key0, uint32_t key1, uint32_t block,
                            const uint32_t counter[3])
{
    // in this order wide_store() puts the words of the counters one after another
    const __m512i lane = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
    const __m512i c1 = _mm512_set1_epi64(counter[0]), c2 = _mm512_set1_epi64(counter[1]);
    const __m512i c3 = _mm512_set1_epi64(counter[2]);

    for (int64_t i = 0; i < n; i += DRAW_ROOM, block += DRAW_ROOM / 4) {
        __m512i a[4] = {_mm512_add_epi32(_mm512_set1_epi64(block), lane), c1, c2, c3};
        __m512i b[4] = {_mm512_add_epi32(_mm512_set1_epi64(block + 8), lane), c1, c2, c3};
        uint32_t k0 = key0, k1 = key1;
#pragma GCC unroll 10
        for (int r = 0; r < 10; r++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
            const __m512i wide0 = _mm512_set1_epi64(k0), wide1 = _mm512_set1_epi64(k1);
            wide_round(a, wide0, wide1);
            wide_round(b, wide0, wide1);
        }
        wide_store(out + i, a);
        wide_store(out + i + 32, b);
    }
}

void draw_words(uint32_t *out, int64_t n, uint32_t key0, uint32_t key1, uint32_t block, uint32_t c1,
                uint32_t c2, uint32_t c3)
{
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
        wide_words(out, n, key0, key1, block, (const uint32_t[]){c1, c2, c3});
    else
        vector_philox(out, n, key0, key1, block, c1, c2, c3);
}
