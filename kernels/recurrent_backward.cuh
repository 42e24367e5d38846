/* recurrent_backward.cuh - dgates(t + 1) w_hh of one step of rnn, lstm and gru, for COLUMNS units of ROWS
 * sequences a block. w_hh has its own type in shared memory, W here.
 *
 * With W F32 the threads take, in four groups, every fourth part of a tile of K. With BF16 or F16 the
 * warps take 16 each of a larger tile on the tensor cores. The parts are added in order.
 */
#ifndef KERNELS_RECURRENT_BACKWARD_CUH
#define KERNELS_RECURRENT_BACKWARD_CUH

#include "kernels/mma.cuh"
#include "kernels/recurrent.cuh"

enum {
    ROWS = 16,
    COLUMNS = 32,
    K_TILE = 64,
    A_ROW = K_TILE + 4,
    GROUPS = 4,
    THREADS = 256,
    WIDE = 256,
    WARPS = THREADS / WARP,
    MMA_TILE = WARPS * 16,
    MMA_AHEAD = 8,           // tiles of dgates that are fetched at once
    PARTS_ROW = COLUMNS + 8, // so that 8 rows lie in different banks
};

/* Of shared memory, in floats, before w_hh: the parts of the groups, which have the place of a tile of
 * dgates, or those of the warps. size: of an element of w_hh. */
__host__ __device__ constexpr int room_of(size_t size)
{
    return size == 2 ? WARPS * ROWS * PARTS_ROW : GROUPS * ROWS * COLUMNS;
}
__host__ __device__ constexpr int tile_of(size_t size)
{
    return size == 2 ? MMA_TILE : K_TILE;
}

/* Where a row of w_hh has its columns from `column` on, a multiple of 4: in rows of 4 chunks of 16
 * bytes that are exchanged so that the 8 rows that ldmatrix reads at once lie in different banks. */
template <typename W>
__device__ __forceinline__ int64_t place_of(int64_t row, int64_t column)
{
    return row * COLUMNS +
           (sizeof(W) == 2 ? ((column / 8) ^ (row / 4 % 4)) * 8 + column % 8 : column);
}

/* One step. States are of ranks, one direction after the other. */
template <typename T>
struct Back {
    Sequences q;
    Weight<T> w;          // [D*G*H, H]
    const float *gates;   // [N, D*G*H]
    const float *cell;    // [N, D*H]
    const T *y;           // [N, D*H]
    const T *dy;          // or NULL
    const T *h0, *c0;     // [D*B, H] or NULL
    T *dgates, *dgates_h; // [N, D*G*H]; one and the same but for gru
    float *dh, *dc;       // [D*B, H], carried
    int64_t H, D;
    bool relu;
    bool whole; // H is a multiple of 4
};

/* K_TILE numbers from k on of dgates(t + 1) of ROWS ranks. */
template <typename T, int G>
__device__ __forceinline__ void load_gates(const Back<T> &p, float *a, int64_t t, int64_t rank,
                                           int64_t k, int64_t d)
{
    const int64_t K = G * p.H;

    for (int i = threadIdx.x; i < ROWS * (K_TILE / 4); i += THREADS) {
        const int r = i / (K_TILE / 4), column = i % (K_TILE / 4) * 4;
        const bool there = p.q.length(rank + r) > t + 1;
        const int64_t row = there ? p.q.row(rank + r, d, t + 1) : 0;
        store_four(a + r * A_ROW + column, load_four(p.dgates_h + (row * p.D + d) * K + k + column,
                                                     there ? K - k - column : 0, p.whole));
    }
}

/* `rows` rows from k on of w_hh, [rows][COLUMNS]; rows beyond its last are 0. */
template <typename T, typename W, int G>
__device__ __forceinline__ void load_weights(const Back<T> &p, W *w, int64_t rows, int64_t unit,
                                             int64_t k, int64_t d)
{
    const int64_t K = G * p.H;

    for (int64_t i = threadIdx.x; i < rows * (COLUMNS / 4); i += THREADS) {
        const int64_t r = i / (COLUMNS / 4), column = i % (COLUMNS / 4) * 4;
        const int64_t left = k + r < K ? p.H - unit - column : 0;
        store_four(w + place_of<W>(r, column),
                   load_four(p.w, (d * K + k + r) * p.H + unit + column, left, p.whole));
    }
}

/* room [GROUPS][ROWS][COLUMNS] = dgates(t + 1) w_hh in four parts. w: room for a tile, or with
 * RESIDENT all of its rows, which are there. */
template <typename T, int G, bool RESIDENT>
__device__ __forceinline__ void multiply(const Back<T> &p, float *w, float *room, int64_t t,
                                         int64_t rank, int64_t unit, int64_t d)
{
    const int group = threadIdx.x / (THREADS / GROUPS), column = threadIdx.x % 8 * 4;
    const int row = threadIdx.x % (THREADS / GROUPS) / 8;
    float4 sum[2] = {make_float4(0, 0, 0, 0), make_float4(0, 0, 0, 0)};

    for (int64_t k = 0; k < G * p.H; k += K_TILE) {
        const float *tile = RESIDENT ? w + k * COLUMNS : w;
        load_gates<T, G>(p, room, t, rank, k, d);
        if (!RESIDENT)
            load_weights<T, float, G>(p, w, K_TILE, unit, k, d);
        __syncthreads();
#pragma unroll 4
        for (int i = group * (K_TILE / GROUPS); i < (group + 1) * (K_TILE / GROUPS); i++) {
            const float4 right = *reinterpret_cast<const float4 *>(tile + i * COLUMNS + column);
#pragma unroll
            for (int r = 0; r < 2; r++) {
                const float left = room[(row + r * (ROWS / 2)) * A_ROW + i];
                sum[r].x = fmaf(left, right.x, sum[r].x);
                sum[r].y = fmaf(left, right.y, sum[r].y);
                sum[r].z = fmaf(left, right.z, sum[r].z);
                sum[r].w = fmaf(left, right.w, sum[r].w);
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int r = 0; r < 2; r++)
        store_four(room + (group * ROWS + row + r * (ROWS / 2)) * COLUMNS + column, sum[r]);
    __syncthreads();
}

/* Four numbers of which `left` are there (others 0), as they are stored; whole: aligned to four. */
template <typename T>
__device__ __forceinline__ uint2 fetch_four(const T *p, int64_t left, bool whole)
{
    uint2 raw = make_uint2(0, 0);
    T *e = reinterpret_cast<T *>(&raw);

    if (whole && left >= 4)
        return *reinterpret_cast<const uint2 *>(p);
#pragma unroll
    for (int i = 0; i < 4; i++)
        if (i < left)
            e[i] = p[i];
    return raw;
}

/* sum[c] += dgates w_hh of 16 rows of w_hh, columns 8 c and on. x: four numbers of the lane's first
 * rank, then of that 8 further, from lane % 4 * 4 on: an mma has the first two of each lane as its
 * columns 0 to 7, the others as 8 to 15, and so meets the rows of w_hh in that order. */
template <typename T>
__device__ __forceinline__ void multiply_16(const T *w, int64_t rows, const uint2 (&x)[2],
                                            float (&sum)[COLUMNS / 8][4])
{
    const int lane = threadIdx.x % WARP, k = lane % 16;
    const int64_t row = rows + k % 8 / 2 * 4 + k % 2 + k / 8 * 2;
    const uint32_t left[] = {x[0].x, x[1].x, x[0].y, x[1].y};
    uint32_t right[4];

#pragma unroll
    for (int c = 0; c < COLUMNS / 8; c += 2) {
        ldmatrix_x4_trans(right, w + place_of<T>(row, (c + lane / 16) * 8));
        mma(sum[c], left, right[0], right[1], T());
        mma(sum[c + 1], left, right[2], right[3], T());
    }
}

/* parts [WARPS][ROWS][PARTS_ROW] = dgates(t + 1) w_hh on the tensor cores. w as in multiply(). */
template <typename T, int G, bool RESIDENT>
__device__ __forceinline__ void multiply_parts(const Back<T> &p, T *w, float *parts, int64_t t,
                                               int64_t rank, int64_t unit, int64_t d)
{
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const int64_t K = G * p.H;
    const T *from[2];
    int64_t there[2]; // numbers
    float sum[COLUMNS / 8][4] = {};

#pragma unroll
    for (int i = 0; i < 2; i++) {
        const int64_t mine = rank + lane / 4 + 8 * i;
        there[i] = p.q.length(mine) > t + 1 ? K : 0;
        from[i] = p.dgates_h + (there[i] ? (p.q.row(mine, d, t + 1) * p.D + d) * K : 0);
    }
    for (int64_t k = 0; k < K; k += MMA_AHEAD * MMA_TILE) {
        uint2 x[MMA_AHEAD][2];
#pragma unroll
        for (int i = 0; i < 2 * MMA_AHEAD; i++) {
            const int64_t column = k + i / 2 * MMA_TILE + warp * 16 + lane % 4 * 4;
            x[i / 2][i % 2] = fetch_four(from[i % 2] + column, there[i % 2] - column, p.whole);
        }
#pragma unroll
        for (int a = 0; a < MMA_AHEAD; a++) {
            const int64_t tile = k + a * MMA_TILE;
            if (tile >= K) // all threads
                continue;
            if (!RESIDENT) {
                load_weights<T, T, G>(p, w, MMA_TILE, unit, tile, d);
                __syncthreads();
            }
            multiply_16<T>(w, (RESIDENT ? tile : 0) + warp * 16, x[a], sum);
            if (!RESIDENT)
                __syncthreads();
        }
    }
#pragma unroll
    for (int c = 0; c < COLUMNS / 8; c++)
#pragma unroll
        for (int i = 0; i < 2; i++)
            *reinterpret_cast<float2 *>(parts + (warp * ROWS + lane / 4 + 8 * i) * PARTS_ROW +
                                        8 * c + lane % 4 * 2) =
                make_float2(sum[c][2 * i], sum[c][2 * i + 1]);
    __syncthreads();
}

#endif
