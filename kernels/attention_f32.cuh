/* attention_f32.cuh - tiles of the kernels that multiply in F32: any storage type, any head width up
 * to WIDTH.
 *
 * Tiles lie in shared memory as F32, columns padded with zeros to WIDTH. A thread holds 4 rows and
 * every 16th column of a TILE x TILE tile of scores, so the 16 threads of half a warp share 4 rows.
 */
#ifndef KERNELS_ATTENTION_F32_CUH
#define KERNELS_ATTENTION_F32_CUH

#include "kernels/attention.cuh"

template <int WIDTH>
struct FmaShape {
    enum {
        TILE = WIDTH > 128 ? 16 : 32,
        THREADS = 4 * TILE,
        ROWS = 4,                        // of a thread
        SCORES = TILE / 16,              // columns of scores of a thread
        COLUMNS = WIDTH / 16,            // columns of a result of a thread
        RUN = COLUMNS < 4 ? COLUMNS : 4, // that lie together
        STRIDE = WIDTH + 4,
        SCORE_STRIDE = TILE + 4,
        TILE_FLOATS = TILE * STRIDE,
        SCORE_FLOATS = TILE * SCORE_STRIDE,
    };
};

/* First of the 4 rows of this thread; its column of 16. */
static __device__ __forceinline__ int fma_row()
{
    return (int)threadIdx.x / 16 * 4;
}
static __device__ __forceinline__ int fma_lane()
{
    return (int)threadIdx.x % 16;
}

/* Column of a result that is number n of a thread. */
template <int WIDTH>
__device__ __forceinline__ int fma_column(int n)
{
    const int RUN = FmaShape<WIDTH>::RUN;
    return n / RUN * 16 * RUN + fma_lane() * RUN + n % RUN;
}

/* tile = scale times `rows` rows of D numbers at x; zeros elsewhere. */
template <typename T, int WIDTH>
__device__ void fma_load(float *tile, const T *x, int64_t stride, int rows, int D, float scale)
{
    typedef FmaShape<WIDTH> Shape;
    const int SIZE = Pack<T>::SIZE;
    const bool packed =
        reinterpret_cast<uintptr_t>(x) % 16 == 0 && stride % SIZE == 0 && D % SIZE == 0;

    for (int i = (int)threadIdx.x; i < Shape::TILE * WIDTH / SIZE; i += Shape::THREADS) {
        const int row = i / (WIDTH / SIZE), column = i % (WIDTH / SIZE) * SIZE;
        const T *from = x + row * stride + column;
        Pack<T> pack = {};

        if (row < rows && column < D && packed)
            pack.load(from);
        else if (row < rows)
            for (int e = 0; e < SIZE && column + e < D; e++)
                pack.value[e] = to_float(from[e]);
#pragma unroll
        for (int e = 0; e < SIZE; e += 4)
            *reinterpret_cast<float4 *>(tile + row * Shape::STRIDE + column + e) =
                make_float4(pack.value[e] * scale, pack.value[e + 1] * scale,
                            pack.value[e + 2] * scale, pack.value[e + 3] * scale);
    }
}

/* s = a b^T over D columns. */
template <int WIDTH>
__device__ __forceinline__ void fma_dot(float (&s)[4][FmaShape<WIDTH>::SCORES], const float *a,
                                        const float *b, int D)
{
    typedef FmaShape<WIDTH> Shape;
    const float *left = a + fma_row() * Shape::STRIDE, *right = b + fma_lane() * Shape::STRIDE;

#pragma unroll
    for (int r = 0; r < 4; r++)
#pragma unroll
        for (int n = 0; n < Shape::SCORES; n++)
            s[r][n] = 0;
#pragma unroll 4
    for (int d = 0; d < D; d += 4) {
        float4 x[4];
#pragma unroll
        for (int r = 0; r < 4; r++)
            x[r] = *reinterpret_cast<const float4 *>(left + r * Shape::STRIDE + d);
#pragma unroll
        for (int n = 0; n < Shape::SCORES; n++) {
            const float4 y = *reinterpret_cast<const float4 *>(right + n * 16 * Shape::STRIDE + d);
#pragma unroll
            for (int r = 0; r < 4; r++)
                s[r][n] = fmaf(x[r].w, y.w,
                               fmaf(x[r].z, y.z, fmaf(x[r].y, y.y, fmaf(x[r].x, y.x, s[r][n]))));
        }
    }
}

/* Keeps this thread's scores where the threads that share its rows, and nobody else, read them. */
template <int WIDTH>
__device__ __forceinline__ void fma_keep(float *scores,
                                         const float (&s)[4][FmaShape<WIDTH>::SCORES])
{
    typedef FmaShape<WIDTH> Shape;

    __syncwarp();
#pragma unroll
    for (int r = 0; r < 4; r++)
#pragma unroll
        for (int n = 0; n < Shape::SCORES; n++)
            scores[(fma_row() + r) * Shape::SCORE_STRIDE + fma_lane() + 16 * n] = s[r][n];
    __syncwarp();
}

/* sum += scores b. */
template <int WIDTH>
__device__ __forceinline__ void fma_mix(float (&sum)[4][FmaShape<WIDTH>::COLUMNS],
                                        const float *scores, const float *b)
{
    typedef FmaShape<WIDTH> Shape;
    const float *left = scores + fma_row() * Shape::SCORE_STRIDE;

#pragma unroll 4
    for (int j = 0; j < Shape::TILE; j++) {
        float x[4];
#pragma unroll
        for (int r = 0; r < 4; r++)
            x[r] = left[r * Shape::SCORE_STRIDE + j];
#pragma unroll
        for (int n = 0; n < Shape::COLUMNS; n++) {
            const float y = b[j * Shape::STRIDE + fma_column<WIDTH>(n)];
#pragma unroll
            for (int r = 0; r < 4; r++)
                sum[r][n] = fmaf(x[r], y, sum[r][n]);
        }
    }
}

/* x = times sum, row by row, `rows` of them; added to x where `add`. */
template <typename T, int WIDTH>
__device__ void fma_store(T *x, int64_t stride, int rows, int D,
                          const float (&sum)[4][FmaShape<WIDTH>::COLUMNS], const float (&times)[4],
                          bool add)
{
#pragma unroll
    for (int r = 0; r < 4; r++)
#pragma unroll
        for (int n = 0; n < FmaShape<WIDTH>::COLUMNS; n++) {
            const int row = fma_row() + r, column = fma_column<WIDTH>(n);
            if (row < rows && column < D) {
                T *to = x + row * stride + column;
                const float before = add ? to_float(*to) : 0;
                *to = from_float<T>(before + sum[r][n] * times[r]);
            }
        }
}

/* Bit k of kept[r]: query i + r of this thread keeps key j + k, k < TILE; i is the first of the
 * thread's 4 rows, j a multiple of TILE. The 16 threads of the rows draw for each other. */
template <int WIDTH>
__device__ __forceinline__ void fma_kept(uint32_t (&kept)[4], const AttentionDropout &dropout,
                                         int i, int j)
{
    const int GROUPS = FmaShape<WIDTH>::TILE / 4, DRAWS = GROUPS / 4, HALF = 16 / GROUPS;
    uint32_t bits[DRAWS];

#pragma unroll
    for (int n = 0; n < DRAWS; n++) {
        const int row = n * HALF + fma_lane() / GROUPS, group = fma_lane() % GROUPS;
        bits[n] = dropout.kept(i + row, j / 4 + group) << 4 * group;
#pragma unroll
        for (int d = 1; d < GROUPS; d *= 2)
            bits[n] |= __shfl_xor_sync(ALL_LANES, bits[n], d);
    }
#pragma unroll
    for (int r = 0; r < 4; r++)
        kept[r] = __shfl_sync(ALL_LANES, bits[r / HALF], r % HALF * GROUPS, 16);
}

/* Calls f with WIDTH as a type: with_width(D, [&](auto w) { enum { WIDTH = decltype(w)::WIDTH };
 * ... }). */
template <int W>
struct FmaWidth {
    enum { WIDTH = W };
};
template <typename F>
static inline void with_width(int D, F f)
{
    if (D <= 32)
        f(FmaWidth<32>());
    else if (D <= 64)
        f(FmaWidth<64>());
    else if (D <= 128)
        f(FmaWidth<128>());
    else
        f(FmaWidth<256>());
}

size_t attention_forward_f32_shared(int D);
size_t attention_backward_f32_shared(int D);
void attention_forward_f32(Call *c);
void attention_backward_f32(Call *c);

#endif
