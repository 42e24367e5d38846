/* rope.h - the frequencies of rotary position embedding (Su et al. 2021), for the CPU and for CUDA.
 *
 * Pair i of a head turns by position * frequency[i]. Of R rotary columns, with base theta,
 *
 *   f[i] = theta^(-2 i / R)
 *
 *   default    f
 *   linear     f / factor                                             (Chen et al. 2023)
 *   dynamic    f with theta (factor L / M - (factor - 1))^(R / (R - 2)) for a sequence whose length L
 *              is beyond M = max_positions
 *   yarn       f / factor where a pair turns less than beta_slow times in original_positions, f where
 *              more than beta_fast times, between them a ramp over i  (Peng et al. 2023)
 *   llama3     the same idea with the ramp over the number of turns   (Llama 3.1)
 *   longrope   f / table[0][i]; table[1][i] where L > original_positions  (Ding et al. 2024)
 *   table      table[i] itself
 *
 * cos and sin are multiplied by `magnitude` (yarn and longrope, else 1). L is the position of a
 * sequence's last row plus one: what a sequence gets does not depend on its neighbours in a batch.
 *
 * Angles are fractions of a full turn in 64 bits: position times `turn` overflows by whole turns,
 * so they are exact at every position.
 */
#ifndef KERNELS_ROPE_H
#define KERNELS_ROPE_H

#include "kernels/ops.h"

#include <math.h>

#ifdef __CUDACC__
#define ROPE_BOTH static inline __host__ __device__
#else
#define ROPE_BOTH static inline
#endif

enum { ROPE_X, ROPE_POSITION, ROPE_OFFSETS, ROPE_TABLE }; // c->in[]
enum { ROPE_PAIRS = 512 };                                // most pairs of a head

#ifdef __cplusplus
extern "C" {
#endif

/* What RopeArgs come to, in the units that the kernels use. */
typedef struct RopeRule {
    RopeForm form;
    RopeScaling scaling;
    int64_t heads, width; // heads that turn; columns of a head
    int pairs;            // of a head that turn
    float magnitude;
    double theta, factor;
    double low, high; // of the ramp: yarn's over i, llama3's over turns in original_positions
    double max_positions, original_positions;
    bool by_length; // frequencies depend on the length of the sequence
} RopeRule;

/* args must have passed op_rope()'s shape rule; columns: of x. */
RopeRule rope_rule(const RopeArgs *args, int64_t columns);

/* Radians a position of pair i in a sequence of `length`. table: as op_rope() takes it, or NULL. */
ROPE_BOTH double rope_frequency(const RopeRule *r, int i, int64_t length, const float *table)
{
    const double share = 2.0 * i / (2.0 * r->pairs);
    double theta = r->theta;

    if (r->scaling == ROPE_FREQUENCIES)
        return (double)table[i];
    if (r->scaling == ROPE_DYNAMIC && (double)length > r->max_positions)
        theta *= pow(r->factor * (double)length / r->max_positions - (r->factor - 1),
                     r->pairs / (r->pairs - 1.0));
    const double f = pow(theta, -share);
    if (r->scaling == ROPE_LINEAR)
        return f / r->factor;
    if (r->scaling == ROPE_LONGROPE)
        return f / (double)table[(double)length > r->original_positions ? r->pairs + i : i];
    if (r->scaling != ROPE_YARN && r->scaling != ROPE_LLAMA3)
        return f;
    const double at =
        r->scaling == ROPE_YARN ? i : r->original_positions * f / 6.283185307179586476925;
    const double ramp = (at - r->low) / (r->high - r->low);
    const double bounded = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
    const double kept = r->scaling == ROPE_YARN ? 1 - bounded : bounded;
    return f / r->factor * (1 - kept) + f * kept;
}

/* The same in turns, times 2^64; whole turns fall away. */
ROPE_BOTH uint64_t rope_turn(double frequency)
{
    const double turns = frequency * 0.15915494309189533577; // 1 / (2 pi)
    const double part = turns - floor(turns);

    return (uint64_t)(part * 4294967296.0 * 4294967296.0);
}

/* cos and sin of the angle `turn` * position. */
ROPE_BOTH void rope_cos_sin(uint64_t turn, int32_t position, float *cos, float *sin)
{
    const uint32_t part = (uint32_t)(turn * (uint64_t)(int64_t)position >> 32);
    const uint32_t quarter = (part + 0x20000000u) >> 30; // 0..4, to the nearest
    const float x = (float)(int32_t)(part - (quarter << 30)) * 1.46291807926715968e-9f; // 2 pi/2^32
    const float z = x * x;
    const float s = x + x * z * (-0.166666552f + z * (0.0083321603f + z * -0.00019515217f));
    const float c =
        1 - 0.5f * z + z * z * (0.0416666456f + z * (-0.00138873153f + z * 2.44330822e-5f));
    const float near = quarter & 1 ? s : c, other = quarter & 1 ? c : s;

    *cos = (quarter + 1) & 2 ? -near : near;
    *sin = quarter & 2 ? -other : other;
}

#ifdef __cplusplus
}
#endif

#endif
