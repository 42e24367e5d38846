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

#include "kernels/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tensors of rows [N, C] in one storage type; mean and rstd F32 [N]. */
typedef struct LayernormForward {
    const Tensor *x, *residual; // residual NULL: s = x
    const Tensor *weight, *bias;
    float epsilon;
    Tensor *sum; // where s goes; NULL: nowhere
    Tensor *y;
    Tensor *mean, *rstd; // NULL: not kept
} LayernormForward;

/* Gradients that are NULL are not wanted; bits of `add` tell which add to what is there. */
enum { ADD_DX = 1, ADD_DRESIDUAL = 2, ADD_DWEIGHT = 4, ADD_DBIAS = 8 };
typedef struct LayernormBackward {
    const Tensor *sum, *weight, *mean, *rstd;
    const Tensor *dy, *dsum; // NULL: zero
    Tensor *dx, *dresidual, *dweight, *dbias;
    unsigned add;
} LayernormBackward;

/* Checks x (in[0]), weight and bias of a call. */
MUST_CHECK Status layernorm_fits(const Call *c, int weight, int bias);

/* What a call asks for. */
LayernormForward layernorm_forward_of(const Call *c);
LayernormBackward layernorm_backward_of(const Call *c);
LayernormForward add_layernorm_forward_of(const Call *c);
LayernormBackward add_layernorm_backward_of(const Call *c);

size_t layernorm_forward_bytes(int64_t C, int threads); // scratch
size_t layernorm_backward_bytes(int64_t N, int64_t C, int threads);

void layernorm_forward_rows(const LayernormForward *p, int threads, void *scratch);
void layernorm_backward_rows(const LayernormBackward *p, int threads, void *scratch);

/* The same on CUDA, on the stream of c and in its scratch. */
size_t layernorm_backward_bytes_cuda(int64_t N, int64_t C); // scratch; forward needs none
void layernorm_forward_rows_cuda(const LayernormForward *p, const Call *c);
void layernorm_backward_rows_cuda(const LayernormBackward *p, const Call *c);

#ifdef __cplusplus
}
#endif

#endif
