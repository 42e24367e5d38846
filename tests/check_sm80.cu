/* check_sm80.cu - one call of one function of kernels/sm80.cuh a kernel. */
#include "tests/check_sm80.h"

#include "kernels/gpu.cuh"
#include "kernels/sm80.cuh"

static __global__ void ldmatrix_kernel(const uint16_t *rows, const int32_t *place, bool transposed,
                                       uint32_t *out)
{
    DYNAMIC_SHARED(uint16_t, s);
    uint32_t r[4];

    for (int i = threadIdx.x; i < SM80_ROWS * SM80_COLUMNS; i += SM80_LANES)
        s[i] = rows[i];
    __syncthreads();
    const uint16_t *row = s + place[threadIdx.x] * SM80_COLUMNS;
    if (transposed)
        ldmatrix_x4_trans(r, row);
    else
        ldmatrix_x4(r, row);
    for (int i = 0; i < 4; i++)
        out[threadIdx.x * 4 + i] = r[i];
}

static __global__ void mma_kernel(const uint32_t *a, const uint32_t *b, float *d, bool bf16)
{
    const int64_t lane = (int64_t)blockIdx.x * SM80_LANES + threadIdx.x;
    uint32_t left[4];
    float sum[4];

    for (int i = 0; i < 4; i++)
        left[i] = a[lane * 4 + i];
    for (int i = 0; i < 4; i++)
        sum[i] = d[lane * 4 + i];
    if (bf16)
        mma_bf16(sum, left, b[lane * 2], b[lane * 2 + 1]);
    else
        mma_f16(sum, left, b[lane * 2], b[lane * 2 + 1]);
    for (int i = 0; i < 4; i++)
        d[lane * 4 + i] = sum[i];
}

static __device__ __forceinline__ void tell_group(const uint32_t *s, uint32_t *out, int group)
{
    const int neighbour = (threadIdx.x + 1) % SM80_THREADS;

    __syncthreads();
    for (int i = 0; i < SM80_WORDS; i++)
        out[(group * SM80_THREADS + threadIdx.x) * SM80_WORDS + i] =
            s[(group * SM80_THREADS + neighbour) * SM80_WORDS + i];
}

static __global__ void copy_kernel(const uint32_t *from, const int32_t *real, uint32_t *out)
{
    DYNAMIC_SHARED(uint32_t, s);

    for (int g = 0; g < SM80_GROUPS; g++)
        for (int i = 0; i < SM80_WORDS; i++)
            s[(g * SM80_THREADS + threadIdx.x) * SM80_WORDS + i] = ~0u;
    for (int g = 0; g < SM80_GROUPS; g++) {
        const int at = g * SM80_THREADS + threadIdx.x;
        cp_async_16(s + at * SM80_WORDS, from + at * SM80_WORDS, real[at] != 0);
        cp_async_commit();
    }
    cp_async_wait<2>();
    tell_group(s, out, 0);
    cp_async_wait<1>();
    tell_group(s, out, 1);
    cp_async_wait<0>();
    tell_group(s, out, 2);
}

static cudaStream_t stream_of(const Device *d)
{
    return static_cast<cudaStream_t>(device_stream(d, nullptr));
}

void sm80_ldmatrix(const Device *d, const uint16_t *rows, const int32_t *place, bool transposed,
                   uint32_t *out)
{
    LAUNCH(ldmatrix_kernel, 1, SM80_LANES, SM80_ROWS * SM80_COLUMNS * sizeof *rows, stream_of(d),
           rows, place, transposed, out);
}

void sm80_mma(const Device *d, const uint32_t *a, const uint32_t *b, float *sum, int count,
              bool bf16)
{
    LAUNCH(mma_kernel, (unsigned)count, SM80_LANES, 0, stream_of(d), a, b, sum, bf16);
}

void sm80_copy(const Device *d, const uint32_t *from, const int32_t *real, uint32_t *out)
{
    LAUNCH(copy_kernel, 1, SM80_THREADS, SM80_GROUPS * SM80_THREADS * SM80_WORDS * sizeof *from,
           stream_of(d), from, real, out);
}
