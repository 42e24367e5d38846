/* attention_sm80.cuh - tiles of the kernels that multiply with mma.sync: BF16 and F16, sums in F32,
 * sm_80 and later; widths that are a multiple of 16.
 *
 * A tile is rows of WIDTH numbers in shared memory, in chunks of 16 bytes that are swizzled, so that
 * the 8 rows that ldmatrix reads at once lie in different banks. A warp owns 16 * M rows of a result.
 * Of a 16 x 8 fragment a thread has rows lane / 4 and 8 further, columns lane % 4 * 2 and the next;
 * element e is row e / 2, column e % 2 of those.
 */
#ifndef KERNELS_ATTENTION_SM80_CUH
#define KERNELS_ATTENTION_SM80_CUH

#include "kernels/attention.cuh"
#include "kernels/mma.cuh"

enum { MMA_WARPS = 4, MMA_THREADS = 32 * MMA_WARPS };

static __device__ __forceinline__ unsigned mma_lane()
{
    return threadIdx.x % 32;
}

/* Where chunk `chunk` of row `row` of a tile begins, in elements. SPAN, the largest power of two up
 * to 8 that divides the chunks of a row, is how many the swizzle exchanges. */
template <int WIDTH>
__device__ __forceinline__ unsigned mma_place(unsigned row, unsigned chunk)
{
    const unsigned CHUNKS = WIDTH / 8;
    const unsigned SPAN = CHUNKS % 8 == 0 ? 8 : CHUNKS % 4 == 0 ? 4 : 2;
    return (row * CHUNKS + (chunk ^ row / (8 / SPAN) % SPAN)) * 8;
}

/* Begins to copy `rows` rows at x into a tile of ROWS; zeros into the others. */
template <typename T, int WIDTH, int ROWS>
__device__ __forceinline__ void mma_load(T *tile, const T *x, int64_t stride, int rows)
{
    const int CHUNKS = WIDTH / 8;

#pragma unroll 2
    for (int i = (int)threadIdx.x; i < ROWS * CHUNKS; i += MMA_THREADS) {
        const int row = i / CHUNKS, chunk = i % CHUNKS;
        const bool real = row < rows;
        cp_async_16(tile + mma_place<WIDTH>(row, chunk), x + (real ? row * stride : 0) + chunk * 8,
                    real);
    }
}

/* s[m][n] += a b^T: rows of the tile a from `row` on with the first 8 * N rows of the tile b. */
template <typename T, int WIDTH, int M, int N>
__device__ __forceinline__ void mma_scores(float (&s)[M][N][4], const T *a, int row, const T *b)
{
    const unsigned lane = mma_lane();

#pragma unroll
    for (int k = 0; k < WIDTH / 16; k++) {
        uint32_t left[M][4], right[4];
#pragma unroll
        for (int m = 0; m < M; m++)
            ldmatrix_x4(left[m], a + mma_place<WIDTH>(row + 16 * m + lane % 16, 2 * k + lane / 16));
#pragma unroll
        for (int n = 0; n < N; n += 2) {
            ldmatrix_x4(right, b + mma_place<WIDTH>(8 * n + lane / 16 * 8 + lane % 8,
                                                    2 * k + lane / 8 % 2));
#pragma unroll
            for (int m = 0; m < M; m++) {
                mma(s[m][n], left[m], right[0], right[1], T());
                mma(s[m][n + 1], left[m], right[2], right[3], T());
            }
        }
    }
}

/* sum[m][c] += p b: p rounded to T, 8 * N rows of the tile b, 8 * C columns from `chunk` on. */
template <typename T, int WIDTH, int M, int N, int C>
__device__ __forceinline__ void mma_mix(float (&sum)[M][C][4], const float (&p)[M][N][4],
                                        const T *b, int chunk)
{
    const unsigned lane = mma_lane();

#pragma unroll
    for (int n = 0; n < N; n += 2) {
        uint32_t left[M][4], right[4];
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                left[m][e] =
                    mma_pack(p[m][n + e / 2][e % 2 * 2], p[m][n + e / 2][e % 2 * 2 + 1], T());
#pragma unroll
        for (int c = 0; c < C; c += 2) {
            ldmatrix_x4_trans(right,
                              b + mma_place<WIDTH>(8 * n + lane % 16, chunk + c + lane / 16));
#pragma unroll
            for (int m = 0; m < M; m++) {
                mma(sum[m][c], left[m], right[0], right[1], T());
                mma(sum[m][c + 1], left[m], right[2], right[3], T());
            }
        }
    }
}

/* Puts times * sum, added to x where `add`, as T into the warp's rows of a tile, 8 * C columns from
 * `chunk` on; then writes `rows` of these rows to x. Nobody else may use the warp's rows any more. */
template <typename T, int WIDTH, int M, int C>
__device__ __forceinline__ void mma_store(T *x, int64_t stride, int rows, T *tile, int row,
                                          int chunk, const float (&sum)[M][C][4],
                                          const float (&times)[M][2], bool add)
{
    const unsigned lane = mma_lane();

    __syncwarp();
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int h = 0; h < 2; h++)
#pragma unroll
            for (int c = 0; c < C; c++) {
                const int at = 16 * m + 8 * h + (int)lane / 4, column = 8 * c + (int)lane % 4 * 2;
                float low = sum[m][c][2 * h] * times[m][h];
                float high = sum[m][c][2 * h + 1] * times[m][h];
                if (add && at < rows) {
                    const T *before = x + at * stride + chunk * 8 + column;
                    low += to_float(before[0]);
                    high += to_float(before[1]);
                }
                *reinterpret_cast<uint32_t *>(tile + mma_place<WIDTH>(row + at, chunk + c) +
                                              lane % 4 * 2) = mma_pack(low, high, T());
            }
    __syncwarp();
#pragma unroll 4
    for (int i = (int)lane; i < 16 * M * C; i += 32) {
        const int at = i / C, c = i % C;
        if (at < rows)
            *reinterpret_cast<uint4 *>(x + at * stride + (chunk + c) * 8) =
                *reinterpret_cast<const uint4 *>(tile + mma_place<WIDTH>(row + at, chunk + c));
    }
}

/* Bits 2 * h and 2 * h + 1: whether query i + 8 * h keeps the two keys of this thread in the 16 x 8
 * fragment of queries from i - lane / 4 on and keys from j on. Neighbours draw for each other. */
static __device__ __forceinline__ uint32_t mma_kept(const AttentionDropout &dropout, int i, int j)
{
    const int odd = (int)mma_lane() % 2, group = j / 4 + (int)mma_lane() % 4 / 2;
    const uint32_t own = dropout.kept(i + 8 * odd, group);
    const uint32_t other = __shfl_xor_sync(ALL_LANES, own, 1);
    const uint32_t low = odd ? other : own, high = odd ? own : other;
    return (low >> 2 * odd & 3) | (high >> 2 * odd & 3) << 2;
}

/* The same where rows are keys, from j on with j a multiple of 16, and columns queries: bit e is
 * element e. i: of this thread's first column. The four threads of four keys draw for each other. */
static __device__ __forceinline__ uint32_t mma_kept_by_keys(const AttentionDropout &dropout, int i,
                                                            int j)
{
    const int g = (int)mma_lane() / 4, draw = g % 4;
    uint32_t bits = dropout.kept(i + draw % 2, j / 4 + draw / 2 * 2 + g / 4) << 4 * draw, own = 0;

    bits |= __shfl_xor_sync(ALL_LANES, bits, 4);
    bits |= __shfl_xor_sync(ALL_LANES, bits, 8);
#pragma unroll
    for (int e = 0; e < 4; e++)
        own |= (bits >> (4 * e + draw) & 1) << e;
    return own;
}

/* Bits 4 * (n % 8) + e of kept[m][n / 8] are those of draw(m, n), all where dropout is not on. Drawing
 * is not unrolled: it would take the registers of the sums. */
template <int M, int N, typename F>
__device__ __forceinline__ void mma_draw(uint32_t (&kept)[M][(N + 7) / 8], bool on, F draw)
{
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int n = 0; n < N; n += 8) {
            uint32_t bits = on ? 0 : ~0u;
#pragma unroll 2
            for (int b = 0; on && b < (N < 8 ? N : 8); b++)
                bits |= draw(m, n + b) << 4 * b;
            kept[m][n / 8] = bits;
        }
}

/* Zero to what dropout does not keep. */
template <int M, int N>
__device__ __forceinline__ void mma_keep(float (&s)[M][N][4],
                                         const uint32_t (&kept)[M][(N + 7) / 8])
{
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                s[m][n][e] = kept[m][n / 8] >> (n % 8 * 4 + e) & 1 ? s[m][n][e] : 0;
}

/* ---- of forward ---- */

/* -infinity to the scores that do not count; queries from i and keys from j on of this thread. */
template <int M, int N>
__device__ __forceinline__ void mma_mask(float (&s)[M][N][4], const AttentionTask &task,
                                         const AttentionSpan &span, int i, int j)
{
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const int from = first_key(task, span, i + 16 * m + 8 * h) - j;
            const int to = end_key(task, span, i + 16 * m + 8 * h) - j;
#pragma unroll
            for (int n = 0; n < N; n++)
#pragma unroll
                for (int e = 0; e < 2; e++)
                    if (8 * n + e < from || 8 * n + e >= to)
                        s[m][n][2 * h + e] = -INFINITY;
        }
}

/* Scores to exponentials; total holds this thread's share, and what earlier tiles gave is to be
 * multiplied by factor. */
template <int M, int N>
__device__ __forceinline__ void mma_softmax(float (&s)[M][N][4], float (&largest)[M][2],
                                            float (&total)[M][2], float (&factor)[M][2],
                                            float scale)
{
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float now = largest[m][h];
#pragma unroll
            for (int n = 0; n < N; n++)
                now = fmaxf(now, fmaxf(s[m][n][2 * h], s[m][n][2 * h + 1]));
            now = fmaxf(now, __shfl_xor_sync(ALL_LANES, now, 1));
            now = fmaxf(now, __shfl_xor_sync(ALL_LANES, now, 2));
            const float base = now == -INFINITY ? 0 : now * scale; // no key seen yet
            factor[m][h] = exp2_approximate(fmaf(largest[m][h], scale, -base));
            largest[m][h] = now;
            total[m][h] *= factor[m][h];
#pragma unroll
            for (int n = 0; n < N; n++)
#pragma unroll
                for (int e = 2 * h; e < 2 * h + 2; e++) {
                    s[m][n][e] = exp2_approximate(fmaf(s[m][n][e], scale, -base));
                    total[m][h] += s[m][n][e];
                }
        }
}

template <int M, int C>
__device__ __forceinline__ void mma_rescale(float (&sum)[M][C][4], const float (&factor)[M][2])
{
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int c = 0; c < C; c++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                sum[m][c][e] *= factor[m][e / 2];
}

/* Zero to the scores that dropout, which is on, does not keep. */
template <int M, int N>
__device__ __forceinline__ void mma_drop(float (&s)[M][N][4], const AttentionDropout &dropout,
                                         int i, int j)
{
    uint32_t kept[M][(N + 7) / 8];

    mma_draw<M, N>(kept, true,
                   [&](int m, int n) { return mma_kept(dropout, i + 16 * m, j + 8 * n); });
    mma_keep<M, N>(s, kept);
}

/* total becomes what sum is to be multiplied by; lse is written. i: first query of this thread. */
template <int M>
__device__ __forceinline__ void mma_finish(float (&total)[M][2], const float (&largest)[M][2],
                                           const AttentionTask &task, float *lse, int i, int end)
{
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const int query = i + 16 * m + 8 * h;
            float all = total[m][h];
            all += __shfl_xor_sync(ALL_LANES, all, 1);
            all += __shfl_xor_sync(ALL_LANES, all, 2);
            if (lse && mma_lane() % 4 == 0 && query < end)
                lse[query] = all == 0 ? INFINITY : fmaf(largest[m][h], task.scale, log2f(all));
            total[m][h] = all == 0 ? 0 : task.keep / all; // a query that sees no key gives 0
        }
}

/* ---- of backward ---- */

/* Each of two steps: scores s become weights p, which are 0 where a query does not see a key; then dp,
 * the gradient of the weights that dropout leaves, gives ds with p. Between them other work may go on. */

/* A tile of queries (rows) and keys: what dropout keeps. i: first query of this thread; j: first key of
 * the tile. */
template <int M, int N>
__device__ __forceinline__ void mma_draw_by_queries(uint32_t (&kept)[M][(N + 7) / 8],
                                                    const AttentionDropout &dropout, int i, int j)
{
    mma_draw<M, N>(kept, dropout.on,
                   [&](int m, int n) { return mma_kept(dropout, i + 16 * m, j + 8 * n); });
}

/* s becomes p. i, j: as before. */
template <int M, int N>
__device__ __forceinline__ void
mma_weights_by_queries(float (&s)[M][N][4], const float (&lse)[M][2], const AttentionTask &task,
                       const AttentionSpan &span, int i, int j)
{
    const int own = j + (int)mma_lane() % 4 * 2, first = i - (int)mma_lane() / 4; // of the warp
    const bool all =
        j >= first_key(task, span, first + 16 * M - 1) && j + 8 * N <= end_key(task, span, first);

#pragma unroll
    for (int m = 0; m < M; m++) {
        int from[2], to[2];
#pragma unroll
        for (int h = 0; h < 2; h++) {
            from[h] = first_key(task, span, i + 16 * m + 8 * h) - own;
            to[h] = end_key(task, span, i + 16 * m + 8 * h) - own;
        }
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const int h = e / 2, key = 8 * n + e % 2;
                const float p = exp2_approximate(fmaf(s[m][n][e], task.scale, -lse[m][h]));
                s[m][n][e] = all || (key >= from[h] && key < to[h]) ? p : 0;
            }
    }
}

/* p becomes ds. A weight of 0 has none, whatever dp is: rows of v beyond the sequence may hold
 * infinities. */
template <int M, int N>
__device__ __forceinline__ void mma_gradient_by_queries(float (&p)[M][N][4],
                                                        const float (&dp)[M][N][4],
                                                        const uint32_t (&kept)[M][(N + 7) / 8],
                                                        const float (&delta)[M][2], float keep)
{
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const float times = kept[m][n / 8] >> (n % 8 * 4 + e) & 1 ? keep : 0;
                const float ds = p[m][n][e] * fmaf(dp[m][n][e], times, -delta[m][e / 2]);
                p[m][n][e] = p[m][n][e] != 0 ? ds : 0;
            }
}

/* The same of a tile of keys (rows) and queries. i: first query of the tile; j: first key of the warp;
 * numbers: lse of the tile's queries, then delta. */
template <int M, int N>
__device__ __forceinline__ void mma_draw_by_keys(uint32_t (&kept)[M][(N + 7) / 8],
                                                 const AttentionDropout &dropout, int i, int j)
{
    const int own = i + (int)mma_lane() % 4 * 2;

    mma_draw<M, N>(kept, dropout.on, [&](int m, int n) {
        return mma_kept_by_keys(dropout, own + 8 * n, j + 16 * m);
    });
}

template <int M, int N>
__device__ __forceinline__ void mma_weights_by_keys(float (&s)[M][N][4], const float *numbers,
                                                    const AttentionTask &task,
                                                    const AttentionSpan &span, int i, int j)
{
    const int own = (int)mma_lane() % 4 * 2, key = j + (int)mma_lane() / 4;
    const bool all =
        j >= first_key(task, span, i + 8 * N - 1) && j + 16 * M <= end_key(task, span, i);

#pragma unroll
    for (int n = 0; n < N; n++) {
        float lse[2];
        int from[2], to[2];
#pragma unroll
        for (int e = 0; e < 2; e++) {
            lse[e] = numbers[8 * n + own + e];
            from[e] = first_key(task, span, i + 8 * n + own + e) - key;
            to[e] = end_key(task, span, i + 8 * n + own + e) - key;
        }
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const int at = 16 * m + e / 2 * 8;
                const bool seen = all || (at >= from[e % 2] && at < to[e % 2]);
                s[m][n][e] = seen ? exp2_approximate(fmaf(s[m][n][e], task.scale, -lse[e % 2])) : 0;
            }
    }
}

/* dp becomes ds. */
template <int M, int N>
__device__ __forceinline__ void
mma_gradient_by_keys(float (&dp)[M][N][4], const float (&p)[M][N][4],
                     const uint32_t (&kept)[M][(N + 7) / 8], const float *numbers, float keep)
{
    const int own = (int)mma_lane() % 4 * 2;

#pragma unroll
    for (int n = 0; n < N; n++) {
        const float delta[2] = {numbers[8 * N + 8 * n + own], numbers[8 * N + 8 * n + own + 1]};
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const float times = kept[m][n / 8] >> (n % 8 * 4 + e) & 1 ? keep : 0;
                dp[m][n][e] = p[m][n][e] * fmaf(dp[m][n][e], times, -delta[e % 2]);
            }
    }
}

/* Calls f with the head width as a type, see FmaWidth. */
template <int W>
struct MmaWidth {
    enum { WIDTH = W };
};
template <typename F>
static inline void with_mma_width(int D, F f)
{
    switch (D) {
    case 32:
        return f(MmaWidth<32>());
    case 64:
        return f(MmaWidth<64>());
    case 80:
        return f(MmaWidth<80>());
    case 96:
        return f(MmaWidth<96>());
    case 128:
        return f(MmaWidth<128>());
    default:
        return f(MmaWidth<256>());
    }
}

/* Calls f with a zero of BF16 or F16. */
template <typename F>
static inline void with_half_type(Dtype dtype, F f)
{
    if (dtype == BF16)
        f(bf16());
    else
        f(f16());
}

size_t attention_forward_sm80_shared(int D);
size_t attention_backward_sm80_shared(int D);
void attention_forward_sm80(Call *c);
void attention_backward_sm80(Call *c);

#endif
