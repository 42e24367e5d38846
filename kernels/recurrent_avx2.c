/* recurrent_avx2.c - the inner loops of rnn, lstm and gru for AVX2 with FMA (x86-64-v3). */
#include <immintrin.h>

enum { LANES = 8, ROWS = 6 };
#define BLOCKS recurrent_avx2

typedef __m256 Vector;

#define LOAD(p) _mm256_loadu_ps(p)
#define STORE(p, v) _mm256_storeu_ps(p, v)
#define SET(x) _mm256_set1_ps(x)
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)

#include "kernels/recurrent_block.h"
