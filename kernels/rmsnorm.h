/* rmsnorm.h - the row code that rmsnorm and add_rmsnorm share, on every device.
 *
 * With r = 1 / sqrt(mean(s^2) + epsilon) and z = s * r, for each row of C numbers:
 *
 *   s  = x + residual                             (rmsnorm: s = x)
 *   y  = z * weight
 *   dw = sum over rows of dy * z
 *   dx = r * (g - z * mean(g * z)) + ds               where g = dy * weight
 */
#ifndef KERNELS_RMSNORM_H
#define KERNELS_RMSNORM_H

#include "kernels/norm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Checks x (in[0]) and the weight of a call. */
MUST_CHECK Status rmsnorm_fits(const Call *c, int weight);

/* What a call asks for. */
NormForward rmsnorm_forward_of(const Call *c);
NormBackward rmsnorm_backward_of(const Call *c);
NormForward add_rmsnorm_forward_of(const Call *c);
NormBackward add_rmsnorm_backward_of(const Call *c);

size_t rmsnorm_forward_bytes(int64_t C, int threads); // scratch
size_t rmsnorm_backward_bytes(int64_t N, int64_t C, int threads);

void rmsnorm_forward_rows(const NormForward *p, int threads, void *scratch);
void rmsnorm_backward_rows(const NormBackward *p, int threads, void *scratch);

/* The same on CUDA, on the stream of c and in its scratch. */
size_t rmsnorm_backward_bytes_cuda(int64_t N, int64_t C); // scratch; forward needs none
void rmsnorm_forward_rows_cuda(const NormForward *p, const Call *c);
void rmsnorm_backward_rows_cuda(const NormBackward *p, const Call *c);

#ifdef __cplusplus
}
#endif

#endif
