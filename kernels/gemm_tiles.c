/* gemm_tiles.c - see gemm_tiles.h. A tile is one call of dnnl_sgemm(), which keeps nothing between calls;
 * its bias and activation follow while it is in the cache.
 */
#include "kernels/gemm_tiles.h"

#include "kernels/gelu.h"

#include <oneapi/dnnl/dnnl.h>
#include <string.h>

enum {
    TOGETHER = 6,  // rows that the library sums at once
    COLUMNS = 256, // of a tile
    PANEL_STRIDE = COLUMNS + 16,
    MOST_THREADS = 256, // of machines with such processors
    PACK_ROWS = 240,    // rows of a for which a copy of b is worth its time
    TURN_ROWS = 16,     // of b^T: turned at once, so that whole cache lines are written
    TURN_COLUMNS = 64
};

/* 1 / m + 1 / n < 0.0038 and k above the number of threads: the library's own condition for copying the
 * operands, which it then sums alike. */
static bool copied_by_library(const Gemm *g)
{
    return g->k > MOST_THREADS && (double)(g->m + g->n) < 0.0038 * (double)g->m * (double)g->n;
}

bool gemm_tiles_serve(const Gemm *g)
{
    const unsigned isa = (unsigned)dnnl_get_effective_cpu_isa();
    const bool avx512 = (isa & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core;

    return !avx512 && !(g->a.transposed && copied_by_library(g));
}

bool gemm_tiles_pack_b(const Gemm *g)
{
    return !g->a.transposed && (g->b.dtype != F32 || g->m >= PACK_ROWS);
}

/* The last has one column more where it would have one alone, a product with a vector. */
static int64_t panels_of(const Gemm *g)
{
    return g->n < 2 ? 1 : (g->n - 2) / COLUMNS + 1;
}

static int64_t panel_width(const Gemm *g, int64_t panel)
{
    return panel + 1 < panels_of(g) ? COLUMNS : g->n - panel * COLUMNS;
}

size_t gemm_tiles_panel_bytes(const Gemm *g)
{
    return arena_round((size_t)(panels_of(g) * g->k * PANEL_STRIDE) * sizeof(float));
}

/* Row r of b, its columns spread over the panels. */
CLONES static void pack_row(const Gemm *g, const void *b, float *panels, int64_t r)
{
    const char *row = (const char *)b + (size_t)(r * g->b.stride) * dtype_size(g->b.dtype);

    for (int64_t panel = 0; panel < panels_of(g); panel++) {
        const int64_t n = panel_width(g, panel);
        float *to = panels + (panel * g->k + r) * PANEL_STRIDE;
        const float *from = vector_read(row + (size_t)(panel * COLUMNS) * dtype_size(g->b.dtype),
                                        g->b.dtype, n, to);
        if (from != to)
            memcpy(to, from, (size_t)n * sizeof *to);
    }
}

/* Rows of b^T in memory, from `first`, at most TURN_ROWS: columns of a panel. */
CLONES static void pack_turned(const Gemm *g, const void *b, float *panels, int64_t first)
{
    const size_t size = dtype_size(g->b.dtype);
    const int64_t count = g->n - first < TURN_ROWS ? g->n - first : TURN_ROWS;
    const int64_t last = panels_of(g) - 1;
    const int64_t at = first / COLUMNS < last ? first / COLUMNS : last;
    float *panel = panels + at * g->k * PANEL_STRIDE + (first - at * COLUMNS);
    float room[TURN_ROWS][TURN_COLUMNS];

    for (int64_t k = 0; k < g->k; k += TURN_COLUMNS) {
        const int64_t n = g->k - k < TURN_COLUMNS ? g->k - k : TURN_COLUMNS;
        for (int64_t r = 0; r < count; r++) {
            const char *row = (const char *)b + (size_t)((first + r) * g->b.stride + k) * size;
            const float *from = vector_read(row, g->b.dtype, n, room[r]);
            if (from != room[r])
                memcpy(room[r], from, (size_t)n * sizeof *from);
        }
        for (int64_t j = 0; j < n; j++)
            for (int64_t r = 0; r < count; r++)
                panel[(k + j) * PANEL_STRIDE + r] = room[r][j];
    }
}

void gemm_tiles_pack(const Gemm *g, int threads, const void *b, float *panels)
{
    if (g->b.transposed) {
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t r = 0; r < g->n; r += TURN_ROWS)
            pack_turned(g, b, panels, r);
    } else {
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t r = 0; r < g->k; r++)
            pack_row(g, b, panels, r);
    }
}

/* Rows that are computed as six; where a is transposed m is the model's, and no row has others to be
 * equal with. */
static int64_t last_rows(const Gemm *g)
{
    return g->a.transposed ? 0 : g->m % GEMM_TILE_ROWS % TOGETHER;
}

/* Six of a, then six of c. */
static size_t last_bytes(int64_t columns)
{
    return arena_round((size_t)(TOGETHER * columns) * sizeof(float));
}

size_t gemm_tiles_scratch(const Gemm *g)
{
    return last_rows(g) ? last_bytes(g->k) + last_bytes(g->n) : 0;
}

CLONES static void finish_tile(const Gemm *g, const float *bias, float *c, int64_t stride,
                               int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++) {
        float *row = c + r * stride;
        if (bias) {
#pragma omp simd
            for (int64_t i = 0; i < n; i++)
                row[i] += bias[i];
        }
        if (g->activation != ACTIVATION_NONE)
            gelu_value(g->activation, row, row, n);
    }
}

/* One call's operands, and the last rows of a and c. */
typedef struct Operands {
    const float *a, *b, *bias;
    float *c;
    bool packed;
    float *last_a, *last_c;
} Operands;

/* The tile of so many rows from `row`, in one panel; the last rows where there are six of them. */
static bool run_tile(const Gemm *g, const Operands *o, int64_t row, int64_t rows, bool last,
                     int64_t panel)
{
    const int64_t column = panel * COLUMNS, n = panel_width(g, panel);
    const int64_t a_stride = last ? g->k : g->a.stride, c_stride = last ? g->n : g->c.stride;
    const int64_t b_stride = o->packed ? PANEL_STRIDE : g->b.stride;
    const bool b_transposed = !o->packed && g->b.transposed;
    const float *a = last ? o->last_a : g->a.transposed ? o->a + row : o->a + row * g->a.stride;
    const float *b = o->packed      ? o->b + panel * g->k * PANEL_STRIDE
                     : b_transposed ? o->b + column * b_stride
                                    : o->b + column;
    float *c = (last ? o->last_c : o->c + row * g->c.stride) + column;
    const dnnl_status_t s =
        dnnl_sgemm(g->a.transposed ? 'T' : 'N', b_transposed ? 'T' : 'N', rows, n, g->k, 1, a,
                   a_stride, b, b_stride, g->accumulate ? 1 : 0, c, c_stride);

    finish_tile(g, g->bias ? o->bias + column : NULL, c, c_stride, rows, n);
    return s == dnnl_success;
}

static void copy_rows(float *to, int64_t to_stride, const float *from, int64_t from_stride,
                      int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++)
        memcpy(to + r * to_stride, from + r * from_stride, (size_t)n * sizeof *to);
}

bool gemm_tiles_run(const Gemm *g, int threads, bool packed, const float *a, const float *b,
                    float *c, const float *bias, void *scratch)
{
    const int64_t last = last_rows(g), whole = g->m - last;
    const int64_t heights = (whole + GEMM_TILE_ROWS - 1) / GEMM_TILE_ROWS, panels = panels_of(g);
    float *last_a = scratch, *last_c = last_a + last_bytes(g->k) / sizeof *last_a;
    const Operands o = {a, b, bias, c, packed, last_a, last_c};
    bool good = true;

    if (last) {
        memset(last_a, 0, (size_t)(TOGETHER * g->k) * sizeof *last_a);
        memset(last_c, 0, (size_t)(TOGETHER * g->n) * sizeof *last_c);
        copy_rows(last_a, g->k, a + whole * g->a.stride, g->a.stride, last, g->k);
        if (g->accumulate)
            copy_rows(last_c, g->n, c + whole * g->c.stride, g->c.stride, last, g->n);
    }
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) reduction(&& : good)
    for (int64_t i = 0; i < (heights + (last > 0)) * panels; i++) {
        const int64_t row = i / panels * GEMM_TILE_ROWS, left = whole - row;
        const bool is_last = i / panels == heights;
        const int64_t rows = is_last ? TOGETHER : left < GEMM_TILE_ROWS ? left : GEMM_TILE_ROWS;
        good = run_tile(g, &o, row, rows, is_last, i % panels) && good;
    }
    if (last)
        copy_rows(c + whole * g->c.stride, g->c.stride, last_c, g->n, last, g->n);
    return good;
}
