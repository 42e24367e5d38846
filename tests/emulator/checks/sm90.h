/* sm90.h - what the checks of kernels/sm90.cuh share: whole numbers so small that every sum of their
 * products is exact, and sums put in order.
 */
#ifndef TESTS_EMULATOR_CHECKS_SM90_H
#define TESTS_EMULATOR_CHECKS_SM90_H

#include "tests/emulator/checks/checks.h"

#include "kernels/sm90.cuh"

enum { GROUP = 128 }; // threads of a warpgroup

/* Else says so. */
static bool card_is_sm90(void)
{
    int major = 0, minor = 0;

    const cudaError_t refused =
        cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0);
    if (refused || cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0))
        printf("skipped: %s\n", cudaGetErrorString(refused));
    else if (major != 9 || minor != 0)
        printf("skipped: wants a card of compute capability 9.0, this is %d.%d\n", major, minor);
    return major == 9 && minor == 0;
}

static int number(int i, int salt)
{
    return (int)((unsigned)(i * 2654435761u + (unsigned)salt * 40503u) >> 13) % 9 - 4;
}

template <typename T>
static std::vector<T> numbers(int count, int salt)
{
    std::vector<T> values;
    for (int i = 0; i < count; i++)
        values.push_back((T)(float)number(i, salt));
    return values;
}

template <typename F>
static void allow_shared(F kernel, int bytes)
{
    CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes) ==
          cudaSuccess);
}

/* d[n][e] of this thread to out [64, 8 * N]. */
template <int N>
__device__ void fragment_store(float *out, const float (&d)[N][4])
{
    const int i = (int)threadIdx.x % GROUP, row = i / 32 * 16 + i % 32 / 4, column = i % 4 * 2;
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int e = 0; e < 4; e++)
            out[(row + e / 2 * 8) * 8 * N + 8 * n + column + e % 2] = d[n][e];
}

#endif
