/* gemm_cpu.c - matrix products of the CPU, by oneDNN.
 *
 * A plan is one product, or, where operands are copied, one for each block of rows in memory: of
 * the rows of a and c where a is not transposed, else (weight gradients) of the rows of a and b,
 * which are added up in c. Copied are operands of types that oneDNN does not read, and those of tiled
 * weight gradients whose rows lie a multiple of a KiB apart: a column of such rows falls on few lines of
 * the first cache. A product is one primitive of oneDNN's (gemm_product.h) or, on processors without
 * AVX-512, tiles (gemm_tiles.h). The number of threads is fixed when a plan is made, and set again
 * when it runs.
 */
#include "kernels/gemm_parts.h"
#include "kernels/gemm_product.h"
#include "kernels/gemm_tiles.h"

#include "kernels/vector.h"

#include <assert.h>
#include <inttypes.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum {
    COPY_ROWS = 8 * GEMM_TILE_ROWS, // of a block that is copied at once
    CROWDED = 256, // numbers: a column of rows a multiple of this apart has few lines
};

typedef struct GemmLibrary {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    bool bf16; // products of BF16 at full speed
} GemmLibrary;

/* The product of some rows. */
typedef struct Piece {
    int64_t start, count; // rows in memory
    bool tiled;
    GemmProduct product; // where it is not
} Piece;

typedef struct GemmCpu {
    GemmPlan plan;
    Gemm g; // as asked
    int threads;
    GemmLibrary *library;
    bool packed; // b is, see gemm_tiles.h
    bool copy_a, copy_b, widen_c, widen_bias;
    int64_t a_row, b_row; // from row to row of the copies
    int64_t block;        // rows of a piece
    Piece *piece;
    int64_t pieces;
    size_t pad_bytes, a_bytes, b_bytes, c_bytes, bias_bytes; // of scratch
} GemmCpu;

static Status library_open(Device *d, void **handle)
{
    GemmLibrary *l = calloc(1, sizeof *l);

    (void)d;
    if (!l)
        return fail(E_MEMORY, "no memory for oneDNN");
    *handle = l;
    if (dnnl_engine_create(&l->engine, dnnl_cpu, 0) ||
        dnnl_stream_create(&l->stream, l->engine, dnnl_stream_default_flags)) {
        dnnl_engine_destroy(l->engine);
        free(l);
        return fail(E_DEVICE, "oneDNN does not start on this processor");
    }
    const unsigned wanted = dnnl_cpu_isa_avx512_core_bf16;
    l->bf16 = ((unsigned)dnnl_get_effective_cpu_isa() & wanted) == wanted;
    return OK;
}

static void library_close(void *handle)
{
    GemmLibrary *l = handle;

    dnnl_stream_destroy(l->stream);
    dnnl_engine_destroy(l->engine);
    free(l);
}

static const DeviceLibrary ONEDNN = {"oneDNN", library_open, library_close};

/* Whether oneDNN reads these as they are. */
static bool is_native(Device *d, const Gemm *g)
{
    const Dtype a = g->a.dtype, b = g->b.dtype;
    void *handle;

    if (a == F32 && b == F32)
        return true;
    return a == BF16 && b == BF16 && !device_library(d, &ONEDNN, &handle) &&
           ((GemmLibrary *)handle)->bf16;
}

bool gemm_cpu_copies_b(Device *d, const Gemm *g)
{
    return (gemm_tiles_serve(g) && gemm_tiles_pack_b(g)) || !is_native(d, g);
}

static bool crowded(int64_t stride)
{
    return stride % CROWDED == 0;
}

/* From row to row of a copied operand of a weight gradient. */
static int64_t copy_row(int64_t n)
{
    return crowded(n) ? gemm_odd_lines(n) : n;
}

/* The product of this piece, its operands as they are after copying. */
static Gemm piece_gemm(const GemmCpu *p, const Piece *piece)
{
    const bool sums = p->g.a.transposed; // pieces run along k
    Gemm g = p->g;

    g.m = sums ? g.m : piece->count;
    g.k = sums ? piece->count : g.k;
    g.accumulate = g.accumulate || (sums && piece->start > 0);
    if (p->copy_a)
        g.a = (GemmMatrix){F32, p->a_row, sums};
    if (p->copy_b)
        g.b = (GemmMatrix){F32, p->b_row, g.b.transposed};
    if (p->widen_c)
        g.c = (GemmMatrix){F32, g.n, false};
    if (p->widen_bias)
        g.bias_dtype = F32;
    return g;
}

static dnnl_status_t make_piece(GemmCpu *p, Piece *piece)
{
    const Gemm g = piece_gemm(p, piece);
    dnnl_status_t s = dnnl_success;

    piece->tiled = gemm_tiles_serve(&g);
    if (!piece->tiled)
        s = gemm_product_make(&piece->product, p->library->engine, &g);
    const size_t bytes = piece->tiled ? gemm_tiles_scratch(&g) : piece->product.pad_bytes;
    p->pad_bytes = bytes > p->pad_bytes ? bytes : p->pad_bytes;
    return s;
}

static Status make_pieces(GemmCpu *p)
{
    const Gemm *g = &p->g;
    const int64_t rows = g->a.transposed ? g->k : g->m;
    const int64_t step = p->block;

    p->pieces = (rows + step - 1) / step;
    p->piece = calloc((size_t)p->pieces, sizeof *p->piece);
    if (!p->piece)
        return fail(E_MEMORY, "no memory for the plan of a matrix product");
    const int before = omp_get_max_threads();
    dnnl_status_t s = dnnl_success;
    omp_set_num_threads(p->threads);
    for (int64_t i = 0; i < p->pieces && !s; i++) {
        p->piece[i].start = i * step;
        p->piece[i].count = i + 1 < p->pieces ? step : rows - i * step;
        s = make_piece(p, &p->piece[i]);
    }
    omp_set_num_threads(before);
    if (s)
        return fail(E_DEVICE,
                    "oneDNN refuses the product [%" PRId64 ", %" PRId64 "] x [%" PRId64 ", %" PRId64
                    "] of %s and %s (its status %d)",
                    g->m, g->k, g->k, g->n, dtype_name(g->a.dtype), dtype_name(g->b.dtype), (int)s);
    return OK;
}

/* Blocks of rows of a, and of b where it is summed along with a; b whole otherwise. */
static void plan_copies(GemmCpu *p, bool native)
{
    const Gemm *g = &p->g;
    const bool sums = g->a.transposed, tiled = gemm_tiles_serve(g);
    const int64_t rows = sums ? g->k : g->m;
    const bool narrow_sum = sums && g->c.dtype != F32; // must be rounded once
    const bool spread = native && sums && tiled && rows >= COPY_ROWS;

    p->copy_a = (!native && g->a.dtype != F32) || (spread && crowded(g->a.stride));
    p->packed = tiled && gemm_tiles_pack_b(g);
    p->copy_b = (!native && g->b.dtype != F32 && !p->packed) || (spread && crowded(g->b.stride));
    const bool whole = narrow_sum || rows < COPY_ROWS || (native && !p->copy_a && !p->copy_b);
    const int64_t block = p->block = whole ? rows : COPY_ROWS;

    const int64_t b_rows = sums ? block : g->b.transposed ? g->n : g->k;
    p->a_row = sums ? copy_row(g->m) : g->k;
    p->b_row = sums ? copy_row(g->n) : g->b.transposed ? g->k : g->n;
    p->b_bytes = p->packed ? gemm_tiles_panel_bytes(g) : 0;
    if (p->copy_a)
        p->a_bytes = arena_round((size_t)(block * p->a_row) * 4);
    if (p->copy_b)
        p->b_bytes = arena_round((size_t)(b_rows * p->b_row) * 4);
    if (native)
        return;
    p->widen_c = g->c.dtype != F32;
    p->widen_bias = g->bias && g->bias_dtype != F32;
    p->c_bytes = p->widen_c ? arena_round((size_t)((sums ? g->m : block) * g->n) * 4) : 0;
    p->bias_bytes = p->widen_bias ? arena_round((size_t)g->n * 4) : 0;
}

Status gemm_cpu_make(GemmPlan **out, Device *d, Gemm g)
{
    void *library;
    Status s = device_library(d, &ONEDNN, &library);
    GemmCpu *p = s ? NULL : calloc(1, sizeof *p);

    if (!s && !p)
        s = fail(E_MEMORY, "no memory for the plan of a matrix product");
    if (s)
        return s;
    assert(g.m > 0 && g.n > 0 && g.k > 0 && !g.c.transposed);
    assert(!g.a.transposed || !g.b.transposed); // see make_piece()
    p->plan.kind = d->kind;
    p->g = g;
    p->threads = d->threads;
    p->library = library;
    // oneDNN has no product of F32 that it stores narrower
    plan_copies(p, is_native(d, &g) && (g.a.dtype == BF16 || g.c.dtype == F32));
    s = make_pieces(p);
    if (s)
        gemm_cpu_free(&p->plan);
    else
        *out = &p->plan;
    return s;
}

void gemm_cpu_free(GemmPlan *plan)
{
    GemmCpu *p = (GemmCpu *)plan;

    for (int64_t i = 0; i < p->pieces && p->piece; i++)
        gemm_product_free(&p->piece[i].product);
    free(p->piece);
    free(p);
}

size_t gemm_cpu_scratch(const GemmPlan *plan)
{
    const GemmCpu *p = (const GemmCpu *)plan;

    return p->pad_bytes + p->a_bytes + p->b_bytes + p->c_bytes + p->bias_bytes;
}

/* Rows of one matrix copied to another (one of the two is F32). */
CLONES static void convert_rows(void *to, Dtype to_dtype, int64_t to_stride, const void *from,
                                Dtype from_dtype, int64_t from_stride, int64_t rows, int64_t n,
                                int threads)
{
    const int64_t to_step = to_stride * (int64_t)dtype_size(to_dtype);
    const int64_t from_step = from_stride * (int64_t)dtype_size(from_dtype);

#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        void *t = (char *)to + r * to_step;
        const void *f = (const char *)from + r * from_step;
        if (from_dtype == F32)
            vector_write(t, to_dtype, f, n);
        else
            vector_read(f, from_dtype, n, t);
    }
}

static const char *rows_from(const void *data, const GemmMatrix *x, int64_t row)
{
    return (const char *)data + (size_t)(row * x->stride) * dtype_size(x->dtype);
}

/* A product that failed must not look like one that did not. */
static void poison(const GemmCpu *p, void *c)
{
    for (int64_t r = 0; r < p->g.m; r++)
        memset((char *)c + (size_t)(r * p->g.c.stride) * dtype_size(p->g.c.dtype), 0xFF,
               (size_t)p->g.n * dtype_size(p->g.c.dtype));
}

static bool multiply(const GemmCpu *p, const Piece *x, const void *a, const void *b, void *c,
                     const void *bias, void *scratch)
{
    if (!x->tiled)
        return gemm_product_run(&x->product, p->library->stream, a, b, c, bias, scratch);

    const Gemm g = piece_gemm(p, x);
    return gemm_tiles_run(&g, p->threads, p->packed, a, b, c, bias, scratch);
}

/* Copies what this piece must not read as it is, multiplies, narrows what it wrote. */
static bool run_piece(const GemmCpu *p, const Piece *x, const void *a, const void *b, void *c,
                      const void *bias, char *scratch)
{
    const Gemm *g = &p->g;
    const bool sums = g->a.transposed;
    char *own_a = scratch + p->pad_bytes, *own_b = own_a + p->a_bytes;
    char *wide_c = own_b + p->b_bytes;
    const char *from_a = rows_from(a, &g->a, x->start);
    const char *from_b = sums ? rows_from(b, &g->b, x->start) : b;
    char *to_c = sums ? c : (char *)c + (rows_from(c, &g->c, x->start) - (const char *)c);
    const int64_t c_rows = sums ? g->m : x->count;
    const int64_t b_rows = sums ? x->count : g->b.transposed ? g->n : g->k;
    const int64_t b_columns = g->b.transposed ? g->k : g->n, a_columns = sums ? g->m : g->k;

    if (p->copy_a)
        convert_rows(own_a, F32, p->a_row, from_a, g->a.dtype, g->a.stride, x->count, a_columns,
                     p->threads);
    if (p->packed && x->start == 0)
        gemm_tiles_pack(g, p->threads, b, (float *)(void *)own_b);
    if (p->copy_b && (sums || x->start == 0))
        convert_rows(own_b, F32, p->b_row, from_b, g->b.dtype, g->b.stride, b_rows, b_columns,
                     p->threads);
    if (p->widen_c && g->accumulate)
        convert_rows(wide_c, F32, g->n, to_c, g->c.dtype, g->c.stride, c_rows, g->n, p->threads);
    const bool good =
        multiply(p, x, p->copy_a ? own_a : from_a, p->copy_b || p->packed ? own_b : from_b,
                 p->widen_c ? wide_c : to_c, bias, scratch);
    if (p->widen_c && good)
        convert_rows(to_c, g->c.dtype, g->c.stride, wide_c, F32, g->n, c_rows, g->n, p->threads);
    return good;
}

void gemm_cpu_describe(Device *d, char *text, size_t room)
{
    const dnnl_version_t *v = dnnl_version();

    (void)d;
    snprintf(text, room, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
}

void gemm_cpu_run(GemmPlan *plan, Stream *stream, const void *a, const void *b, void *c,
                  const void *bias, void *scratch)
{
    GemmCpu *p = (GemmCpu *)plan;
    const int before = omp_get_max_threads();
    char *wide_bias = (char *)scratch + p->pad_bytes + p->a_bytes + p->b_bytes + p->c_bytes;
    const void *use_bias = p->widen_bias ? wide_bias : bias;
    bool good = true;

    (void)stream;
    omp_set_num_threads(p->threads);
    if (p->widen_bias)
        convert_rows(wide_bias, F32, p->g.n, bias, p->g.bias_dtype, p->g.n, 1, p->g.n, 1);
    for (int64_t i = 0; i < p->pieces && good; i++)
        good = run_piece(p, &p->piece[i], a, b, c, use_bias, scratch);
    omp_set_num_threads(before);
    if (!good)
        poison(p, c);
}
