/* recurrent_avx512.c - the inner loops of rnn, lstm and gru for AVX-512 (x86-64-v4). */
#pragma GCC target("arch=x86-64-v4")
#include <immintrin.h>

enum { LANES = 16, ROWS = 6 };
#define BLOCKS recurrent_avx512

typedef __m512 Vector;

#define LOAD(p) _mm512_loadu_ps(p)
#define STORE(p, v) _mm512_storeu_ps(p, v)
#define SET(x) _mm512_set1_ps(x)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)

#include "kernels/recurrent_block.h"
