/* loss.cuh - the end of a loss on CUDA: its parts, one for each softmax, added in a fixed order. */
#ifndef KERNELS_LOSS_CUH
#define KERNELS_LOSS_CUH

#include "kernels/gpu.cuh"

enum { LOSS_BLOCK = 1024 }; // threads

/* loss[0] = target weight / share * sum of part[count]; one block, in double precision. */
static __global__ void __launch_bounds__(LOSS_BLOCK)
    loss_fold(float *loss, const float *part, int64_t count, const float *scalars, int64_t share)
{
    __shared__ double sum[LOSS_BLOCK];
    const int t = (int)threadIdx.x;
    double mine = 0;

#pragma unroll 4
    for (int64_t i = t; i < count; i += LOSS_BLOCK)
        mine += (double)part[i];
    sum[t] = mine;
    for (int half = LOSS_BLOCK / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half)
            sum[t] += sum[t + half];
    }
    if (t == 0)
        loss[0] = (float)(sum[0] * (double)(scalars[STEP_TARGET_WEIGHT] / (float)share));
}

/* The gradient of the loss: what *seed holds, 1 where there is none. */
static __device__ __forceinline__ float loss_seed(const float *seed)
{
    return seed ? *seed : 1.0f;
}

#endif
