/* half.h - one number between F32 and the 16-bit storage types: BF16 (the upper half of an F32) and
 * F16 (IEEE 754 binary16). Rounding is to nearest, ties to even; NaN stays NaN. */
#ifndef RUNTIME_HALF_H
#define RUNTIME_HALF_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

static inline float float_from_bf16(uint16_t h)
{
    const uint32_t bits = (uint32_t)h << 16;
    float f;

    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint16_t bf16_from_float(float f)
{
    uint32_t bits;

    memcpy(&bits, &f, sizeof bits);
    const uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1)) >> 16;
    return (uint16_t)(f != f ? (bits >> 16) | 0x40u : rounded);
}

static inline float float_from_f16(uint16_t h)
{
    return _cvtsh_ss(h);
}

static inline uint16_t f16_from_float(float f)
{
    return _cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT);
}

#endif
