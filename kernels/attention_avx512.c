/* attention_avx512.c - the inner loops of attention for AVX-512 (x86-64-v4). */
#pragma GCC target("arch=x86-64-v4")
#include <immintrin.h>

enum { LANES = 16, ROWS = 6 };
#define VECTORS 4
#define BLOCKS attention_avx512

typedef __m512 Vector;

#define LOAD(p) _mm512_loadu_ps(p)
#define STORE(p, v) _mm512_storeu_ps(p, v)
#define SET(x) _mm512_set1_ps(x)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define MAX(a, b) _mm512_max_ps(a, b)
#define LARGEST(v) _mm512_reduce_max_ps(v)
#define TOTAL(v) _mm512_reduce_add_ps(v)
#define EXP2(v) exp2_512(v)

/* 2^x by a polynomial of Cephes (Moshier) on [-1/2, 1/2]; 0 at -infinity, keeps NaN. */
static inline __m512 exp2_512(__m512 x)
{
    x = _mm512_max_ps(_mm512_set1_ps(-200), x);
    const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 r = x - n;
    __m512 y = _mm512_set1_ps(1.535336188319500e-4f);
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1.339887440266574e-3f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(9.618437357674640e-3f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(5.550332471162809e-2f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(2.402264791363012e-1f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(6.931472028550421e-1f));
    y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1));
    return _mm512_scalef_ps(y, n);
}

#include "kernels/attention_block.h"
