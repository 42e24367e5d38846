/* recurrent_block.h - the inner loops of rnn, lstm and gru, for one instruction set.
 *
 * recurrent_avx2.c and recurrent_avx512.c include this file once each, after defining
 *
 *   BLOCKS                 name of the table that it fills
 *   Vector, LANES, ROWS    a register of floats, its width, the rows of a register tile
 *   LOAD STORE SET FMA     on vectors
 *
 * A panel of w_hh holds, k after k, the numbers that the tiles of one column of panels read: UNITS
 * units of one gate, in backward UNITS columns. DEPTH of it stay in the first cache while the rows
 * meet them. Rows are copied first, so that those of a tile lie at constant distances: where nothing
 * is added to an address the inner loop runs some 10 % faster.
 */
#include "kernels/recurrent_parts.h"
#include "kernels/vector.h"

enum {
    VECTORS = RECURRENT_VECTORS,
    UNITS = VECTORS * LANES,
    MOST_GATES = 4,
    STEP_ROWS = 48, // whose sums wait for the cells
    DEPTH = RECURRENT_DEPTH,
    LEFT_ROW = RECURRENT_LEFT_ROW,
    DEEP = 4, // k of one turn of the inner loop
};

#define TILE static inline __attribute__((always_inline))

/* sum[r][v] += a[r] * b[v]. */
TILE void multiply_one(const int R, const float *a, const float *b, Vector sum[ROWS][VECTORS])
{
    Vector right[VECTORS];

#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++)
        right[v] = LOAD(b + v * LANES);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
        const Vector left = SET(a[r * LEFT_ROW]);
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++)
            sum[r][v] = FMA(left, right[v], sum[r][v]);
    }
}

/* sum[r][v] += sum over k of a[r][k] * b[k][v], one k after the other. */
TILE void multiply(const int R, int64_t K, const float *a, const float *b,
                   Vector sum[ROWS][VECTORS])
{
    int64_t k = 0;

    for (; k + DEEP <= K; k += DEEP, a += DEEP, b += DEEP * UNITS)
#pragma GCC unroll 8
        for (int i = 0; i < DEEP; i++)
            multiply_one(R, a + i, b + i * UNITS, sum);
    for (; k < K; k++, a++, b += UNITS)
        multiply_one(R, a, b, sum);
}

/* The functions of n units of one row, in two goes, so that the processor has several rows to work on
 * at once: what one unit needs is a chain of some 200 cycles.
 *
 * open_*: the gates that need nothing but their sums, in the place of these. sum: the states' share,
 * UNITS apart; in: the inputs', the biases added, H apart. cell_*: the rest. */
TILE void open_lstm(int64_t n, float *sum, const float *in, int64_t H)
{
#pragma omp simd
    for (int64_t u = 0; u < n; u++) {
        sum[u] = vector_sigmoid(in[u] + sum[u]);
        sum[UNITS + u] = vector_sigmoid(in[H + u] + sum[UNITS + u]);
        sum[2 * UNITS + u] = vector_tanh(in[2 * H + u] + sum[2 * UNITS + u]);
        sum[3 * UNITS + u] = vector_sigmoid(in[3 * H + u] + sum[3 * UNITS + u]);
    }
}

TILE void cell_lstm(int64_t n, const float *gate, float *c, float *h)
{
#pragma omp simd
    for (int64_t u = 0; u < n; u++) {
        c[u] = __builtin_fmaf(gate[UNITS + u], c[u], gate[u] * gate[2 * UNITS + u]);
        h[u] = gate[3 * UNITS + u] * vector_tanh(c[u]);
    }
}

TILE void open_gru(int64_t n, float *sum, const float *in, int64_t H)
{
#pragma omp simd
    for (int64_t u = 0; u < n; u++) {
        sum[u] = vector_sigmoid(in[u] + sum[u]);
        sum[UNITS + u] = vector_sigmoid(in[H + u] + sum[UNITS + u]);
    }
}

/* in: of the third gate. */
TILE void cell_gru(int64_t n, float *gate, const float *in, const float *bias, const float *before,
                   float *cell, float *h)
{
#pragma omp simd
    for (int64_t u = 0; u < n; u++) {
        cell[u] = gate[2 * UNITS + u] + bias[u];
        const float c = vector_tanh(__builtin_fmaf(gate[u], cell[u], in[u]));
        h[u] = __builtin_fmaf(gate[UNITS + u], before[u] - c, c);
        gate[2 * UNITS + u] = c;
    }
}

TILE void cell_rnn(int64_t n, float *sum, const float *in, float *h, bool relu)
{
    if (relu) {
#pragma omp simd
        for (int64_t u = 0; u < n; u++) {
            const float a = in[u] + sum[u];
            sum[u] = h[u] = a < 0 ? 0 : a; // NaN stays
        }
    } else {
#pragma omp simd
        for (int64_t u = 0; u < n; u++)
            sum[u] = h[u] = vector_tanh(in[u] + sum[u]);
    }
}

TILE float *gate_of(const RecurrentStep *p, int64_t i, int64_t unit)
{
    return p->gates + p->place[i] * p->gates_row + unit;
}

/* Rows [first, to) of the n units from `unit` on. sum: of the first of them; left as the gates. */
TILE void cells(const RecurrentStep *p, int64_t G, int64_t first, int64_t to, int64_t unit,
                int64_t n, float *sum)
{
    const int64_t row = G * UNITS, H = p->H;
    const RecurrentKind kind = p->kind;

    for (int64_t i = first; i < to && kind != RNN; i++)
        if (kind == LSTM)
            open_lstm(n, sum + (i - first) * row, gate_of(p, i, unit), H);
        else
            open_gru(n, sum + (i - first) * row, gate_of(p, i, unit), H);
    for (int64_t i = first; i < to; i++) {
        const int64_t at = i * p->state + unit;
        float *gate = sum + (i - first) * row;
        if (kind == LSTM)
            cell_lstm(n, gate, p->cell + at, p->h + at);
        else if (kind == GRU)
            cell_gru(n, gate, gate_of(p, i, unit) + 2 * H, p->bias + unit, p->before + at,
                     p->cell + at, p->h + at);
        else
            cell_rnn(n, gate, gate_of(p, i, unit), p->h + at, p->relu);
    }
}

/* What backward reads. */
TILE void keep_gates(const RecurrentStep *p, int64_t G, int64_t first, int64_t to, int64_t unit,
                     int64_t n, const float *gates)
{
    for (int64_t i = first; i < to; i++)
        for (int64_t g = 0; g < G; g++, gates += UNITS)
            memcpy(gate_of(p, i, unit) + g * p->H, gates, (size_t)n * sizeof *gates);
}

/* The left operand, copied: chunks of DEPTH columns, a row of a chunk every LEFT_ROW. */
typedef struct Left {
    int64_t rows, K;
    const float *data;
} Left;

static Left copy_left(float *to, int64_t rows, int64_t K, const float *a, int64_t a_row,
                      const int64_t *place)
{
    const Left left = {rows, K, to};

    for (int64_t k = 0; k < K; k += DEPTH) {
        const int64_t depth = K - k < DEPTH ? K - k : DEPTH;
        for (int64_t i = 0; i < rows; i++, to += LEFT_ROW)
            memcpy(to, a + (place ? place[i] : i) * a_row + k, (size_t)depth * sizeof *to);
    }
    return left;
}

/* c = a b, or c += a b, for a chunk of left and that of a panel. */
typedef struct Tile {
    int64_t K;
    const float *a, *b;
    float *c;
    int64_t c_row;
    bool add;
} Tile;

/* R rows from i on. */
TILE void tile(const int R, const Tile *p, int64_t i)
{
    float *c = p->c + i * p->c_row;
    Vector sum[ROWS][VECTORS];

#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++)
            sum[r][v] = p->add ? LOAD(c + r * p->c_row + v * LANES) : SET(0);
    multiply(R, p->K, p->a + i * LEFT_ROW, p->b, sum);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++)
            STORE(c + r * p->c_row + v * LANES, sum[r][v]);
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

/* Rows [first, to) of left times a whole panel. */
static void multiply_panel(const Left *left, int64_t first, int64_t to, Tile t)
{
    t.a = left->data + first * LEFT_ROW;
    for (int64_t k = 0; k < left->K; k += DEPTH) {
        t.K = left->K - k < DEPTH ? left->K - k : DEPTH;
        tiles(&t, to - first);
        t.a += left->rows * LEFT_ROW;
        t.b += t.K * UNITS;
        t.add = true;
    }
}

/* Gates are far apart and read once. */
TILE void ask_for_gates(const RecurrentStep *p, int64_t G, int64_t i, int64_t unit)
{
    for (int64_t g = 0; g < G; g++)
        __builtin_prefetch(gate_of(p, i, unit) + g * p->H, 1);
}

/* Rows [first, to) of the units from `unit` on; b: their panels. */
static void step_units(const RecurrentStep *p, int64_t G, const Left *left, const float *b,
                       int64_t first, int64_t to, int64_t unit)
{
    const int64_t n = p->H - unit < UNITS ? p->H - unit : UNITS, row = G * UNITS;
    float out[STEP_ROWS * MOST_GATES * UNITS];

    for (int64_t i = first; i < to; i++)
        ask_for_gates(p, G, i, unit);
    for (int64_t g = 0; g < G; g++)
        multiply_panel(left, first, to,
                       (Tile){.b = b + g * UNITS * p->H, .c = out + g * UNITS, .c_row = row});
    if (n == UNITS) {
        cells(p, G, first, to, unit, UNITS, out);
        if (p->keep)
            keep_gates(p, G, first, to, unit, UNITS, out);
    } else {
        cells(p, G, first, to, unit, n, out);
        if (p->keep)
            keep_gates(p, G, first, to, unit, n, out);
    }
}

static void step(const RecurrentStep *p)
{
    const int64_t G = p->kind == RNN ? 1 : p->kind == GRU ? 3 : 4;
    const Left left = copy_left(p->left, p->rows, p->H, p->before, p->state, NULL);
    const float *b = p->weight;

    for (int64_t unit = 0; unit < p->H; unit += UNITS, b += G * UNITS * p->H)
        for (int64_t i = 0; i < p->rows; i += STEP_ROWS)
            step_units(p, G, &left, b, i, i + STEP_ROWS < p->rows ? i + STEP_ROWS : p->rows, unit);
}

static void product(const RecurrentProduct *p)
{
    const Left left = copy_left(p->left, p->rows, p->K, p->a, p->a_row, p->place);
    const float *b = p->b;

    for (int64_t j = 0; j < p->columns; j += UNITS, b += p->K * UNITS)
        multiply_panel(&left, 0, p->rows,
                       (Tile){.b = b, .c = p->c + j, .c_row = p->c_row, .add = true});
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
