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

#include "kernels/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tensors of rows [N, C] in one storage type; rstd F32 [N]. */
typedef struct RmsnormForward {
    const Tensor *x, *residual; // residual NULL: s = x
    const Tensor *weight;
    float epsilon;
    Tensor *sum; // where s goes; NULL: nowhere
    Tensor *y;
    Tensor *rstd; // NULL: not kept
} RmsnormForward;

/* Gradients that are NULL are not wanted; bits of `add` tell which add to what is there. */
enum { RMSNORM_ADD_DX = 1, RMSNORM_ADD_DRESIDUAL = 2, RMSNORM_ADD_DWEIGHT = 4 };
typedef struct RmsnormBackward {
    const Tensor *sum, *weight, *rstd;
    const Tensor *dy, *dsum; // NULL: zero
    Tensor *dx, *dresidual, *dweight;
    unsigned add;
} RmsnormBackward;

/* Checks x (in[0]) and the weight of a call. */
MUST_CHECK Status rmsnorm_fits(const Call *c, int weight);

/* What a call asks for. */
RmsnormForward rmsnorm_forward_of(const Call *c);
RmsnormBackward rmsnorm_backward_of(const Call *c);
RmsnormForward add_rmsnorm_forward_of(const Call *c);
RmsnormBackward add_rmsnorm_backward_of(const Call *c);

size_t rmsnorm_forward_bytes(int64_t C, int threads); // scratch
size_t rmsnorm_backward_bytes(int64_t N, int64_t C, int threads);

void rmsnorm_forward_rows(const RmsnormForward *p, int threads, void *scratch);
void rmsnorm_backward_rows(const RmsnormBackward *p, int threads, void *scratch);

/* The same on CUDA, on the stream of c and in its scratch. */
size_t rmsnorm_backward_bytes_cuda(int64_t N, int64_t C); // scratch; forward needs none
void rmsnorm_forward_rows_cuda(const RmsnormForward *p, const Call *c);
void rmsnorm_backward_rows_cuda(const RmsnormBackward *p, const Call *c);

#ifdef __cplusplus
}
#endif

#endif
