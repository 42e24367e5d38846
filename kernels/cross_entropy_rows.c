/* cross_entropy_rows.c - rows of logits on the CPU; formulas: cross_entropy.h. */
#include "kernels/cross_entropy.h"
#include "kernels/vector.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

Status cross_entropy_fits(const Call *c, CrossEntropyArgs args, int64_t V)
{
    if (args.classes < 0 || args.classes > V)
        return fail(E_SHAPE, "%s: %" PRId64 " classes in rows of %" PRId64, c->op->name,
                    args.classes, V);
    if (!(args.label_smoothing >= 0 && args.label_smoothing <= 1))
        return fail(E_SHAPE, "%s: label smoothing is %g, expected 0 to 1", c->op->name,
                    (double)args.label_smoothing);
    return OK;
}

CrossEntropyRule cross_entropy_rule(CrossEntropyArgs args, int64_t V, const Tensor *target,
                                    const Tensor *offsets, const Tensor *scalars)
{
    return (CrossEntropyRule){
        .rows = ((const int32_t *)offsets->data)[tensor_size(offsets) - 1],
        .K = args.classes > 0 ? args.classes : V,
        .target = target->data,
        .weight = ((const float *)scalars->data)[STEP_TARGET_WEIGHT],
        .smoothing = args.label_smoothing,
    };
}

bool cross_entropy_counts(const CrossEntropyRule *r, int64_t n)
{
    return n < r->rows && r->target[n] >= 0 && r->target[n] < r->K;
}

typedef struct RowLoss {
    float largest, lse, mean, target; // of the logits; mean only where there is smoothing
} RowLoss;

CLONES static RowLoss loss_row(const Tensor *x, int64_t n, int64_t K, int64_t t, bool smooth)
{
    float room[VECTOR_STRETCH], largest = -INFINITY;
    double total = 0, sum = 0;

    for (int64_t i = 0; i < K; i += VECTOR_STRETCH) {
        const int64_t part = vector_stretch(K - i);
        const float most = vector_max(vector_read(vector_at(x, n, i), x->dtype, part, room), part);
        largest = most > largest ? most : largest;
    }
    for (int64_t i = 0; i < K; i += VECTOR_STRETCH) {
        const int64_t part = vector_stretch(K - i);
        const float *xi = vector_read(vector_at(x, n, i), x->dtype, part, room);
        float e = 0;
#pragma omp simd reduction(+ : e)
        for (int64_t k = 0; k < part; k++)
            e += vector_exp(xi[k] - largest);
        total += (double)e;
        if (smooth)
            sum += (double)vector_sum(xi, part);
    }
    float one[1];
    return (RowLoss){
        .largest = largest,
        .lse = largest + logf((float)total),
        .mean = (float)(sum / (double)K),
        .target = *vector_read(vector_at(x, n, t), x->dtype, 1, one),
    };
}

double cross_entropy_loss(const CrossEntropyRule *r, const Tensor *x, int64_t row, int64_t t,
                          float *lse)
{
    const RowLoss l = loss_row(x, row, r->K, t, r->smoothing > 0);

    *lse = l.lse;
    return (double)l.lse - (1 - (double)r->smoothing) * (double)l.target -
           (double)r->smoothing * (double)l.mean;
}

CLONES void cross_entropy_gradient(const CrossEntropyRule *r, const Tensor *dx, const Tensor *x,
                                   int64_t row, int64_t t, float lse, float weight, bool add)
{
    const int64_t V = tensor_columns(x), K = r->K;
    const float shared = r->smoothing / (float)K;

    for (int64_t i = 0; i < V; i += VECTOR_STRETCH) {
        const int64_t part = vector_stretch(V - i);
        const int64_t counted = K - i < 0 ? 0 : K - i < part ? K - i : part;
        float room[VECTOR_STRETCH], sum[VECTOR_STRETCH];
        void *at = vector_at(dx, row, i);
        const float *xi = vector_read(vector_at(x, row, i), x->dtype, part, room);
        float *d = add ? sum : vector_place(at, dx->dtype, sum);
#pragma omp simd
        for (int64_t k = 0; k < counted; k++)
            d[k] = weight * (vector_exp(xi[k] - lse) - shared);
        for (int64_t k = counted; k < part; k++)
            d[k] = 0;
        if (t >= i && t < i + part)
            d[t - i] -= weight * (1 - r->smoothing);
        if (add)
            vector_give(at, dx->dtype, true, d, part);
        else
            vector_write(at, dx->dtype, d, part);
    }
}

void cross_entropy_clear(const Tensor *dx, int64_t row, bool add)
{
    if (!add)
        memset(tensor_row(dx, row), 0, (size_t)tensor_columns(dx) * dtype_size(dx->dtype));
}
