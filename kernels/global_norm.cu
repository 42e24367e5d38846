/* global_norm.cu - CUDA twin of global_norm.c, in two launches.
 *
 *   norm_slices  a block sums the squares of a slice of NORM_SLICE elements in double precision
 *   norm_decide  one block adds the slices and decides whether and how this update counts
 *
 * Slices are fixed by the length and every sum has a fixed order: same input, same bits. Nothing
 * comes back to the host.
 */
#include "kernels/elementwise.cuh"
#include "kernels/global_norm.h"
#include "kernels/rows.cuh"

#include <float.h>

enum { NORM_SLICE = 1 << 14, NORM_BLOCK = 256, NORM_RUN = 4, NORM_WARPS = NORM_BLOCK / WARP };

static __global__ void norm_slices(double *sums, const float *gradient, int64_t P, bool wide)
{
    __shared__ double part[NORM_WARPS];
    const int64_t start = (int64_t)blockIdx.x * NORM_SLICE;
    const int64_t stop = P - start < NORM_SLICE ? P : start + NORM_SLICE;
    double sum = 0;

#pragma unroll 4
    for (int64_t i = start + threadIdx.x * NORM_RUN; i < stop; i += NORM_BLOCK * NORM_RUN) {
        float x[NORM_RUN];
        run_load(x, gradient + i, stop - i < NORM_RUN ? (int)(stop - i) : NORM_RUN, wide);
#pragma unroll
        for (int k = 0; k < NORM_RUN; k++)
            sum += (double)x[k] * (double)x[k];
    }
    sum = team_sum<NORM_BLOCK>(sum, part);
    if (threadIdx.x == 0)
        sums[blockIdx.x] = sum;
}

/* Halves the scale on overflow, doubles it after growth_interval good updates. */
static __device__ void norm_adapt_scale(float *training, int32_t *counters, int growth_interval,
                                        bool good)
{
    const float scale = training[TRAINING_LOSS_SCALE];

    if (growth_interval <= 0)
        return;
    if (!good) {
        training[TRAINING_LOSS_SCALE] = scale / 2 > FLT_MIN ? scale / 2 : FLT_MIN;
        counters[TRAINING_GROWTH] = 0;
    } else if (++counters[TRAINING_GROWTH] >= growth_interval) {
        training[TRAINING_LOSS_SCALE] = scale * 2 <= FLT_MAX ? scale * 2 : scale;
        counters[TRAINING_GROWTH] = 0;
    }
}

static __global__ void norm_decide(float *training, int32_t *counters, const double *sums,
                                   int64_t slices, GlobalNormArgs args)
{
    __shared__ double part[NORM_WARPS];
    double total = 0;

    for (int64_t s = threadIdx.x; s < slices; s += NORM_BLOCK)
        total += sums[s];
    total = team_sum<NORM_BLOCK>(total, part);
    if (threadIdx.x != 0)
        return;
    if (!(training[TRAINING_LOSS_SCALE] > 0)) // a fresh state arena holds zeros
        training[TRAINING_LOSS_SCALE] = 1;
    const double scale = training[TRAINING_LOSS_SCALE], max = args.max_norm;
    const double norm = sqrt(total) / scale;
    const bool good = (float)norm <= FLT_MAX;
    const double clip = max > 0 && norm + 1e-6 > max ? max / (norm + 1e-6) : 1;
    training[TRAINING_GRADIENT_NORM] = (float)norm;
    training[TRAINING_GRADIENT_FACTOR] = good ? (float)(clip / scale) : 0;
    counters[good ? TRAINING_APPLIED : TRAINING_SKIPPED]++;
    norm_adapt_scale(training, counters, args.growth_interval, good);
}

extern "C" Status global_norm_prepare_cuda(Call *c)
{
    const int64_t P = tensor_size(c->in[GRADIENT]);

    c->scratch_bytes = (size_t)blocks_for(P, NORM_SLICE) * sizeof(double);
    return OK;
}

extern "C" void global_norm_forward_cuda(Call *c)
{
    const Tensor *gradient = c->in[GRADIENT];
    const int64_t P = tensor_size(gradient);
    const unsigned slices = blocks_for(P, NORM_SLICE);
    double *sums = static_cast<double *>(c->scratch);

    if (slices > 0)
        LAUNCH(norm_slices, slices, NORM_BLOCK, 0, call_stream(c), sums, data<float>(gradient), P,
               elementwise_wide(gradient, 1, NORM_RUN));
    LAUNCH(norm_decide, 1, NORM_BLOCK, 0, call_stream(c), data<float>(c->in[TRAINING]),
           data<int32_t>(c->in[COUNTERS]), sums, (int64_t)slices,
           *static_cast<const GlobalNormArgs *>(c->args));
}
