/* limits_cpu.c - copy bandwidth and rates of multiplication of the processor, the best of several
 * tries. */
#include "bench/limits.h"
#include "bench/timing.h"

#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COPY_BYTES = 96 << 20, ROUNDS = 1 << 18, CHAINS = 12 };

/* Each thread copies its part, by the library's copy (which goes past the caches). */
static double copy_once(char *to, const char *from, int threads)
{
    const double start = seconds_now(WALL_TIME);

#pragma omp parallel for num_threads(threads) schedule(static)
    for (int i = 0; i < threads; i++) {
        const size_t part = COPY_BYTES / (size_t)threads / 64 * 64;
        memcpy(to + (size_t)i * part, from + (size_t)i * part, part);
    }
    return 2.0 * COPY_BYTES / (seconds_now(WALL_TIME) - start);
}

double cpu_copy(int threads, int tries)
{
    char *from = aligned_alloc(4096, COPY_BYTES), *to = aligned_alloc(4096, COPY_BYTES);
    double best = 0;

    if (from && to) {
        memset(from, 1, COPY_BYTES);
        memset(to, 2, COPY_BYTES);
        for (int i = 0; i < tries; i++) {
            const double rate = copy_once(to, from, threads);
            best = rate > best ? rate : best;
        }
    }
    free(from);
    free(to);
    return best;
}

/* CHAINS independent sums keep both units busy; the result is returned lest it be left out. */
__attribute__((target("avx512f"))) static float multiply_512(void)
{
    __m512 sum[CHAINS], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(1e-3f);

    for (int k = 0; k < CHAINS; k++)
        sum[k] = _mm512_set1_ps((float)k);
    for (int i = 0; i < ROUNDS; i++)
#pragma GCC unroll 12
        for (int k = 0; k < CHAINS; k++)
            sum[k] = _mm512_fmadd_ps(sum[k], a, b);
    for (int k = 1; k < CHAINS; k++)
        sum[0] = _mm512_add_ps(sum[0], sum[k]);
    return _mm512_reduce_add_ps(sum[0]);
}

static float multiply_256(void)
{
    __m256 sum[CHAINS], a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(1e-3f);

    for (int k = 0; k < CHAINS; k++)
        sum[k] = _mm256_set1_ps((float)k);
    for (int i = 0; i < ROUNDS; i++)
#pragma GCC unroll 12
        for (int k = 0; k < CHAINS; k++)
            sum[k] = _mm256_fmadd_ps(sum[k], a, b);
    for (int k = 1; k < CHAINS; k++)
        sum[0] = _mm256_add_ps(sum[0], sum[k]);
    return _mm256_cvtss_f32(sum[0]);
}

__attribute__((target("avx512f,avx512bf16"))) static float multiply_bf16(void)
{
    __m512 sum[CHAINS];
    const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.25f));

    for (int k = 0; k < CHAINS; k++)
        sum[k] = _mm512_set1_ps((float)k);
    for (int i = 0; i < ROUNDS; i++)
#pragma GCC unroll 12
        for (int k = 0; k < CHAINS; k++)
            sum[k] = _mm512_dpbf16_ps(sum[k], a, a);
    for (int k = 1; k < CHAINS; k++)
        sum[0] = _mm512_add_ps(sum[0], sum[k]);
    return _mm512_reduce_add_ps(sum[0]);
}

static double measure_multiply(int threads, int tries, float (*multiply)(void), int flops)
{
    double best = 0;
    volatile float sink = 0;

    for (int i = 0; i < tries; i++) {
        const double start = seconds_now(WALL_TIME);
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int t = 0; t < threads; t++)
            sink = multiply();
        const double rate =
            (double)threads * ROUNDS * CHAINS * flops / (seconds_now(WALL_TIME) - start);
        best = rate > best ? rate : best;
    }
    (void)sink;
    return best;
}

double cpu_f32_rate(int threads, int tries)
{
    return __builtin_cpu_supports("avx512f") ? measure_multiply(threads, tries, multiply_512, 32)
                                             : measure_multiply(threads, tries, multiply_256, 16);
}

double cpu_bf16_rate(int threads, int tries)
{
    return __builtin_cpu_supports("avx512bf16")
               ? measure_multiply(threads, tries, multiply_bf16, 64)
               : 0;
}

size_t cpu_cache(void)
{
    size_t largest = 0;

    for (int i = 0; i < 8; i++) {
        char path[96];
        size_t kib = 0;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        FILE *f = fopen(path, "r");
        if (f && fscanf(f, "%zuK", &kib) == 1 && kib > largest)
            largest = kib;
        if (f)
            fclose(f);
    }
    return largest ? largest << 10 : (size_t)32 << 20;
}
