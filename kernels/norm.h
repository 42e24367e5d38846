/* norm.h - what the row code of every norm is given, on every device: layernorm.h, rmsnorm.h. */
#ifndef KERNELS_NORM_H
#define KERNELS_NORM_H

#include "kernels/ops.h"

/* Tensors of rows [N, C] in one storage type; mean and rstd F32 [N]. bias and mean are layernorm's. */
typedef struct NormForward {
    const Tensor *x, *residual; // residual NULL: s = x
    const Tensor *weight, *bias;
    float epsilon;
    Tensor *sum; // where s goes; NULL: nowhere
    Tensor *y;
    Tensor *mean, *rstd; // NULL: not kept
} NormForward;

/* Gradients that are NULL are not wanted; bits of `add` tell which add to what is there. mean and dbias
 * are layernorm's. */
enum { ADD_DX = 1, ADD_DRESIDUAL = 2, ADD_DWEIGHT = 4, ADD_DBIAS = 8 };
typedef struct NormBackward {
    const Tensor *sum, *weight, *mean, *rstd;
    const Tensor *dy, *dsum; // NULL: zero
    Tensor *dx, *dresidual, *dweight, *dbias;
    unsigned add;
} NormBackward;

#endif
