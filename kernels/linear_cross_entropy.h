/* linear_cross_entropy.h - chunks of rows of linear_cross_entropy and their products, on every device.
 *
 * For the rows of a chunk, with dlogits as in cross_entropy.h:
 *
 *   logits = x w^T      dw += dlogits^T x      dx = dlogits w
 *
 * The logits of a chunk are F32 in scratch; their gradient takes their place, in the storage type of
 * x, in which it is multiplied (rows keep their first address). Where the loss is the graph's root
 * forward does all three products and dx overwrites x; else it keeps lse, and backward makes the
 * logits again. How many rows a chunk has depends on the shape alone, and chunks are added in order.
 * A gradient of w that is not F32 is summed in F32 and rounded once.
 */
#ifndef KERNELS_LINEAR_CROSS_ENTROPY_H
#define KERNELS_LINEAR_CROSS_ENTROPY_H

#include "kernels/gemm.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { LCE_X, LCE_WEIGHT, LCE_TARGET, LCE_OFFSETS, LCE_SCALARS }; // c->in[]
enum { LCE_LSE };                                                 // c->save[]: F32 [N]

/* Plans by chunk: whole, or the shorter last one. */
enum { LCE_WHOLE, LCE_LAST, LCE_LENGTHS };

/* Scratch begins with the logits of a chunk; then the losses of the N rows (8 bytes each), the F32 sum
 * of dw where dw is narrower, and what the products use. */
typedef struct LinearCrossEntropyPlan {
    int64_t chunk; // rows; 0: there are no rows
    GemmPlan *logits[LCE_LENGTHS], *dx[LCE_LENGTHS], *dw[LCE_LENGTHS];
    GemmPlan *first_dw; // of the first of several chunks, where that overwrites
    size_t logits_bytes, losses_bytes, wide_bytes;
} LinearCrossEntropyPlan;

/* Makes and frees c->plan, for any device. */
MUST_CHECK Status linear_cross_entropy_plan(Call *c);
void linear_cross_entropy_free(Call *c);

/* Whether a call writes gradients; the matrix of those of the logits. */
bool linear_cross_entropy_gives(const Call *c);
GemmMatrix linear_cross_entropy_dlogits(const Call *c, bool transposed);

void *linear_cross_entropy_losses(const Call *c); // of the rows, in scratch
float *linear_cross_entropy_wide(const Call *c);  // sum of dw, in scratch; NULL: dw itself is F32

/* Does rows [from, from + count) of the logits that scratch holds: in forward their losses and lse,
 * and where the call gives gradients those of the logits. */
typedef void (*LinearCrossEntropyRows)(const Call *c, int64_t from, int64_t count);

/* All chunks in order. */
void linear_cross_entropy_run(Call *c, LinearCrossEntropyRows rows);

#ifdef __cplusplus
}
#endif
#endif
