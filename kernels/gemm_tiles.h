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

#include "kernels/gemm.h"

enum { GEMM_TILE_ROWS = 60 };

/* Whether tiles are to compute g (of any dtypes). Not sums over many rows into a large c (weight
 * gradients): those the library always sums alike, and faster. */
bool gemm_tiles_serve(const Gemm *g);

/* Whether they are to read b from panels, which are filled from any dtype; else b must be F32. */
bool gemm_tiles_pack_b(const Gemm *g);
size_t gemm_tiles_panel_bytes(const Gemm *g);
void gemm_tiles_pack(const Gemm *g, int threads, const void *b, float *panels);

/* Computes g, whose a, c and bias are F32; b: panels where `packed`, else F32. The number of threads must
 * be OpenMP's, too. scratch: gemm_tiles_scratch() bytes. Whether it worked. */
size_t gemm_tiles_scratch(const Gemm *g);
bool gemm_tiles_run(const Gemm *g, int threads, bool packed, const float *a, const float *b,
                    float *c, const float *bias, void *scratch);

#endif
