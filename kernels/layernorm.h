/* layernorm.h - the row code that layernorm and add_layernorm share, on every device.
 *
 * With r = 1 / sqrt(variance + epsilon) and z = (s - mean) * r, for each row of C numbers:
 *
 *   s  = x + residual                             (layernorm: s = x)
 *   y  = z * weight + bias
 *   dw = sum over rows of dy * z
 *   db = sum over rows of dy
 *   dx = r * (g - mean(g) - z * mean(g * z)) + ds     where g = dy * weight
 */
#ifndef KERNELS_LAYERNORM_H
#define KERNELS_LAYERNORM_H

#include "kernels/norm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Checks x (in[0]), weight and bias of a call. */
MUST_CHECK Status layernorm_fits(const Call *c, int weight, int bias);

/* What a call asks for. */
NormForward layernorm_forward_of(const Call *c);
NormBackward layernorm_backward_of(const Call *c);
NormForward add_layernorm_forward_of(const Call *c);
NormBackward add_layernorm_backward_of(const Call *c);

size_t layernorm_forward_bytes(int64_t C, int threads); // scratch
size_t layernorm_backward_bytes(int64_t N, int64_t C, int threads);

void layernorm_forward_rows(const NormForward *p, int threads, void *scratch);
void layernorm_backward_rows(const NormBackward *p, int threads, void *scratch);

/* The same on CUDA, on the stream of c and in its scratch. */
size_t layernorm_backward_bytes_cuda(int64_t N, int64_t C); // scratch; forward needs none
void layernorm_forward_rows_cuda(const NormForward *p, const Call *c);
void layernorm_backward_rows_cuda(const NormBackward *p, const Call *c);

#ifdef __cplusplus
}
#endif

#endif
