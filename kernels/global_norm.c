/* global_norm.c - the norm of a flat gradient, and whether this update counts.
 *
 * The sum of squares is taken in double precision, in slices of NORM_SLICE elements that are then
 * added in their order: the bits do not depend on the number of threads. */
#include "kernels/global_norm.h"

#include "kernels/inputs.h"
#include "kernels/ops.h"
#include "kernels/vector.h"

#include <float.h>

enum { NORM_SLICE = 1 << 16 };

static int64_t slices_of(const Call *c)
{
    return (tensor_size(c->in[GRADIENT]) + NORM_SLICE - 1) / NORM_SLICE;
}

static Status global_norm_shape(Call *c)
{
    const GlobalNormArgs *args = c->args;
    Status s = input_f32(c, GRADIENT, 0, "gradient");

    if (!s)
        s = input_f32(c, TRAINING, TRAINING_SCALARS, "training");
    if (!s)
        s = input_integers(c, COUNTERS, TRAINING_INTEGERS, "counters");
    if (!s && !(args->max_norm >= 0))
        s = fail(E_CONFIG, "global_norm: max_norm is %g, expected 0 (no clipping) or more",
                 (double)args->max_norm);
    return s;
}

static Status global_norm_prepare_cpu(Call *c)
{
    c->scratch_bytes = (size_t)slices_of(c) * sizeof(double);
    return OK;
}

/* In four sums side by side: one alone would wait for each addition before the next. */
VECTOR_INLINE double sum_squares(const float *x, int64_t n)
{
    const int64_t q = n / 4;
    const float *x1 = x + q, *x2 = x + 2 * q, *x3 = x + 3 * q;
    double sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;

#pragma omp simd reduction(+ : sum0, sum1, sum2, sum3)
    for (int64_t i = 0; i < q; i++) {
        sum0 += (double)x[i] * (double)x[i];
        sum1 += (double)x1[i] * (double)x1[i];
        sum2 += (double)x2[i] * (double)x2[i];
        sum3 += (double)x3[i] * (double)x3[i];
    }
    for (int64_t i = 4 * q; i < n; i++)
        sum0 += (double)x[i] * (double)x[i];
    return (sum0 + sum1) + (sum2 + sum3);
}

CLONES static void sum_slices(const Call *c, double *sums)
{
    const float *gradient = c->in[GRADIENT]->data;
    const int64_t P = tensor_size(c->in[GRADIENT]), slices = slices_of(c);

#pragma omp parallel for num_threads(vector_threads(c->device, P)) schedule(static)
    for (int64_t s = 0; s < slices; s++) {
        const float *x = gradient + s * NORM_SLICE;
        const int64_t n = P - s * NORM_SLICE < NORM_SLICE ? P - s * NORM_SLICE : NORM_SLICE;
        sums[s] = sum_squares(x, n);
    }
}

/* Halves the scale on overflow, doubles it after growth_interval good updates. */
static void adapt_scale(float *training, int32_t *counters, int growth_interval, bool good)
{
    float *scale = &training[TRAINING_LOSS_SCALE];

    if (growth_interval <= 0)
        return;
    if (!good) {
        *scale = *scale / 2 > FLT_MIN ? *scale / 2 : FLT_MIN;
        counters[TRAINING_GROWTH] = 0;
    } else if (++counters[TRAINING_GROWTH] >= growth_interval) {
        *scale = *scale * 2 <= FLT_MAX ? *scale * 2 : *scale;
        counters[TRAINING_GROWTH] = 0;
    }
}

static void global_norm_forward_cpu(Call *c)
{
    const GlobalNormArgs *args = c->args;
    float *training = c->in[TRAINING]->data;
    int32_t *counters = c->in[COUNTERS]->data;
    const double *sums = c->scratch;
    double total = 0;

    sum_slices(c, c->scratch);
    for (int64_t s = 0; s < slices_of(c); s++)
        total += sums[s];
    if (!(training[TRAINING_LOSS_SCALE] > 0)) // a fresh state arena holds zeros
        training[TRAINING_LOSS_SCALE] = 1;
    const double scale = (double)training[TRAINING_LOSS_SCALE], max = (double)args->max_norm;
    const double norm = sqrt(total) / scale;
    const bool good = isfinite((float)norm);
    const double clip = max > 0 && norm + 1e-6 > max ? max / (norm + 1e-6) : 1;
    training[TRAINING_GRADIENT_NORM] = (float)norm;
    training[TRAINING_GRADIENT_FACTOR] = good ? (float)(clip / scale) : 0;
    counters[good ? TRAINING_APPLIED : TRAINING_SKIPPED]++;
    adapt_scale(training, counters, args->growth_interval, good);
}

const Op global_norm_op = {
    .name = "global_norm",
    .shape = global_norm_shape,
    .prepare = {global_norm_prepare_cpu, IF_CUDA(global_norm_prepare_cuda)},
    .forward = {global_norm_forward_cpu, IF_CUDA(global_norm_forward_cuda)},
    .scatters = 1u << TRAINING | 1u << COUNTERS,
};

void op_global_norm(Graph *g, Tensor *gradient, Tensor *training, Tensor *counters,
                    GlobalNormArgs args)
{
    graph_record(g, &global_norm_op, INPUTS(gradient, training, counters), &args, sizeof args);
}
