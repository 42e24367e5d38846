/* recurrent_forward.cuh - h w_hh of one step of rnn, lstm and gru, for UNITS units of ROWS sequences a
 * block. w_hh has its own type in shared memory, W here.
 *
 * With W F32 the product goes by tiles of K in shared memory. With BF16 or F16 it goes on the tensor
 * cores, each warp with every fourth 16 of K; the parts are added in order. h is F32 and is split into
 * two numbers of that type, whose sum is h but for 2^-17 of it (F16: 2^-22, and |h| up to 131008).
 */
#ifndef KERNELS_RECURRENT_FORWARD_CUH
#define KERNELS_RECURRENT_FORWARD_CUH

#include "kernels/mma.cuh"
#include "kernels/recurrent.cuh"

enum {
    ROWS = 16,
    UNITS = 16,
    K_TILE = 64,
    K_ROW = K_TILE + 4,
    THREADS = 128,
    WARPS = THREADS / WARP,
    AHEAD = 4, // tiles of h that are fetched at once for the tensor cores
    WIDE = 256,
};

/* Of shared memory, in floats, before w_hh: a tile of h, or the parts of the warps, whose rows are
 * longer than G * UNITS so that 8 of them lie in different banks. */
__host__ __device__ constexpr int parts_row(int G)
{
    return G * UNITS + 8;
}
__host__ __device__ constexpr int room_of(int G, size_t size)
{
    return size == 2 ? WARPS * ROWS * parts_row(G) : ROWS * K_ROW;
}
/* Elements from row to row of w_hh there: 16 bytes more than its columns. */
__host__ __device__ constexpr int row_of(int columns, size_t size)
{
    return columns + 16 / (int)size;
}

/* One step. States are of ranks, one direction after the other. */
template <typename T>
struct Step {
    Sequences q;
    Weight<T> w;       // [D*G*H, H]
    const float *bias; // of gru: b_hn [D*G*H], the third gate counts
    float *gates;      // [N, D*G*H]
    float *even, *odd; // h [D*B, H] before even and before odd steps
    float *c;          // [D*B, H]
    float *cell;       // [N, D*H]; not of rnn
    T *y;              // [N, D*H]
    int64_t H, D;
    bool relu;
    bool whole; // H is a multiple of 4
    bool keep;  // gates are overwritten by what backward reads
};

/* `columns` columns from k on of the weights of UNITS units, w_row elements from row to row. */
template <typename T, typename W, int G>
__device__ __forceinline__ void load_weights(const Step<T> &p, W *w, int w_row, int columns,
                                             int64_t unit, int64_t k, int64_t d)
{
    for (int i = threadIdx.x; i < G * UNITS * (columns / 4); i += THREADS) {
        const int r = i / (columns / 4), column = i % (columns / 4) * 4;
        const int64_t u = unit + r % UNITS, row = (d * G + r / UNITS) * p.H + u;
        const int64_t left = u < p.H ? p.H - k - column : 0;
        store_four(w + r * w_row + column, load_four(p.w, row * p.H + k + column, left, p.whole));
    }
}

/* K_TILE columns from k on of the states of ROWS ranks. */
template <typename T>
__device__ __forceinline__ void load_states(const Step<T> &p, float *h, int64_t t, int64_t rank,
                                            int64_t k, int64_t d)
{
    const float *from = t % 2 ? p.odd : p.even;

    for (int i = threadIdx.x; i < ROWS * (K_TILE / 4); i += THREADS) {
        const int r = i / (K_TILE / 4), column = i % (K_TILE / 4) * 4;
        const int64_t left = p.q.length(rank + r) > t ? p.H - k - column : 0;
        store_four(h + r * K_ROW + column,
                   load_four(from + (d * p.q.B + rank + r) * p.H + k + column, left, p.whole));
    }
}

/* sum[i][g] += the tile's part of gate g of row `row` + 8 i, unit `unit` of the block. */
template <int G>
__device__ __forceinline__ void multiply_tiles(const float *w, int w_row, const float *h, int row,
                                               int unit, float (&sum)[2][G])
{
#pragma unroll 4
    for (int k = 0; k < K_TILE; k += 4) {
        float4 left[2];
#pragma unroll
        for (int i = 0; i < 2; i++)
            left[i] = *reinterpret_cast<const float4 *>(h + (row + i * (ROWS / 2)) * K_ROW + k);
#pragma unroll
        for (int g = 0; g < G; g++) {
            const float4 right =
                *reinterpret_cast<const float4 *>(w + (g * UNITS + unit) * w_row + k);
#pragma unroll
            for (int i = 0; i < 2; i++) {
                sum[i][g] = fmaf(left[i].x, right.x, sum[i][g]);
                sum[i][g] = fmaf(left[i].y, right.y, sum[i][g]);
                sum[i][g] = fmaf(left[i].z, right.z, sum[i][g]);
                sum[i][g] = fmaf(left[i].w, right.w, sum[i][g]);
            }
        }
    }
}

/* A lane's numbers of a left operand from column k on; h: its first rank, there: whether that and
 * the one 8 further are still running. */
template <typename T>
__device__ __forceinline__ void fetch_left(const Step<T> &p, const float *h, const bool (&there)[2],
                                           int64_t k, float2 (&x)[4])
{
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int64_t column = k + i / 2 * 8, left = there[i % 2] ? p.H - column : 0;
        const float *from = h + i % 2 * 8 * p.H + column;
        if (p.whole && left >= 2)
            x[i] = *reinterpret_cast<const float2 *>(from);
        else
            x[i] = make_float2(left > 0 ? from[0] : 0.0f, left > 1 ? from[1] : 0.0f);
    }
}

/* What the first of two numbers of T can hold of x: infinity would leave NaN to the second. */
static __device__ __forceinline__ float within(float x, bf16)
{
    return x; // as far as F32
}
static __device__ __forceinline__ float within(float x, f16)
{
    return fminf(fmaxf(x, -65504.0f), 65504.0f);
}

/* sum[g][j] += h w^T of 16 columns, gate g, units 8 j and on. w: the lane's place in the first gate. */
template <typename T, int G>
__device__ __forceinline__ void multiply_16(const T *w, int w_row, const float2 (&x)[4],
                                            float (&sum)[G][2][4])
{
    uint32_t high[4], low[4], right[4];

#pragma unroll
    for (int i = 0; i < 4; i++) {
        high[i] = mma_pack(within(x[i].x, T()), within(x[i].y, T()), T());
        const T *e = reinterpret_cast<const T *>(&high[i]);
        low[i] = mma_pack(x[i].x - to_float(e[0]), x[i].y - to_float(e[1]), T());
    }
#pragma unroll
    for (int g = 0; g < G; g++) {
        ldmatrix_x4(right, w + g * UNITS * w_row);
        mma(sum[g][0], high, right[0], right[1], T());
        mma(sum[g][1], high, right[2], right[3], T());
        mma(sum[g][0], low, right[0], right[1], T());
        mma(sum[g][1], low, right[2], right[3], T());
    }
}

/* parts[warp][rank][gate, unit] of h w_hh on the tensor cores. w: room for a tile, or with RESIDENT
 * all columns, which are there. */
template <typename T, int G, bool RESIDENT>
__device__ __forceinline__ void multiply_parts(const Step<T> &p, T *w, int w_row, float *parts,
                                               int64_t t, int64_t rank)
{
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const int64_t unit = (int64_t)blockIdx.x * UNITS, d = blockIdx.z, mine = rank + lane / 4;
    const float *h = (t % 2 ? p.odd : p.even) + (d * p.q.B + mine) * p.H;
    const bool there[] = {p.q.length(mine) > t, p.q.length(mine + 8) > t};
    const T *own = w + (lane / 16 * 8 + lane % 8) * w_row + warp * 16 + lane / 8 % 2 * 8;
    float sum[G][2][4] = {};

    for (int64_t k = 0; k < p.H; k += AHEAD * K_TILE) {
        float2 x[AHEAD][4];
#pragma unroll
        for (int a = 0; a < AHEAD; a++)
            fetch_left(p, h, there, k + a * K_TILE + warp * 16 + lane % 4 * 2, x[a]);
#pragma unroll
        for (int a = 0; a < AHEAD; a++) {
            const int64_t tile = k + a * K_TILE;
            if (tile >= p.H) // all threads
                continue;
            if (!RESIDENT) {
                load_weights<T, T, G>(p, w, w_row, K_TILE, unit, tile, d);
                __syncthreads();
            }
            multiply_16<T, G>(RESIDENT ? own + tile : own, w_row, x[a], sum);
            if (!RESIDENT)
                __syncthreads();
        }
    }
#pragma unroll
    for (int g = 0; g < G; g++)
#pragma unroll
        for (int e = 0; e < 4; e++) // half of the units and of the ranks
            *reinterpret_cast<float2 *>(parts +
                                        (warp * ROWS + lane / 4 + e % 2 * 8) * parts_row(G) +
                                        g * UNITS + e / 2 * 8 + lane % 4 * 2) =
                make_float2(sum[g][e / 2][e % 2 * 2], sum[g][e / 2][e % 2 * 2 + 1]);
    __syncthreads();
}

/* sum[i][g] of h w_hh: gate g of row `row` + 8 i, unit `u` of the block. w: room for a tile, or with
 * RESIDENT all columns, which are there. */
template <typename T, typename W, int G, bool RESIDENT>
__device__ __forceinline__ void multiply(const Step<T> &p, W *w, int w_row, float *room, int64_t t,
                                         int64_t rank, int row, int u, float (&sum)[2][G])
{
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int g = 0; g < G; g++)
            sum[i][g] = 0;
    if constexpr (sizeof(W) == 2) {
        multiply_parts<T, G, RESIDENT>(p, w, w_row, room, t, rank);
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int g = 0; g < G; g++)
                for (int part = 0; part < WARPS; part++)
                    sum[i][g] +=
                        room[(part * ROWS + row + i * (ROWS / 2)) * parts_row(G) + g * UNITS + u];
        __syncthreads(); // before the next ranks' parts
    } else {
        for (int64_t k = 0; k < p.H; k += K_TILE) {
            if (!RESIDENT)
                load_weights<T, W, G>(p, w, w_row, K_TILE, (int64_t)blockIdx.x * UNITS, k,
                                      blockIdx.z);
            load_states<T>(p, room, t, rank, k, blockIdx.z);
            __syncthreads();
            multiply_tiles<G>(RESIDENT ? w + k : w, w_row, room, row, u, sum);
            __syncthreads();
        }
    }
}

#endif
