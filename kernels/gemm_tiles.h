/* gemm_tiles.h - for gemm_cpu.c: F32 products cut into tiles, each by one thread, for processors without
 * AVX-512.
 *
 * oneDNN's AVX2 products choose a way by the shape and the number of threads, and the ways sum in other
 * orders. Of tiles [60, 256] of c it chooses one way, in which six rows are summed at once, alike
 * for four, five and six and otherwise for fewer: so the last rows, where m is no multiple of six, are
 * computed as six with zeros below. A row of c then has the same bits whatever rows it is computed
 * with, by whatever number of threads.
 *
 * Where b is read often it is copied into panels first, [k] rows of 256 + 16 numbers each: a row of
 * a power of two would fall on the same cache lines as the next. From panels the tiles are as fast as the
 * library's own cut, and up to a tenth faster.
 */
#ifndef KERNELS_GEMM_TILES_H
#define KERNELS_GEMM_TILES_H

#include "kernels/gemm_product.h"

typedef struct GemmTiles GemmTiles;

/* Whether tiles are to compute g (of any dtypes). Not sums over rows into a large c (weight gradients):
 * those the library always sums alike, and faster. */
bool gemm_tiles_serve(const Gemm *g);

/* Whether they read b from panels, which they fill from any dtype; else b must be F32. */
bool gemm_tiles_pack_b(const Gemm *g);
size_t gemm_tiles_panel_bytes(const Gemm *g);
void gemm_tiles_pack(const Gemm *g, int threads, const void *b, float *panels);

/* g: a, c and bias F32, b F32 where it is read as it is. Answers oneDNN's status; *out is freed by
 * gemm_tiles_free() then, too. */
dnnl_status_t gemm_tiles_make(GemmTiles **out, dnnl_engine_t engine, const Gemm *g, int threads);
void gemm_tiles_free(GemmTiles *t); // accepts NULL
size_t gemm_tiles_scratch(const GemmTiles *t);

/* Some rows of a and c: all m, or, where a is not transposed, a multiple of GEMM_TILE_ROWS or the last
 * ones, m modulo GEMM_TILE_ROWS and a multiple of it. b: panels, or as it is. Whether it worked. */
enum { GEMM_TILE_ROWS = 60 };
bool gemm_tiles_run(const GemmTiles *t, dnnl_stream_t stream, int64_t rows, const float *a,
                    const float *b, float *c, const float *bias, char *scratch);

#endif
