/* scatter.cuh - the gradient of picking rows, on the device: dx[p] = sum of dy[n] over the n with
 * place[n] = p.
 *
 * The order of additions is that of scatter.h, 32 rows at a time and then those, so that the bits
 * are the CPU's. No atomics.
 */
#ifndef KERNELS_SCATTER_CUH
#define KERNELS_SCATTER_CUH

#include "kernels/gpu.cuh"

/* Bytes of scratch for `count` rows of `columns` into `places`. */
size_t scatter_scratch_cuda(int64_t count, int64_t places, int64_t columns);

/* dx [places, C] of any storage, its rows a stride apart; dy [at least count, C]; place I32 [count],
 * on the device. Rows from *limit on (NULL: none; on the device) and places outside [0, places)
 * count for nothing. add clear: rows that nothing hits are cleared. Uses c's stream and scratch. */
void scatter_rows_cuda(const Call *c, const Tensor *dx, const Tensor *dy, const int32_t *place,
                       int64_t count, const int32_t *limit, bool add);

#endif
