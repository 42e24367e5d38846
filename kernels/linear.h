/* linear.h - plan and products of linear, for linear.c and linear.cu: forward [rows, O] = [rows, C]
 * x [C, O], dx [N, C] = du w, dw [O, C] = du^T x. du is dy, or where there is an activation a
 * contiguous [N, O] of scratch. */
#ifndef KERNELS_LINEAR_H
#define KERNELS_LINEAR_H

#include "kernels/gemm.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { X, WEIGHT, BIAS }; // c->in[]
enum { PRE };             // c->save[]: u, where it is kept
enum { SLICE_ROWS = 64 }; // db is summed over slices of so many rows, then over the slices

typedef struct LinearArgs {
    Activation activation;
} LinearArgs;

/* c->plan. On CUDA `forward` takes all rows. */
typedef struct LinearPlan {
    GemmPlan *forward, *last; // `step` rows at a time; what is left
    int64_t step;
    GemmPlan *dx, *dw;
    size_t du_bytes, sums_bytes; // of scratch, before that of the products
} LinearPlan;

Activation linear_activation(const Call *c);

int64_t linear_slices(int64_t N); // of N rows

/* The products of backward, and the cut of its scratch: du, the slices' sums, the products' own. */
MUST_CHECK Status linear_prepare_backward(Call *c);
void linear_release(Call *c);

Gemm linear_forward(const Call *c, int64_t rows);
Gemm linear_dx(const Call *c);
Gemm linear_dw(const Call *c);

#ifdef __cplusplus
}
#endif
#endif
