/* limits.h - what this machine can do, measured now. */
#ifndef BENCH_LIMITS_H
#define BENCH_LIMITS_H

typedef struct Limits {
    double copy; // bytes/s, read and written, of a copy much larger than the caches
    double f32;  // FLOP/s of F32 fused multiply-adds that stay in registers
    double bf16; // FLOP/s of BF16 dot products, as f32 where the processor has none
} Limits;

Limits limits_measure(int threads);

double seconds_now(void); // of a clock that only runs forward

#endif
