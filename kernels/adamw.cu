/* adamw.cu - CUDA twin of adamw.c: one launch, every array read and written once.
 *
 * Bias correction is worked out by every block for itself from the counter on the device, so that
 * the launch needs nothing from the host and can be replayed.
 */
#include "kernels/adamw.h"
#include "kernels/elementwise.cuh"

enum { ADAMW_BLOCK = 256, ADAMW_RUN = 4 };
static const unsigned ADAMW_BLOCKS = 2048; // at most; each then works out the correction once

namespace
{

/* What of a Call the kernel reads; P elements. */
template <typename T>
struct AdamwArrays {
    float *w, *m, *v;
    const float *gradient;
    T *copy; // or NULL
    const float *scalars, *training;
    const int32_t *counters;
    int64_t P;
    bool wide; // all are aligned for runs of ADAMW_RUN
};

/* Of one element; w, m and v are renewed. scale: 1 / (1 - beta^t) of m and of v. */
__device__ __forceinline__ void adamw_element(float &w, float &m, float &v, float g,
                                              const AdamwArgs &args, float learning_rate,
                                              const float *scale, float decay)
{
    m = args.beta1 * m + (1 - args.beta1) * g;
    v = args.beta2 * v + (1 - args.beta2) * g * g;
    w -= learning_rate * (m * scale[0] / (sqrtf(v * scale[1]) + args.epsilon) + decay * w);
}

template <typename T>
__global__ void adamw_update(AdamwArrays<T> a, AdamwArgs args)
{
    __shared__ float scale[2];
    const float factor = a.training[TRAINING_GRADIENT_FACTOR];
    const float learning_rate = a.scalars[STEP_LEARNING_RATE];
    const int64_t stride = (int64_t)gridDim.x * blockDim.x * ADAMW_RUN;

    if (!(factor > 0)) // a skipped update leaves everything as it is; no thread goes on
        return;
    if (threadIdx.x < 2) {
        const double t = a.counters[TRAINING_APPLIED];
        const double beta = threadIdx.x ? args.beta2 : args.beta1;
        scale[threadIdx.x] = args.bias_correction && t > 0 ? (float)(1 / (1 - pow(beta, t))) : 1;
    }
    __syncthreads();
    for (int64_t at = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * ADAMW_RUN; at < a.P;
         at += stride) {
        const int n = a.P - at < ADAMW_RUN ? (int)(a.P - at) : ADAMW_RUN;
        float w[ADAMW_RUN], g[ADAMW_RUN], m[ADAMW_RUN], v[ADAMW_RUN];
        run_load(w, a.w + at, n, a.wide);
        run_load(g, a.gradient + at, n, a.wide);
        run_load(m, a.m + at, n, a.wide);
        run_load(v, a.v + at, n, a.wide);
#pragma unroll
        for (int i = 0; i < ADAMW_RUN; i++)
            adamw_element(w[i], m[i], v[i], factor * g[i], args, learning_rate, scale,
                          at + i < args.decayed ? args.weight_decay : 0);
        run_store(a.w + at, w, n, a.wide);
        run_store(a.m + at, m, n, a.wide);
        run_store(a.v + at, v, n, a.wide);
        if (a.copy)
            run_store(a.copy + at, w, n, a.wide);
    }
}

} // namespace

extern "C" void adamw_forward_cuda(Call *c)
{
    const int64_t P = tensor_size(c->in[MASTER]), runs = (P + ADAMW_RUN - 1) / ADAMW_RUN;
    const Tensor *copy = c->in[COPY];
    bool wide = true;

    if (P == 0)
        return;
    for (int i = MASTER; i <= COPY; i++)
        wide = wide && elementwise_wide(c->in[i], 1, ADAMW_RUN);
    with_type(copy ? copy->dtype : F32, [&](auto zero) {
        typedef decltype(zero) T;
        const AdamwArrays<T> arrays = {data<float>(c->in[MASTER]),
                                       data<float>(c->in[M]),
                                       data<float>(c->in[V]),
                                       data<float>(c->in[GRADIENT]),
                                       data<T>(copy),
                                       data<float>(c->in[SCALARS]),
                                       data<float>(c->in[TRAINING]),
                                       data<int32_t>(c->in[COUNTERS]),
                                       P,
                                       wide};
        const unsigned blocks = blocks_for(runs, ADAMW_BLOCK);
        LAUNCH((adamw_update<T>), blocks < ADAMW_BLOCKS ? blocks : ADAMW_BLOCKS, ADAMW_BLOCK, 0,
               call_stream(c), arrays, *static_cast<const AdamwArgs *>(c->args));
    });
}
