/* cross_entropy.h - the rows of logits that cross_entropy and linear_cross_entropy share, on the CPU.
 *
 * With K classes, e the label smoothing and t the target of a row of logits x:
 *
 *   lse  = log(sum over k of exp(x[k]))
 *   loss = weight * sum over rows of lse - (1 - e) x[t] - e mean(x)
 *   dx   = weight * dloss * (exp(x - lse) - (1 - e) [k = t] - e / K)
 *
 * Rows without a valid target count nothing.
 */
#ifndef KERNELS_CROSS_ENTROPY_H
#define KERNELS_CROSS_ENTROPY_H

#include "kernels/ops.h"

/* What every row needs to know. */
typedef struct CrossEntropyRule {
    int64_t rows, K; // true count, classes
    const int32_t *target;
    float weight, smoothing;
} CrossEntropyRule;

/* V: columns of the logits, which are the classes where args name none. */
CrossEntropyRule cross_entropy_rule(CrossEntropyArgs args, int64_t V, const Tensor *target,
                                    const Tensor *offsets, const Tensor *scalars);

/* Checks classes and smoothing of a call whose logits have V columns. */
MUST_CHECK Status cross_entropy_fits(const Call *c, CrossEntropyArgs args, int64_t V);

/* Whether row n of the batch has a target. */
bool cross_entropy_counts(const CrossEntropyRule *r, int64_t n);

/* The loss of `row` of x with target t, before the weight. */
double cross_entropy_loss(const CrossEntropyRule *r, const Tensor *x, int64_t row, int64_t t,
                          float *lse);

/* dx of `row` from that row of x, times `weight`; columns from K on get zero. The two may be the
 * same memory, also where dx has a narrower type (its rows then begin where those of x begin). */
void cross_entropy_gradient(const CrossEntropyRule *r, const Tensor *dx, const Tensor *x,
                            int64_t row, int64_t t, float lse, float weight, bool add);

/* Of a row that does not count. */
void cross_entropy_clear(const Tensor *dx, int64_t row, bool add);

#endif
