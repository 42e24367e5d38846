/* scatter.h - the gradient of picking rows: dx[p] = sum of dy[n] over the n with place[n] = p.
 *
 * Rows are first brought into the order of their places (a counting sort keeps equal ones in the
 * order of n), so each row of dx is one sum in a fixed order: of 32 rows at a time, then of those.
 * Neither depends on the number of threads.
 */
#ifndef KERNELS_SCATTER_H
#define KERNELS_SCATTER_H

#include "kernels/ops.h"

/* Bytes of scratch for `count` rows into `places`. */
size_t scatter_scratch(int64_t count, int64_t places);

/* dx [places, C] of any storage, its rows a stride apart; dy [at least count, C]; place I32 [count],
 * those outside [0, places) count for nothing. add clear: rows that nothing hits are cleared. */
void scatter_rows(const Device *d, const Tensor *dx, const Tensor *dy, const int32_t *place,
                  int64_t count, bool add, void *scratch);

#endif
