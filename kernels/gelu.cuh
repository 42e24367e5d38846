/* gelu.cuh - the two forms of GELU and their slopes, of one number; shared by gelu.cu and linear.cu.
 * The formulas are in gelu.h; P(-|x|) is erfc(|x| / sqrt 2) / 2. */
#ifndef KERNELS_GELU_CUH
#define KERNELS_GELU_CUH

#include "kernels/gpu.cuh"

/* |x|, but 13 where it is more: both tails are then below 1e-36. NaN stays. */
static __device__ __forceinline__ float gelu_distance(float x)
{
    const float a = fabsf(x);

    return a > 13.0f ? 13.0f : a;
}

/* S at x, and 1 - S in *rest, which the subtraction would lose. */
static __device__ __forceinline__ float gelu_sigmoid(float x, float *rest)
{
    const float u2 = 1.5957691216f * fmaf(0.044715f * x * x, x, x);
    const float e = expf(u2 < -80.0f ? 80.0f : -u2), s = 1.0f / (1.0f + e);

    *rest = e * s;
    return s;
}

static __device__ __forceinline__ float gelu_value(Activation form, float x)
{
    if (form == ACTIVATION_GELU) {
        const float a = gelu_distance(x);
        return fmaf(-a, 0.5f * erfcf(a * 0.70710678f), x > 0.0f ? x : 0.0f);
    }
    float rest;
    return x * gelu_sigmoid(x, &rest);
}

static __device__ __forceinline__ float gelu_slope(Activation form, float x)
{
    if (form == ACTIVATION_GELU) {
        const float a = gelu_distance(x);
        const float low =
            fmaf(a * expf(-0.5f * a * a), -0.39894228f, 0.5f * erfcf(a * 0.70710678f));
        return x < 0.0f ? low : 1.0f - low;
    }
    float rest;
    const float s = gelu_sigmoid(x, &rest);
    return fmaf(x * s * rest, 1.5957691216f * fmaf(3.0f * 0.044715f * x, x, 1.0f), s);
}

/* gelu_value() as elementwise() takes it. */
struct Gelu {
    static const int INPUTS = 1;
    Activation form;

    __device__ __forceinline__ float operator()(float x) const
    {
        return gelu_value(form, x);
    }
};

#endif
