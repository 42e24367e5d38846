/* recurrent_block.h - the inner loops of rnn, lstm and gru, for one instruction set.
 *
 * recurrent_avx2.c and recurrent_avx512.c include this file once each, after defining
 *
 *   BLOCKS                 name of the table that it fills
 *   Vector, LANES, ROWS    a register of floats, its width, the rows of a register tile
 *   LOAD STORE SET FMA     on vectors
 *
 * A panel of w_hh holds, k after k, the numbers that the tiles of one column of panels read: UNITS
 * units of one gate, in backward UNITS columns. It stays in the first cache while the rows meet it.
 */
#include "kernels/recurrent_parts.h"
#include "kernels/vector.h"

enum {
    VECTORS = RECURRENT_VECTORS,
    UNITS = VECTORS * LANES,
    MOST_GATES = 4,
    STEP_ROWS = 48, // whose sums wait for the cells
    DEPTH = 256,    // of a panel of backward
    ROWS_AHEAD = 4, // gates asked for before their cell
};

#define TILE static inline __attribute__((always_inline))

/* sum[r][v] += sum over k of a[r][k] * b[k][v]. */
TILE void multiply(const int R, int64_t K, const float *const a[], const float *b,
                   Vector sum[ROWS][VECTORS])
{
    for (int64_t k = 0; k < K; k++, b += UNITS) {
        Vector right[VECTORS];
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++)
            right[v] = LOAD(b + v * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            const Vector left = SET(a[r][k]);
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++)
                sum[r][v] = FMA(left, right[v], sum[r][v]);
        }
    }
}

VECTOR_INLINE float sigmoid(float x)
{
    return 1 / (1 + vector_exp(-x));
}

/* n units of one row: sum, the gates of the product, UNITS apart. */
TILE void cell_lstm(int64_t n, const float *sum, float *gate, int64_t H, float *c, float *h,
                    bool keep)
{
    float i[UNITS], f[UNITS], g[UNITS], o[UNITS];

#pragma omp simd
    for (int64_t u = 0; u < n; u++) {
        i[u] = sigmoid(gate[u] + sum[u]);
        f[u] = sigmoid(gate[H + u] + sum[UNITS + u]);
        g[u] = vector_tanh(gate[2 * H + u] + sum[2 * UNITS + u]);
        o[u] = sigmoid(gate[3 * H + u] + sum[3 * UNITS + u]);
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

TILE void cell_gru(int64_t n, const float *sum, float *gate, int64_t H, const float *bias,
                   const float *before, float *cell, float *h, bool keep)
{
    float r[UNITS], z[UNITS], c[UNITS];

#pragma omp simd
    for (int64_t u = 0; u < n; u++) {
        r[u] = sigmoid(gate[u] + sum[u]);
        z[u] = sigmoid(gate[H + u] + sum[UNITS + u]);
        cell[u] = sum[2 * UNITS + u] + bias[u];
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
TILE void cell(const RecurrentStep *p, int64_t i, int64_t unit, int64_t n, const float *sum)
{
    float *gate = p->gates + p->place[i] * p->gates_row + unit;
    const int64_t at = i * p->state + unit;

    if (p->kind == GRU)
        cell_gru(n, sum, gate, p->H, p->bias + unit, p->before + at, p->cell + at, p->h + at,
                 p->keep);
    else if (p->kind == LSTM)
        cell_lstm(n, sum, gate, p->H, p->cell + at, p->h + at, p->keep);
    else
        cell_rnn(n, sum, gate, p->h + at, p->relu, p->keep);
}

/* c = a b, or c += a b, for one panel. */
typedef struct Tile {
    int64_t K;
    const float *a; // row i at i * a_row, or, where given, at place[i] * a_row
    int64_t a_row;
    const int64_t *place;
    const float *b;
    float *c;
    int64_t c_row;
    bool add;
} Tile;

/* R rows from i on. */
TILE void tile(const int R, const Tile *p, int64_t i)
{
    const float *a[ROWS];
    float *c[ROWS];
    Vector sum[ROWS][VECTORS];

#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
        a[r] = p->a + (p->place ? p->place[i + r] : i + r) * p->a_row;
        c[r] = p->c + (i + r) * p->c_row;
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++)
            sum[r][v] = p->add ? LOAD(c[r] + v * LANES) : SET(0);
    }
    multiply(R, p->K, a, p->b, sum);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++)
            STORE(c[r] + v * LANES, sum[r][v]);
}

/* Rows [0, to). */
static void tiles(const Tile *p, int64_t to)
{
    int64_t i = 0;

    for (int64_t left = (to - i + ROWS - 1) / ROWS; left > 0; left--) {
        const int64_t rows = (to - i + left - 1) / left;
        switch (rows) {
        case 6:
            tile(6, p, i);
            break;
        case 5:
            tile(5, p, i);
            break;
        case 4:
            tile(4, p, i);
            break;
        case 3:
            tile(3, p, i);
            break;
        case 2:
            tile(2, p, i);
            break;
        default:
            tile(1, p, i);
            break;
        }
        i += rows;
    }
}

/* Gates are far apart and read once. */
TILE void ask_for_gates(const RecurrentStep *p, int64_t G, int64_t i, int64_t unit)
{
    if (i < p->rows)
        for (int64_t g = 0; g < G; g++)
            __builtin_prefetch(p->gates + p->place[i] * p->gates_row + g * p->H + unit, 1);
}

/* Rows [first, to) of the units from `unit` on; b: their panels. */
static void step_units(const RecurrentStep *p, int64_t G, const float *b, int64_t first, int64_t to,
                       int64_t unit)
{
    const int64_t n = p->H - unit < UNITS ? p->H - unit : UNITS, row = G * UNITS;
    float out[STEP_ROWS * MOST_GATES * UNITS];

    for (int64_t i = first; i < first + ROWS_AHEAD; i++)
        ask_for_gates(p, G, i, unit);
    for (int64_t g = 0; g < G; g++)
        tiles(&(Tile){.K = p->H,
                      .a = p->before + first * p->state,
                      .a_row = p->state,
                      .b = b + g * UNITS * p->H,
                      .c = out + g * UNITS,
                      .c_row = row},
              to - first);
    for (int64_t i = first; i < to; i++) {
        ask_for_gates(p, G, i + ROWS_AHEAD, unit);
        if (n == UNITS)
            cell(p, i, unit, UNITS, out + (i - first) * row);
        else
            cell(p, i, unit, n, out + (i - first) * row);
    }
}

static void step(const RecurrentStep *p)
{
    const int64_t G = p->kind == RNN ? 1 : p->kind == GRU ? 3 : 4;
    const float *b = p->weight;

    for (int64_t unit = 0; unit < p->H; unit += UNITS, b += G * UNITS * p->H)
        for (int64_t i = 0; i < p->rows; i += STEP_ROWS)
            step_units(p, G, b, i, i + STEP_ROWS < p->rows ? i + STEP_ROWS : p->rows, unit);
}

static void product(const RecurrentProduct *p)
{
    const float *b = p->b;

    for (int64_t j = 0; j < p->columns; j += UNITS)
        for (int64_t k = 0; k < p->K; k += DEPTH) {
            const int64_t depth = p->K - k < DEPTH ? p->K - k : DEPTH;
            tiles(&(Tile){.K = depth,
                          .a = p->a + k,
                          .a_row = p->a_row,
                          .place = p->place,
                          .b = b,
                          .c = p->c + j,
                          .c_row = p->c_row,
                          .add = true},
                  p->rows);
            b += depth * UNITS;
        }
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
