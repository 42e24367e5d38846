/* limits.h - what this machine can do, measured now. */
#ifndef BENCH_LIMITS_H
#define BENCH_LIMITS_H

#include "bench/bench.h"

typedef struct Limits {
    double copy;              // bytes/s, read and written, of a copy much larger than the caches
    double rate[DTYPE_COUNT]; // FLOP/s of products of that storage type; 0: not measured
} Limits;

/* On a card: the best of several copies, and a large product by the library. On the CPU: the better
 * of such a product and of multiply-adds that stay in registers. */
MUST_CHECK Status limits_measure(Bench *b, Limits *out);

/* Of the processor: a copy by all threads; F32 fused multiply-adds; BF16 dot products (0 where it
 * has none). */
double cpu_copy(int threads, int tries);
double cpu_f32_rate(int threads, int tries);
double cpu_bf16_rate(int threads, int tries);

size_t cpu_cache(void); // bytes of the last level, as the kernel tells; 32 MiB where it does not

#endif
