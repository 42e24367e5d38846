/* gelu.h - the two forms of GELU over a stretch of a row; shared by gelu.c and linear.c.
 *
 *   erf   y = x P(x),  P(x) = (1 + erf(x / sqrt 2)) / 2       dy/dx = P(x) + x p(x)
 *   tanh  y = x S,     S = (1 + tanh u) / 2 = 1 / (1 + e^-2u)  dy/dx = S + x S (1 - S) 2 u'
 *         u = sqrt(2 / pi) (x + 0.044715 x^3)
 *
 * The first comes from its lower tail, P(-|x|) = e^(-x x / 2) q(1 / (1 + 0.42 |x| / sqrt 2)), q a
 * polynomial fitted to 1e-7 (relative). So tails are right too, and one exponential serves P and p:
 *
 *   y = max(x, 0) - |x| P(-|x|)      dy/dx at -|x| = P(-|x|) - |x| p(x), at |x| one less that
 */
#ifndef KERNELS_GELU_H
#define KERNELS_GELU_H

#include "kernels/ops.h"
#include "kernels/vector.h"

/* |x|, but 13 where it is more: both tails are then below 1e-36, and the exponent holds. NaN stays. */
VECTOR_INLINE float gelu_distance(float x)
{
    const float a = __builtin_fabsf(x);

    return vector_choose(a > 13, 13, a);
}

/* P(-a), and in *bell e^(-a a / 2), a from gelu_distance(). */
VECTOR_INLINE float gelu_tail(float a, float *bell)
{
    const float v = a * a * -0.72134752f; // the power of two
    const float shifted = v + 0x1.8p23f, f = v - (shifted - 0x1.8p23f);
    float e = __builtin_fmaf(f, 0.00132762409f, 0.00967576978f);
    e = __builtin_fmaf(e, f, 0.055507157f);
    e = __builtin_fmaf(e, f, 0.240221155f);
    e = __builtin_fmaf(e, f, 0.693146964f);
    e = __builtin_fmaf(e, f, 1.00000007f);
    uint32_t bits, whole;
    memcpy(&bits, &e, sizeof bits);
    memcpy(&whole, &shifted, sizeof whole);
    *bell = vector_bits(bits + (whole << 23));
    const float t = 1 / __builtin_fmaf(a, 0.42f * 0.70710678f, 1);
    float q = __builtin_fmaf(t, 0.036487981f, -0.165972113f);
    q = __builtin_fmaf(q, t, 0.230660196f);
    q = __builtin_fmaf(q, t, -0.0750427497f);
    q = __builtin_fmaf(q, t, 0.139720255f);
    q = __builtin_fmaf(q, t, 0.0956785602f);
    q = __builtin_fmaf(q, t, 0.120075068f);
    q = __builtin_fmaf(q, t, 0.118392756f);
    return q * t * *bell;
}

/* S at x, and 1 - S in *rest, which the subtraction would lose. */
VECTOR_INLINE float gelu_sigmoid(float x, float *rest)
{
    const float u2 = 1.5957691216f * __builtin_fmaf(0.044715f * x * x, x, x);
    const float e = vector_exp(vector_choose(u2 < -80, 80, -u2)), s = 1 / (1 + e);

    *rest = e * s;
    return s;
}

/* y[i] = gelu(x[i]); y may be x. */
VECTOR_INLINE void gelu_value(Activation form, float *y, const float *x, int64_t n)
{
    if (form == ACTIVATION_GELU) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            float bell;
            const float a = gelu_distance(x[i]), tail = gelu_tail(a, &bell);
            y[i] = __builtin_fmaf(-a, tail, vector_choose(x[i] > 0, x[i], 0));
        }
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            float rest;
            y[i] = x[i] * gelu_sigmoid(x[i], &rest);
        }
    }
}

/* dx[i] = dy[i] times the slope at x[i]; dx may be dy or x. */
VECTOR_INLINE void gelu_slope(Activation form, float *dx, const float *dy, const float *x,
                              int64_t n)
{
    if (form == ACTIVATION_GELU) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            float bell;
            const float a = gelu_distance(x[i]), tail = gelu_tail(a, &bell);
            const float low = __builtin_fmaf(a * bell, -0.39894228f, tail);
            dx[i] = dy[i] * vector_choose(x[i] < 0, low, 1 - low);
        }
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) {
            float rest;
            const float s = gelu_sigmoid(x[i], &rest);
            const float u2 = 1.5957691216f * __builtin_fmaf(3 * 0.044715f * x[i], x[i], 1);
            dx[i] = dy[i] * __builtin_fmaf(x[i] * s * rest, u2, s);
        }
    }
}

#endif
