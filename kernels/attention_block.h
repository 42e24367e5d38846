/* attention_block.h - the inner loops of attention on blocks in scratch, for one instruction set.
 *
 * attention_avx2.c and attention_avx512.c include this file once each, after defining
 *
 *   BLOCKS                         name of the table that it fills
 *   Vector, LANES, ROWS, VECTORS   a register of floats, its width, the register tile
 *   LOAD STORE SET FMA MAX EXP2    on vectors; MAX(a, b) keeps a NaN of b
 *   LARGEST TOTAL                  over the lanes of a vector
 *
 * Every element of a product is one chain of fused multiply-adds in the order of k, whatever the
 * tile that holds it: results do not depend on how rows are grouped.
 */
#include "kernels/attention.h"
#include "kernels/vector.h"

#include <math.h>

#define TILE static inline __attribute__((always_inline))

/* c[r][j] = start + sum over k of a[r * a_row + k * a_step] * b[k][j] for R rows and W vectors of j. */
TILE void tile(const int R, const int W, const int64_t a_row, const int64_t a_step,
               const AttentionProduct *p, int64_t i, int64_t j)
{
    const int64_t b_row = p->b_row, c_row = p->c_row;
    const float *a = p->a + i * a_row, *b = p->b + j;
    float *c = p->c + i * c_row + j;
    Vector sum[ROWS][VECTORS];

#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int w = 0; w < W; w++)
            if (p->start == PRODUCT_OVERWRITE)
                sum[r][w] = SET(0);
            else if (p->start == PRODUCT_ADD)
                sum[r][w] = LOAD(c + r * c_row + w * LANES);
            else
                sum[r][w] = LOAD(c + r * c_row + w * LANES) * SET(p->factor[i + r]);
#pragma GCC unroll 4
    for (int64_t k = p->K; k > 0; k--, a += a_step, b += b_row) {
        Vector right[VECTORS];
#pragma GCC unroll 8
        for (int w = 0; w < W; w++)
            right[w] = LOAD(b + w * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            const Vector left = SET(a[r * a_row]);
#pragma GCC unroll 8
            for (int w = 0; w < W; w++)
                sum[r][w] = FMA(left, right[w], sum[r][w]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int w = 0; w < W; w++)
            STORE(c + r * c_row + w * LANES, sum[r][w]);
}

/* All whole tiles from row i on; gives the first row that is left. */
TILE int64_t whole_tiles(const int W, const int64_t a_row, const int64_t a_step,
                         const AttentionProduct *p, int64_t j)
{
    int64_t i = 0;

    for (; i + ROWS <= p->M; i += ROWS)
        tile(ROWS, W, a_row, a_step, p, i, j);
    return i;
}

/* Where the compiler knows the distances, nothing is added to an address in the inner loop: the same
 * bits, some 10 % sooner. */
TILE int64_t known_tiles(const int W, const AttentionProduct *p, int64_t j)
{
    enum { HEADS_32 = 32 + ATTENTION_PAD, HEADS_64 = 64 + ATTENTION_PAD };
    const int64_t row = p->a_row, step = p->a_step;

    if (row == ATTENTION_SCORES && step == 1)
        return whole_tiles(W, ATTENTION_SCORES, 1, p, j);
    if (row == 1 && step == ATTENTION_SCORES)
        return whole_tiles(W, 1, ATTENTION_SCORES, p, j);
    if (row == HEADS_64 && step == 1)
        return whole_tiles(W, HEADS_64, 1, p, j);
    if (row == HEADS_32 && step == 1)
        return whole_tiles(W, HEADS_32, 1, p, j);
    return whole_tiles(W, row, step, p, j);
}

TILE void column(const int W, const AttentionProduct *p, int64_t j)
{
    const int64_t row = p->a_row, step = p->a_step, i = known_tiles(W, p, j);

    switch (p->M - i) {
    case 5:
        tile(5, W, row, step, p, i, j);
        break;
    case 4:
        tile(4, W, row, step, p, i, j);
        break;
    case 3:
        tile(3, W, row, step, p, i, j);
        break;
    case 2:
        tile(2, W, row, step, p, i, j);
        break;
    case 1:
        tile(1, W, row, step, p, i, j);
        break;
    default:
        break;
    }
}

static void column_1(const AttentionProduct *p, int64_t j)
{
    column(1, p, j);
}

static void column_2(const AttentionProduct *p, int64_t j)
{
    column(2, p, j);
}

#if VECTORS >= 4
static void column_3(const AttentionProduct *p, int64_t j)
{
    column(3, p, j);
}

static void column_4(const AttentionProduct *p, int64_t j)
{
    column(4, p, j);
}
#endif

static void product(const AttentionProduct *p)
{
    static void (*const columns[])(const AttentionProduct *, int64_t) = {
        column_1,
        column_2,
#if VECTORS >= 4
        column_3,
        column_4,
#endif
    };
    int64_t left = p->N / LANES, j = 0;

    for (int64_t tiles = (left + VECTORS - 1) / VECTORS; tiles > 0; tiles--) {
        const int64_t w = (left + tiles - 1) / tiles;
        columns[w - 1](p, j);
        j += w * LANES;
        left -= w;
    }
}

/* One step of the online softmax on the scores of `rows` queries, in units of log 2. */
static void softmax(const AttentionSoftmax *p)
{
    for (int64_t i = 0; i < p->rows; i++) {
        float *s = p->s + i * p->s_row;
        const float *keep = p->keep ? p->keep + i * p->s_row : NULL;
        Vector top = SET(-INFINITY), total = SET(0);

        for (int64_t j = 0; j < p->width; j += LANES)
            top = MAX(top, LOAD(s + j));
        const float largest = LARGEST(top), before = p->largest[i];
        const float now = before > largest ? before : largest;
        const float base = now == -INFINITY ? 0 : now; // no key seen yet

        for (int64_t j = 0; j < p->width; j += LANES) {
            Vector e = EXP2(LOAD(s + j) - SET(base));
            total = total + e;
            if (keep)
                e = e * LOAD(keep + j);
            STORE(s + j, e);
        }
        const float factor = EXP2(SET(before - base))[0];
        p->factor[i] = factor;
        p->total[i] = p->total[i] * factor + TOTAL(total);
        p->largest[i] = now;
    }
}

/* From scores and dp to the probabilities that met v, and ds. */
static void gradient(const AttentionGradient *p)
{
    for (int64_t i = 0; i < p->rows; i++) {
        float *s = p->s + i * p->s_row, *dp = p->dp + i * p->s_row;
        const Vector lse = SET(p->lse[i]), delta = SET(p->delta[i]);

        if (p->keep) {
            const float *keep = p->keep + i * p->s_row;
            for (int64_t j = 0; j < p->width; j += LANES) {
                const Vector e = EXP2(LOAD(s + j) - lse), m = LOAD(keep + j);
                STORE(s + j, e * m);
                STORE(dp + j, e * (LOAD(dp + j) * m - delta));
            }
        } else {
            for (int64_t j = 0; j < p->width; j += LANES) {
                const Vector e = EXP2(LOAD(s + j) - lse);
                STORE(s + j, e);
                STORE(dp + j, e * (LOAD(dp + j) - delta));
            }
        }
    }
}

static inline __attribute__((always_inline)) void transpose_8(const float *x, int64_t x_row,
                                                              float *y, int64_t y_row)
{
    __m256 a[8], b[8];

#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        a[i] = _mm256_loadu_ps(x + i * x_row);
#pragma GCC unroll 8
    for (int i = 0; i < 8; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i += 4) {
        a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
        a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xEE);
        a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
        a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xEE);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(y + i * y_row, _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
        _mm256_storeu_ps(y + (i + 4) * y_row, _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
    }
}

/* y[j][i] = x[i][j]; rows and columns multiples of 8. */
static void transpose(const float *x, int64_t x_row, int64_t rows, int64_t columns, float *y,
                      int64_t y_row)
{
    for (int64_t i = 0; i < rows; i += 8)
        for (int64_t j = 0; j < columns; j += 8)
            transpose_8(x + i * x_row + j, x_row, y + j * y_row + i, y_row);
}

/* keep[i][j] = 0 or factor by philox.h: a counter gives the words of four keys. */
static void draw(const AttentionDraw *p)
{
    const uint32_t threshold = p->threshold;
    const float factor = p->factor;
    uint32_t word[ATTENTION_KEYS] = {0};

    for (int64_t i = 0; i < p->rows; i++) {
        float *keep = p->keep + i * p->keep_row;
        vector_philox(word, p->width, p->key0, p->key1, (uint32_t)(p->key / 4),
                      (uint32_t)(p->query + i), p->sample, p->update);
#pragma omp simd
        for (int64_t j = 0; j < ATTENTION_KEYS; j++)
            keep[j] = word[j] >= threshold ? factor : 0;
    }
}

static float dot(const float *a, const float *b, int64_t n)
{
    Vector sum = SET(0);

    for (int64_t i = 0; i < n; i += LANES)
        sum = FMA(LOAD(a + i), LOAD(b + i), sum);
    return TOTAL(sum);
}

const AttentionBlocks BLOCKS = {
    .product = product,
    .softmax = softmax,
    .gradient = gradient,
    .transpose = transpose,
    .draw = draw,
    .dot = dot,
};
