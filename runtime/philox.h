/* philox.h - counter-based random numbers: Philox 4x32-10 (Salmon et al. 2011, "Parallel Random
 * Numbers: As Easy as 1, 2, 3").
 *
 * A draw is a pure function of its place. Everywhere in Cairn:
 *
 *   key     = { seed, call site * 65536 + head }           (seed folded to 32 bits: philox_seed())
 *   counter = { column / 4 (in attention: key's position / 4), row's position in its sample (in
 *               attention: query's position), sample's number within the update, update }
 *
 * and the word taken is column % 4. So draws do not depend on device, packing, micro-batches,
 * recomputation or the number of ranks. Parameters are drawn with update = 0xFFFFFFFF.
 */
#ifndef RUNTIME_PHILOX_H
#define RUNTIME_PHILOX_H

#include <stdint.h>

typedef struct Philox {
    uint32_t word[4];
} Philox;

#ifdef __CUDACC__
#define PHILOX_INLINE static __host__ __device__ __forceinline__
#else
#define PHILOX_INLINE static inline
#endif

PHILOX_INLINE Philox philox(uint32_t key0, uint32_t key1, uint32_t c0, uint32_t c1, uint32_t c2,
                            uint32_t c3)
{
    for (int i = 0; i < 10; i++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        const uint32_t d0 = (uint32_t)(p1 >> 32) ^ c1 ^ key0;
        const uint32_t d2 = (uint32_t)(p0 >> 32) ^ c3 ^ key1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = d0;
        c2 = d2;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    Philox r;
    r.word[0] = c0, r.word[1] = c1, r.word[2] = c2, r.word[3] = c3;
    return r;
}

/* Folds a 64-bit seed to 32 bits (the finaliser of splitmix64). */
PHILOX_INLINE uint32_t philox_seed(uint64_t seed)
{
    seed += 0x9E3779B97F4A7C15ull;
    seed = (seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9ull;
    seed = (seed ^ (seed >> 27)) * 0x94D049BB133111EBull;
    return (uint32_t)((seed ^ (seed >> 31)) >> 16);
}

/* Uniform in (0, 1]. */
PHILOX_INLINE float philox_uniform(uint32_t word)
{
    return (float)((word >> 8) + 1) * (1.0f / 16777216.0f);
}

/* Keep an element with probability 1 - p: its word is at least this. */
PHILOX_INLINE uint32_t philox_threshold(float p)
{
    return p >= 1 ? 0xFFFFFFFFu : (uint32_t)((double)p * 4294967296.0);
}

#endif
