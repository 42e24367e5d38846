/* gelu.h - the two forms of GELU over a stretch of a row; shared by gelu.c and linear.c.
 *
 *   erf   y = x P(x),  P(x) = (1 + erf(x / sqrt 2)) / 2       dy/dx = P(x) + x p(x)
 *   tanh  y = x S,     S = (1 + tanh u) / 2 = 1 / (1 + e^-2u)  dy/dx = S + x S (1 - S) 2 u'
 *         u = sqrt(2 / pi) (x + 0.044715 x^3)
 *
 * P comes from erfc(z) = e^(-z z) q(1 / (1 + 0.3 z)), z = |x| / sqrt 2, q a polynomial fitted to
 * 2e-8 (relative), so the tails are right too and one exponential serves P and p.
 */
#ifndef KERNELS_GELU_H
#define KERNELS_GELU_H

#include "kernels/ops.h"
#include "kernels/vector.h"

/* P(x), and in *bell e^(-x x / 2). */
VECTOR_INLINE float gelu_normal(float x, float *bell)
{
    const float t = 1 / __builtin_fmaf(__builtin_fabsf(x), 0.3f * 0.70710678f, 1);
    float q = __builtin_fmaf(t, -0.129523139f, 0.485564416f);
    q = __builtin_fmaf(q, t, -0.51228074f);
    q = __builtin_fmaf(q, t, 0.547723274f);
    q = __builtin_fmaf(q, t, -0.0946531386f);
    q = __builtin_fmaf(q, t, 0.214927171f);
    q = __builtin_fmaf(q, t, 0.14833886f);
    q = __builtin_fmaf(q, t, 0.170715275f);
    q = __builtin_fmaf(q, t, 0.169188002f);
    *bell = vector_exp(-0.5f * x * x);
    const float tail = 0.5f * q * t * *bell;
    return x < 0 ? tail : 1 - tail;
}

/* S at x, and 1 - S in *rest, which the subtraction would lose. */
VECTOR_INLINE float gelu_sigmoid(float x, float *rest)
{
    const float u2 = 1.5957691216f * __builtin_fmaf(0.044715f * x * x, x, x);
    const float e = vector_exp(u2 < -80 ? 80 : -u2), s = 1 / (1 + e);

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
            y[i] = x[i] * gelu_normal(x[i], &bell);
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
            const float p = gelu_normal(x[i], &bell);
            dx[i] = dy[i] * __builtin_fmaf(x[i] * bell, 0.39894228f, p);
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
