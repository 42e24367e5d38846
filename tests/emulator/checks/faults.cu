/* faults.cu - planted faults: `faults NAME` runs one, and the emulator or a sanitizer must end the
 * program with its message; a program that comes to its end says "no complaint". faults.sh knows
 * what is expected of each.
 */
#include "tests/emulator/checks/checks.h"

#include "kernels/sm80.cuh"

#include <cooperative_groups.h>
#include <string.h>

__global__ void hang()
{
    if (threadIdx.x % 32 < 16)
        __shfl_sync(0xFFFFFFFFu, 1, 0);
    else
        __syncthreads();
}

__global__ void two_barriers()
{
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
}

__global__ void bad_mask()
{
    if (threadIdx.x >= 8)
        __shfl_sync(0x0000000Fu, 1, 0);
}

__global__ void absent_lane(int *out)
{
    if (threadIdx.x < 8)
        out[threadIdx.x] = __shfl_sync(0x000000FFu, 1, 9);
}

__global__ void mixed_operations()
{
    if (threadIdx.x < 16)
        __shfl_sync(0xFFFFFFFFu, 1, 0);
    else
        __syncwarp();
}

__global__ void sleep_for_ever(unsigned *flag)
{
    while (atomicAdd(flag, 0u) == 0)
        __nanosleep(100);
}

__global__ void some_blocks_leave(unsigned leaves)
{
    if (blockIdx.x < leaves)
        return;
    cooperative_groups::this_grid().sync();
}

__global__ void trap()
{
    __trap();
}

/* ---- out of bounds, misaligned ---- */

__global__ void beyond_dynamic()
{
    DYNAMIC_SHARED(float, s);

    s[threadIdx.x + 1] = 1;
}

__global__ void beyond_static(float *out, int shift)
{
    __shared__ float s[32];

    s[(int)threadIdx.x + shift] = 1;
    out[threadIdx.x] = s[threadIdx.x];
}

__device__ void store_at(float *part, int i)
{
    part[i] = 1;
}

/* Through a pointer, where the array's size is not known. */
__global__ void beyond_static_pointer(int shift)
{
    __shared__ float part[33];
    __shared__ float next[33];

    store_at(next, (int)threadIdx.x);
    store_at(part, (int)threadIdx.x + shift);
}

__global__ void store_each(float *out)
{
    out[threadIdx.x] = 1;
}

__global__ void misaligned(float *out)
{
    *reinterpret_cast<float4 *>(out + threadIdx.x) = make_float4(0, 0, 0, 0);
}

/* ---- races ---- */

__global__ void no_syncthreads(int *out)
{
    __shared__ int s[64];

    s[threadIdx.x] = (int)threadIdx.x;
    out[threadIdx.x] = s[63 - threadIdx.x];
}

__global__ void no_syncwarp(int *out)
{
    __shared__ int s[32];

    s[threadIdx.x] = (int)threadIdx.x;
    out[threadIdx.x] = s[31 - threadIdx.x];
}

__global__ void block_race(float *sum)
{
    sum[0] = sum[0] + 1;
}

__global__ void no_fence(int *value, unsigned *flag, int *out)
{
    if (threadIdx.x == 0 && atomicAdd(flag, 1u) == 1)
        *out = *value;
    else if (threadIdx.x == 0)
        *value = 7;
}

/* ---- use of what was never written; copies that are not waited for ---- */

__global__ void read_static(float *out)
{
    __shared__ float s[32];

    if (blockIdx.x == 0)
        s[threadIdx.x] = 1;
    __syncthreads();
    out[blockIdx.x * 32 + threadIdx.x] = s[threadIdx.x];
}

__global__ void read_dynamic(float *out)
{
    DYNAMIC_SHARED(float, s);

    out[threadIdx.x] = s[threadIdx.x];
}

__global__ void copy_each(float *out, const float *in)
{
    out[threadIdx.x] = in[threadIdx.x];
}

__global__ void no_copy_wait(float *out, const float *in)
{
    DYNAMIC_SHARED(float, s);

    cp_async_16(s + threadIdx.x * 4, in + threadIdx.x * 4, true);
    cp_async_commit();
    __syncthreads();
    out[threadIdx.x] = s[threadIdx.x];
}

/* Thread 0 waits for its own copies; without a barrier the others' may be missing. */
__global__ void no_copy_barrier(float *out, const float *in)
{
    DYNAMIC_SHARED(float, s);

    cp_async_16(s + threadIdx.x * 4, in + threadIdx.x * 4, true);
    cp_async_commit();
    cp_async_wait<0>();
    out[threadIdx.x] = s[127 - threadIdx.x];
}

/* The second tile goes where others still read the first. */
__global__ void early_copy(float *out, const float *in)
{
    DYNAMIC_SHARED(float, s);

    for (int tile = 0; tile < 2; tile++) {
        cp_async_16(s + threadIdx.x * 4, in + threadIdx.x * 4, true);
        cp_async_commit();
        cp_async_wait<0>();
        __syncthreads();
        out[threadIdx.x] = s[127 - threadIdx.x];
    }
}

__global__ void misaligned_copy(const float *in)
{
    DYNAMIC_SHARED(float, s);

    cp_async_16(s + 1, in, true);
}

__global__ void misaligned_matrix()
{
    DYNAMIC_SHARED(unsigned short, s);
    uint32_t r[4];

    ldmatrix_x4(r, s + 1 + threadIdx.x * 8);
}

/* All NaN: a value that was never written came through. */
static void report_nan(Memory<float> &out, int from)
{
    out.fetch();
    for (size_t i = (size_t)from; i < out.host.size(); i++)
        if (out.host[i] != out.host[i])
            puts("NaN");
}

static void run_waits(const char *name)
{
    const auto is = [name](const char *other) { return !strcmp(name, other); };
    Memory<int> words(64, 0);
    Memory<unsigned> flag(1, 0u);

    if (is("hang"))
        LAUNCH(hang, 1, 64, 0, 0);
    if (is("two_barriers"))
        LAUNCH(two_barriers, 1, 64, 0, 0);
    if (is("bad_mask"))
        LAUNCH(bad_mask, 1, 32, 0, 0);
    if (is("absent_lane"))
        LAUNCH(absent_lane, 1, 32, 0, 0, words.device);
    if (is("mixed_operations"))
        LAUNCH(mixed_operations, 1, 32, 0, 0);
    if (is("sleep_for_ever"))
        LAUNCH(sleep_for_ever, 1, 1, 0, 0, flag.device);
    if (is("some_blocks_leave"))
        LAUNCH_COOPERATIVE(some_blocks_leave, 3, 32, 0, 0, 1u);
    if (is("trap"))
        LAUNCH(trap, 2, 32, 0, 0);
}

static void run_places(const char *name)
{
    const auto is = [name](const char *other) { return !strcmp(name, other); };
    Memory<float> out(32, 0.0f);

    if (is("beyond_dynamic"))
        LAUNCH(beyond_dynamic, 1, 32, 128, 0);
    if (is("beyond_static"))
        LAUNCH(beyond_static, 1, 32, 0, 0, out.device, 1);
    if (is("beyond_static_pointer"))
        LAUNCH(beyond_static_pointer, 1, 32, 0, 0, 2);
    if (is("beyond_global"))
        LAUNCH(store_each, 1, 33, 0, 0, out.device);
    if (is("misaligned"))
        LAUNCH(misaligned, 1, 8, 0, 0, out.device);
    if (is("misaligned_copy"))
        LAUNCH(misaligned_copy, 1, 1, 128, 0, out.device);
    if (is("misaligned_matrix"))
        LAUNCH(misaligned_matrix, 1, 32, 1024, 0);
}

static void run_races(const char *name)
{
    const auto is = [name](const char *other) { return !strcmp(name, other); };
    Memory<int> words(64, 0);
    Memory<float> out(128, 0.0f), in(512, 1.0f);
    Memory<unsigned> flag(1, 0u);

    if (is("no_syncthreads"))
        LAUNCH(no_syncthreads, 1, 64, 0, 0, words.device);
    if (is("no_syncwarp"))
        LAUNCH(no_syncwarp, 1, 32, 0, 0, words.device);
    if (is("block_race"))
        LAUNCH(block_race, 2, 1, 0, 0, out.device);
    if (is("no_fence"))
        LAUNCH(no_fence, 2, 1, 0, 0, words.device, flag.device, words.device + 1);
    if (is("no_copy_barrier"))
        LAUNCH(no_copy_barrier, 1, 128, 2048, 0, out.device, in.device);
    if (is("early_copy"))
        LAUNCH(early_copy, 1, 128, 2048, 0, out.device, in.device);
}

static void run_nans(const char *name)
{
    const auto is = [name](const char *other) { return !strcmp(name, other); };
    Memory<float> out(64, 0.0f), in(128, 1.0f);
    float *fresh = nullptr;

    CHECK(cudaMalloc(&fresh, 64 * sizeof *fresh) == cudaSuccess);
    if (is("unwritten_global"))
        LAUNCH(copy_each, 1, 64, 0, 0, out.device, fresh);
    if (is("unwritten_dynamic"))
        LAUNCH(read_dynamic, 1, 32, 128, 0, out.device);
    if (is("unwritten_static"))
        LAUNCH(read_static, 2, 32, 0, 0, out.device);
    if (is("no_copy_wait"))
        LAUNCH(no_copy_wait, 1, 32, 512, 0, out.device, in.device);
    report_nan(out, 0);
    CHECK(cudaFree(fresh) == cudaSuccess);
}

int main(int count, char **words)
{
    const char *name = count > 1 ? words[1] : "none";

    run_waits(name);
    run_places(name);
    run_races(name);
    run_nans(name);
    puts("no complaint");
    return test_result() == 1;
}
