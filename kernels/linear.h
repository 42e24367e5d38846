/* linear.h - the three products of linear, for linear.c and linear.cu: forward [rows, O] = [rows, C]
 * x [C, O], dx [N, C] = du w, dw [O, C] = du^T x. du is dy, or where there is an activation a
 * contiguous [N, O] of scratch. */
#ifndef KERNELS_LINEAR_H
#define KERNELS_LINEAR_H

#include "kernels/gemm.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct LinearArgs {
    Activation activation;
} LinearArgs;

Gemm linear_forward(const Call *c, int64_t rows);
Gemm linear_dx(const Call *c);
Gemm linear_dw(const Call *c);

#ifdef __cplusplus
}
#endif
#endif
