/* recurrent_block.h - the inner loops of rnn, lstm and gru, for one instruction set.
 *
 * recurrent_avx2.c and recurrent_avx512.c include this file once each, after defining
 *
 *   BLOCKS                 name of the table that it fills
 *   Vector, LANES, ROWS    a register of floats, its width, the rows of a register tile
 *   LOAD STORE SET FMA     on vectors
 *
 * A panel of w_hh holds, k after k, the numbers that one tile reads: of lstm and gru the gates of
 * LANES units side by side, of rnn 4 LANES units, of backward 4 LANES columns.
 */
#include "kernels/recurrent_parts.h"
#include "kernels/vector.h"

enum { VECTORS = RECURRENT_VECTORS };

#define TILE static inline __attribute__((always_inline))

/* sum[r][v] += sum over k of a[r][k] * b[k][v]. */
TILE void multiply(const int R, const int V, int64_t K, const float *const a[], const float *b,
                   Vector sum[ROWS][VECTORS])
{
    for (int64_t k = 0; k < K; k++, b += V * LANES) {
        Vector right[VECTORS];
#pragma GCC unroll 8
        for (int v = 0; v < V; v++)
            right[v] = LOAD(b + v * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            const Vector left = SET(a[r][k]);
#pragma GCC unroll 8
            for (int v = 0; v < V; v++)
                sum[r][v] = FMA(left, right[v], sum[r][v]);
        }
    }
}

VECTOR_INLINE float sigmoid(float x)
{
    return 1 / (1 + vector_exp(-x));
}

/* n units of one row: sum, the gates of the product, `units` apart. */
TILE void cell_lstm(int64_t n, const float *sum, int64_t units, float *gate, int64_t H, float *c,
                    float *h, bool keep)
{
    float i[LANES], f[LANES], g[LANES], o[LANES];

#pragma omp simd
    for (int64_t u = 0; u < n; u++) {
        i[u] = sigmoid(gate[u] + sum[u]);
        f[u] = sigmoid(gate[H + u] + sum[units + u]);
        g[u] = vector_tanh(gate[2 * H + u] + sum[2 * units + u]);
        o[u] = sigmoid(gate[3 * H + u] + sum[3 * units + u]);
        c[u] = __builtin_fmaf(f[u], c[u], i[u] * g[u]);
        h[u] = o[u] * vector_tanh(c[u]);
    }
    if (!keep)
        return;
#pragma omp simd
    for (int64_t u = 0; u < n; u++) {
        gate[u] = i[u];
        gate[H + u] = f[u];
        gate[2 * H + u] = g[u];
        gate[3 * H + u] = o[u];
    }
}

TILE void cell_gru(int64_t n, const float *sum, int64_t units, float *gate, int64_t H,
                   const float *bias, const float *before, float *cell, float *h, bool keep)
{
    float r[LANES], z[LANES], c[LANES];

#pragma omp simd
    for (int64_t u = 0; u < n; u++) {
        r[u] = sigmoid(gate[u] + sum[u]);
        z[u] = sigmoid(gate[H + u] + sum[units + u]);
        cell[u] = sum[2 * units + u] + bias[u];
        c[u] = vector_tanh(__builtin_fmaf(r[u], cell[u], gate[2 * H + u]));
        h[u] = __builtin_fmaf(z[u], before[u] - c[u], c[u]);
    }
    if (!keep)
        return;
#pragma omp simd
    for (int64_t u = 0; u < n; u++) {
        gate[u] = r[u];
        gate[H + u] = z[u];
        gate[2 * H + u] = c[u];
    }
}

TILE void cell_rnn(int64_t n, const float *sum, float *gate, float *h, bool relu, bool keep)
{
    if (relu) {
#pragma omp simd
        for (int64_t u = 0; u < n; u++) {
            const float a = gate[u] + sum[u];
            h[u] = a < 0 ? 0 : a; // NaN stays
        }
    } else {
#pragma omp simd
        for (int64_t u = 0; u < n; u++)
            h[u] = vector_tanh(gate[u] + sum[u]);
    }
    if (keep)
        memcpy(gate, h, (size_t)n * sizeof *gate);
}

/* Row i of the units from `unit` on. */
TILE void cell(const int V, const RecurrentStep *p, int64_t i, int64_t unit, int64_t n,
               const float *sum)
{
    float *gate = p->gates + p->place[i] * p->gates_row + unit;
    const int64_t at = i * p->state + unit;

    if (V == 3)
        cell_gru(n, sum, LANES, gate, p->H, p->bias + unit, p->before + at, p->cell + at, p->h + at,
                 p->keep);
    else if (p->kind == LSTM)
        cell_lstm(n, sum, LANES, gate, p->H, p->cell + at, p->h + at, p->keep);
    else
        cell_rnn(n, sum, gate, p->h + at, p->relu, p->keep);
}

/* R rows from i on of one panel. */
TILE void step_tile(const int R, const int V, const RecurrentStep *p, const float *b, int64_t i,
                    int64_t unit, int64_t units)
{
    const int64_t n = p->H - unit < units ? p->H - unit : units;
    const float *a[ROWS];
    float out[ROWS][VECTORS * LANES];
    Vector sum[ROWS][VECTORS];

#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
        const float *gate = p->gates + p->place[i + r] * p->gates_row + unit;
        a[r] = p->before + (i + r) * p->state;
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) { // they are far apart and read once
            __builtin_prefetch(gate + (units == LANES ? v * p->H : v * LANES), 1);
            sum[r][v] = SET(0);
        }
    }
    multiply(R, V, p->H, a, b, sum);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int v = 0; v < V; v++)
            STORE(out[r] + v * LANES, sum[r][v]);
    for (int r = 0; r < R; r++)
        if (n == LANES)
            cell(V, p, i + r, unit, LANES, out[r]);
        else
            cell(V, p, i + r, unit, n, out[r]);
}

TILE void step_rows(const int V, const RecurrentStep *p, const float *b, int64_t unit,
                    int64_t units)
{
    int64_t i = 0;

    for (int64_t tiles = (p->rows + ROWS - 1) / ROWS; tiles > 0; tiles--) {
        const int64_t rows = (p->rows - i + tiles - 1) / tiles;
        switch (rows) {
#if defined(__AVX512F__)
        case 6:
            step_tile(6, V, p, b, i, unit, units);
            break;
        case 5:
            step_tile(5, V, p, b, i, unit, units);
            break;
        case 4:
            step_tile(4, V, p, b, i, unit, units);
            break;
#endif
        case 3:
            step_tile(3, V, p, b, i, unit, units);
            break;
        case 2:
            step_tile(2, V, p, b, i, unit, units);
            break;
        default:
            step_tile(1, V, p, b, i, unit, units);
            break;
        }
        i += rows;
    }
}

static void step(const RecurrentStep *p)
{
    const int64_t units = p->kind == RNN ? VECTORS * LANES : LANES;
    const int64_t width = p->kind == GRU ? 3 * LANES : 4 * LANES;
    const float *b = p->weight;

    for (int64_t unit = 0; unit < p->H; unit += units, b += width * p->H)
        if (p->kind == GRU)
            step_rows(3, p, b, unit, units);
        else
            step_rows(4, p, b, unit, units);
}

TILE void product_tile(const int R, const RecurrentProduct *p, const float *b, int64_t i, int64_t j)
{
    const float *a[ROWS];
    float *c[ROWS];
    Vector sum[ROWS][VECTORS];

#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
        a[r] = p->a + p->place[i + r] * p->a_row;
        c[r] = p->c + (i + r) * p->c_row + j;
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++)
            sum[r][v] = LOAD(c[r] + v * LANES);
    }
    multiply(R, VECTORS, p->K, a, b, sum);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++)
            STORE(c[r] + v * LANES, sum[r][v]);
}

static void product_rows(const RecurrentProduct *p, const float *b, int64_t j)
{
    int64_t i = 0;

    for (int64_t tiles = (p->rows + ROWS - 1) / ROWS; tiles > 0; tiles--) {
        const int64_t rows = (p->rows - i + tiles - 1) / tiles;
        switch (rows) {
#if defined(__AVX512F__)
        case 6:
            product_tile(6, p, b, i, j);
            break;
        case 5:
            product_tile(5, p, b, i, j);
            break;
        case 4:
            product_tile(4, p, b, i, j);
            break;
#endif
        case 3:
            product_tile(3, p, b, i, j);
            break;
        case 2:
            product_tile(2, p, b, i, j);
            break;
        default:
            product_tile(1, p, b, i, j);
            break;
        }
        i += rows;
    }
}

static void product(const RecurrentProduct *p)
{
    const float *b = p->b;

    for (int64_t j = 0; j < p->columns; j += VECTORS * LANES, b += p->K * VECTORS * LANES)
        product_rows(p, b, j);
}

static void slope_lstm(const RecurrentSlope *p)
{
    const int64_t n = p->n, H = p->H;
    const float *gate = p->gates, *cell = p->cell, *before = p->before, *dy = p->dy;
    float *dh = p->dh, *dc = p->dc, *d = p->dgates, *sums = p->sums;

#pragma omp simd
    for (int64_t u = 0; u < n; u++) {
        const float i = gate[u], f = gate[H + u], g = gate[2 * H + u], o = gate[3 * H + u];
        const float t = vector_tanh(cell[u]), own = dh[u] + dy[u];
        const float all = __builtin_fmaf(own * o, 1 - t * t, dc[u]);
        const float di = all * g * i * (1 - i), df = all * before[u] * f * (1 - f);
        const float dg = all * i * (1 - g * g), d_o = own * t * o * (1 - o);
        d[u] = di;
        d[H + u] = df;
        d[2 * H + u] = dg;
        d[3 * H + u] = d_o;
        sums[u] += di;
        sums[H + u] += df;
        sums[2 * H + u] += dg;
        sums[3 * H + u] += d_o;
        dc[u] = all * f;
        dh[u] = 0;
    }
}

static void slope_gru(const RecurrentSlope *p)
{
    const int64_t n = p->n, H = p->H;
    const float *gate = p->gates, *cell = p->cell, *before = p->before, *dy = p->dy;
    float *dh = p->dh, *d = p->dgates, *e = p->dgates_h, *sums = p->sums;

#pragma omp simd
    for (int64_t u = 0; u < n; u++) {
        const float r = gate[u], z = gate[H + u], c = gate[2 * H + u];
        const float own = dh[u] + dy[u], dn = own * (1 - z) * (1 - c * c);
        const float dz = own * (before[u] - c) * z * (1 - z), dr = dn * cell[u] * r * (1 - r);
        d[u] = e[u] = dr;
        d[H + u] = e[H + u] = dz;
        d[2 * H + u] = dn;
        e[2 * H + u] = dn * r;
        sums[u] += dr;
        sums[H + u] += dz;
        sums[2 * H + u] += dn;
        sums[3 * H + u] += dn * r;
        dh[u] = own * z;
    }
}

static void slope_rnn(const RecurrentSlope *p)
{
    const int64_t n = p->n;
    const float *gate = p->gates, *dy = p->dy;
    float *dh = p->dh, *d = p->dgates, *sums = p->sums;
    const bool relu = p->relu;

#pragma omp simd
    for (int64_t u = 0; u < n; u++) {
        const float own = dh[u] + dy[u], y = gate[u];
        const float steep = relu ? (y > 0 ? 1 : 0) : 1 - y * y;
        d[u] = own * steep;
        sums[u] += own * steep;
        dh[u] = 0;
    }
}

static void slope(const RecurrentSlope *p)
{
    if (p->kind == LSTM)
        slope_lstm(p);
    else if (p->kind == GRU)
        slope_gru(p);
    else
        slope_rnn(p);
}

const RecurrentBlocks BLOCKS = {LANES, step, slope, product};
