/* limits.h - what this machine can do, measured now. */
#ifndef BENCH_LIMITS_H
#define BENCH_LIMITS_H

typedef struct Limits {
    double copy; // bytes/s, read and written, of a copy much larger than the caches
    double f32;  // FLOP/s of F32 fused multiply-adds that stay in registers
    double bf16; // FLOP/s of BF16 dot products, as f32 where the processor has none
} Limits;

/* A clock that only runs forward: of the wall, or of this process's work on all its processors. */
typedef enum { WALL_TIME, CPU_TIME } Clock;
double seconds_now(Clock clock);

Limits limits_measure(int threads, Clock clock);

#endif
