/* cross_entropy.cuh - the rows of logits that cross_entropy and linear_cross_entropy share, on CUDA;
 * formulas: cross_entropy.h. */
#ifndef KERNELS_CROSS_ENTROPY_CUH
#define KERNELS_CROSS_ENTROPY_CUH

#include "kernels/loss.cuh"
#include "kernels/rows.cuh"

/* Turns logits of a row into their gradients; columns from K on get zero. */
struct LogitSlope {
    int64_t K, target;
    float lse, weight, shared, hit;

    /* i: the column of the cell's first element. */
    template <typename Cell>
    __device__ __forceinline__ void turn(Cell &cell, int64_t i) const
    {
#pragma unroll
        for (int j = 0; j < Cell::SIZE; j++) {
            const float d = i + j < K ? weight * (expf(cell.value[j] - lse) - shared) : 0;
            cell.value[j] = i + j == target ? d - hit : d;
        }
    }
};

/* What every row needs to know. */
struct LossRule {
    const int32_t *target, *offsets;
    int64_t K, B;
    const float *scalars, *seed; // seed: the gradient of the loss, or NULL
    float smoothing;

    /* Whether row n of the batch has a target. */
    __device__ __forceinline__ bool counts(int64_t n) const
    {
        return n < offsets[B] && target[n] >= 0 && target[n] < K;
    }
    __device__ __forceinline__ LogitSlope slope(int64_t n, float lse) const
    {
        const float weight = scalars[STEP_TARGET_WEIGHT] * loss_seed(seed);

        return LogitSlope{
            K, target[n], lse, weight, smoothing / (float)K, weight * (1 - smoothing)};
    }
};

struct RowLoss {
    float loss, lse; // loss: before the weight; only the first thread of the team knows it
};

/* Of row n, whose logits are at x. All threads of the team call it; when it returns they may still be
 * reading. part: three times as for team_sum(). */
template <int TEAM, typename T>
__device__ __forceinline__ RowLoss row_loss(const LossRule &r, const T *x, int64_t n,
                                            float (*part)[Team<TEAM>::WARPS])
{
    float sum = 0, aim = 0;
    Softmax s;

    if (Team<TEAM>::rank() == 0)
        aim = to_float(x[r.target[n]]);
    row_visit<TEAM>(x, r.K, true, [&](int64_t i, auto cell) {
        cell.load(x + i);
        s.take(cell);
        if (r.smoothing > 0)
#pragma unroll
            for (int j = 0; j < cell.SIZE; j++)
                sum += cell.value[j];
    });
    s.template join<TEAM>(part);
    const float mean = r.smoothing > 0 ? team_sum<TEAM>(sum, part[2]) / (float)r.K : 0;
    const float smooth = r.smoothing > 0 ? r.smoothing * (s.most - mean) : 0;

    // differences first: large logits cost no digits
    return RowLoss{logf(s.total) + (1 - r.smoothing) * (s.most - aim) + smooth,
                   s.most + logf(s.total)};
}

/* ---- on the host ---- */

/* V: columns of the logits, which are the classes where args name none. */
static inline LossRule loss_rule(const Call *c, CrossEntropyArgs args, int64_t V,
                                 const Tensor *target, const Tensor *offsets, const Tensor *scalars)
{
    return LossRule{data<const int32_t>(target),
                    data<const int32_t>(offsets),
                    args.classes > 0 ? args.classes : V,
                    tensor_size(offsets) - 1,
                    data<const float>(scalars),
                    data<const float>(c->dout[0]),
                    args.label_smoothing};
}

#endif
