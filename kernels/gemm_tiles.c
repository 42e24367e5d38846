/* gemm_tiles.c - see gemm_tiles.h.
 *
 * Tiles have few shapes: heights of 60 rows, of the whole sixes that are left, and of the six that the
 * last rows are filled up to; widths of 256 columns and of what is left. Each thread has a product of
 * each shape.
 */
#include "kernels/gemm_tiles.h"

#include "kernels/gelu.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum {
    TOGETHER = 6,  // rows that the library sums at once
    COLUMNS = 256, // of a tile
    PANEL_STRIDE = COLUMNS + 16,
    PACK_ROWS = 240, // rows of a for which a copy of b is worth its time
    LARGE_SUM = 384, // rows and columns of a c that the library cuts alike for all threads
    TURN_ROWS = 16,  // of b^T: turned at once, so that whole cache lines are written
    TURN_COLUMNS = 64
};

typedef enum { WHOLE, SIXES, LAST, HEIGHTS } Height;
typedef enum { WIDE, NARROW, WIDTHS } Width;

struct GemmTiles {
    Gemm g;
    int threads;
    bool packed;
    int64_t height[HEIGHTS]; // rows of a tile; 0 where there is none
    int64_t last;            // true rows of the last height
    int64_t width[WIDTHS];
    GemmProduct *product; // [threads][HEIGHTS][WIDTHS]
    size_t pad_bytes;     // of a thread
};

/* 1 / m + 1 / n < 0.0038: the library's own condition for copying the operands, whatever the threads. */
static bool copied_by_library(const Gemm *g)
{
    return (double)(g->m + g->n) < 0.0038 * (double)g->m * (double)g->n;
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

static GemmProduct *product_of(const GemmTiles *t, int thread, int height, int width)
{
    return t->product + ((int64_t)thread * HEIGHTS + height) * WIDTHS + width;
}

/* The product of one shape of tile: the last rows lie filled up in scratch. */
static dnnl_status_t make_product(GemmTiles *t, GemmProduct *out, dnnl_engine_t engine,
                                  Height height, Width width)
{
    Gemm g = t->g;

    g.m = t->height[height];
    g.n = t->width[width];
    g.bias_dtype = F32;
    g.activation = ACTIVATION_NONE; // the library's, of rows that do not touch, is half as fast
    if (t->packed)
        g.b = (GemmMatrix){F32, PANEL_STRIDE, false};
    if (height == LAST) {
        g.a.stride = g.k;
        g.c.stride = t->g.n;
    }
    return gemm_product_make(out, engine, &g);
}

static dnnl_status_t make_products(GemmTiles *t, dnnl_engine_t engine)
{
    dnnl_status_t s = dnnl_success;
    const int before = omp_get_max_threads();

    omp_set_num_threads(1); // a tile is one thread's
    for (int i = 0; i < t->threads && !s; i++)
        for (int height = 0; height < HEIGHTS && !s; height++)
            for (int width = 0; width < WIDTHS && !s; width++) {
                GemmProduct *x = product_of(t, i, height, width);
                if (t->height[height] > 0 && t->width[width] > 0)
                    s = make_product(t, x, engine, (Height)height, (Width)width);
                t->pad_bytes = x->pad_bytes > t->pad_bytes ? x->pad_bytes : t->pad_bytes;
            }
    omp_set_num_threads(before);
    return s;
}

dnnl_status_t gemm_tiles_make(GemmTiles **out, dnnl_engine_t engine, const Gemm *g, int threads)
{
    GemmTiles *t = *out = calloc(1, sizeof *t);

    if (!t)
        return dnnl_out_of_memory;
    t->g = *g;
    t->threads = threads;
    t->packed = gemm_tiles_pack_b(g);
    t->height[WHOLE] = g->m < GEMM_TILE_ROWS ? 0 : GEMM_TILE_ROWS;
    t->height[SIXES] = g->m % GEMM_TILE_ROWS;
    if (!g->a.transposed) { // else m is the model's, and no row has others to be equal with
        t->last = t->height[SIXES] % TOGETHER;
        t->height[SIXES] -= t->last;
        t->height[LAST] = t->last > 0 ? TOGETHER : 0;
    }
    t->width[WIDE] = panels_of(g) > 1 ? COLUMNS : 0;
    t->width[NARROW] = panel_width(g, panels_of(g) - 1);
    t->product = calloc((size_t)threads * HEIGHTS * WIDTHS, sizeof *t->product);
    return t->product ? make_products(t, engine) : dnnl_out_of_memory;
}

void gemm_tiles_free(GemmTiles *t)
{
    if (!t)
        return;
    for (int i = 0; t->product && i < t->threads * HEIGHTS * WIDTHS; i++)
        gemm_product_free(t->product + i);
    free(t->product);
    free(t);
}

/* Of the last rows: six of a, then six of c. */
static size_t last_bytes(const GemmTiles *t, int64_t columns)
{
    return t->last ? arena_round((size_t)(TOGETHER * columns) * sizeof(float)) : 0;
}

size_t gemm_tiles_scratch(const GemmTiles *t)
{
    return (size_t)t->threads * t->pad_bytes + last_bytes(t, t->g.k) + last_bytes(t, t->g.n);
}

/* One call's operands. */
typedef struct Operands {
    const float *a, *b, *bias;
    float *c;
    const float *last_a;
    float *last_c;
    char *pad;
} Operands;

CLONES static void activate_tile(Activation form, float *c, int64_t stride, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++)
        gelu_value(form, c + r * stride, c + r * stride, n);
}

static bool run_tile(const GemmTiles *t, dnnl_stream_t stream, const Operands *o, int64_t row,
                     Height height, int64_t panel)
{
    const Gemm *g = &t->g;
    const Width width = panel + 1 < panels_of(g) ? WIDE : NARROW;
    const int64_t column = panel * COLUMNS;
    const int thread = omp_get_thread_num();
    const float *a = height == LAST    ? o->last_a
                     : g->a.transposed ? o->a + row
                                       : o->a + row * g->a.stride;
    const float *b = t->packed         ? o->b + panel * g->k * PANEL_STRIDE
                     : g->b.transposed ? o->b + column * g->b.stride
                                       : o->b + column;
    float *c = height == LAST ? o->last_c : o->c + row * g->c.stride;

    const bool good =
        gemm_product_run(product_of(t, thread, height, width), stream, a, b, c + column,
                         o->bias ? o->bias + column : NULL, o->pad + (size_t)thread * t->pad_bytes);

    if (g->activation != ACTIVATION_NONE)
        activate_tile(g->activation, c + column, height == LAST ? g->n : g->c.stride,
                      t->height[height], t->width[width]);
    return good;
}

static void copy_rows(float *to, int64_t to_stride, const float *from, int64_t from_stride,
                      int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++)
        memcpy(to + r * to_stride, from + r * from_stride, (size_t)n * sizeof *to);
}

bool gemm_tiles_run(const GemmTiles *t, dnnl_stream_t stream, int64_t rows, const float *a,
                    const float *b, float *c, const float *bias, char *scratch)
{
    const Gemm *g = &t->g;
    const int64_t whole = rows / GEMM_TILE_ROWS, left = rows % GEMM_TILE_ROWS;
    const int64_t last = left ? t->last : 0, sixes = left - last, last_row = rows - last;
    const int64_t heights = whole + (sixes > 0) + (last > 0), widths = panels_of(g);
    float *last_a = (float *)(void *)(scratch + (size_t)t->threads * t->pad_bytes);
    float *last_c = last_a + last_bytes(t, g->k) / sizeof *last_a;
    const Operands o = {a, b, bias, c, last_a, last_c, scratch};
    bool good = true;

    if (last) {
        memset(last_a, 0, (size_t)(TOGETHER * g->k) * sizeof *last_a);
        memset(last_c, 0, (size_t)(TOGETHER * g->n) * sizeof *last_c);
        copy_rows(last_a, g->k, a + last_row * g->a.stride, g->a.stride, last, g->k);
        if (g->accumulate)
            copy_rows(last_c, g->n, c + last_row * g->c.stride, g->c.stride, last, g->n);
    }
#pragma omp parallel for num_threads(t->threads) schedule(dynamic, 1) reduction(&& : good)
    for (int64_t i = 0; i < heights * widths; i++) {
        const int64_t row = i / widths * GEMM_TILE_ROWS;
        const bool is_last = last && i / widths == heights - 1;
        const Height height = is_last ? LAST : row + GEMM_TILE_ROWS <= rows ? WHOLE : SIXES;
        good = run_tile(t, stream, &o, row, height, i % widths) && good;
    }
    if (last)
        copy_rows(c + last_row * g->c.stride, g->c.stride, last_c, g->n, last, g->n);
    return good;
}
