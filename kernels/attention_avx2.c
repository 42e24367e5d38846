/* attention_avx2.c - the inner loops of attention for AVX2 with FMA (x86-64-v3). */
#include <immintrin.h>

enum { LANES = 8, ROWS = 6 };
#define VECTORS 2
#define BLOCKS attention_avx2

typedef __m256 Vector;

#define LOAD(p) _mm256_loadu_ps(p)
#define STORE(p, v) _mm256_storeu_ps(p, v)
#define SET(x) _mm256_set1_ps(x)
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define MAX(a, b) _mm256_max_ps(a, b)
#define LARGEST(v) largest_256(v)
#define TOTAL(v) total_256(v)
#define EXP2(v) exp2_256(v)

static inline float largest_256(__m256 v)
{
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

static inline float total_256(__m256 v)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

/* 2^x by a polynomial of Cephes (Moshier) on [-1/2, 1/2]; 0 below -126, keeps NaN. x is at most 126
 * or so: scores minus their largest. */
static inline __m256 exp2_256(__m256 x)
{
    const __m256 least = _mm256_set1_ps(-126);
    const __m256 kept = _mm256_cmp_ps(x, least, _CMP_NLT_UQ);
    x = _mm256_max_ps(least, x);
    const __m256 n = _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m256 r = x - n;
    __m256 y = _mm256_set1_ps(1.535336188319500e-4f);
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(1.339887440266574e-3f));
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(9.618437357674640e-3f));
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(5.550332471162809e-2f));
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(2.402264791363012e-1f));
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(6.931472028550421e-1f));
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(1));
    const __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    y = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(y), exponent));
    return _mm256_and_ps(y, kept);
}

#include "kernels/attention_block.h"
