/* norm_rows.cuh - what layernorm and rmsnorm on CUDA share: rows held in registers, slices of rows.
 *
 * A thread holds its cells of a row in registers, so that memory is read once. How many cells there
 * are, and how large the team is, depends on the width; rows that are wider still are read again.
 */
#ifndef KERNELS_NORM_ROWS_CUH
#define KERNELS_NORM_ROWS_CUH

#include "kernels/rows.cuh"

enum {
    SLICES = 256,     // at most
    SLICE_ROWS = 8,   // at least
    FOLD_GROUPS = 16, // of slices, added side by side
};

/* The slices over which the gradient of a parameter is summed: their number depends on the number of
 * rows alone. */
static inline int64_t slice_rows(int64_t N)
{
    const int64_t rows = (N + SLICES - 1) / SLICES;
    return rows > SLICE_ROWS ? rows : (int64_t)SLICE_ROWS;
}

static inline int64_t slice_count(int64_t N)
{
    return (N + slice_rows(N) - 1) / slice_rows(N);
}

/* Cells that a thread holds, HELD elements of a row: a row of up to TEAM_SIZE * HELD columns. */
template <typename CellOf, int TEAM_SIZE, int HELD>
struct HeldRow {
    typedef CellOf Cell;
    static const int TEAM = TEAM_SIZE, CELLS = HELD / Cell::SIZE;
    Cell cell[CELLS];

    /* The column of cell k. */
    static __device__ __forceinline__ int column(int k)
    {
        return Team<TEAM>::rank() * Cell::SIZE + k * TEAM * Cell::SIZE;
    }
    /* Whether cell k lies within a row of C. */
    static __device__ __forceinline__ bool has(int k, int64_t C)
    {
        return k * TEAM * Cell::SIZE < (int)C - Team<TEAM>::rank() * Cell::SIZE;
    }
};

/* The cell of x at row n and column i, zero where there is no x. */
template <typename T, typename Cell>
__device__ __forceinline__ void take(Cell &cell, const Matrix<T> &x, int64_t n, int64_t i)
{
    if (x.data)
        cell.load(x.row(n) + i);
    else
        clear(cell);
}

/* What forward normalises: x, or x + residual, kept in sum; both of these may be missing. */
template <typename T>
struct NormSum {
    Matrix<T> x, residual, sum;

    /* The cell at row n and column i, as it is stored and will be read again; stores it. */
    template <typename Cell>
    __device__ __forceinline__ void take(Cell &s, int64_t n, int64_t i) const
    {
        s.load(x.row(n) + i);
        if (!residual.data)
            return;
        Cell more;
        more.load(residual.row(n) + i);
#pragma unroll
        for (int j = 0; j < Cell::SIZE; j++)
            s.value[j] += more.value[j];
        if (!sum.data)
            return;
        s.store(sum.row(n) + i);
#pragma unroll
        for (int j = 0; j < Cell::SIZE; j++)
            s.value[j] = to_float(from_float<T>(s.value[j]));
    }
    /* The same once it has been stored: the sum may lie over the residual. */
    template <typename Cell>
    __device__ __forceinline__ void take_again(Cell &s, int64_t n, int64_t i) const
    {
        if (residual.data && sum.data)
            s.load(sum.row(n) + i);
        else
            take(s, n, i);
    }
};

/* Adds a thread's shares to those at `to`, or overwrites them. */
template <typename Row>
__device__ __forceinline__ void give_share(float *to, const float *before, const Row &share,
                                           int64_t C)
{
#pragma unroll
    for (int k = 0; k < Row::CELLS; k++)
#pragma unroll
        for (int j = 0; j < (int)(sizeof share.cell[k].value / sizeof(float)); j++) {
            const int64_t i = Row::column(k) + j;
            if (i < C)
                to[i] = (before ? before[i] : 0) + share.cell[k].value[j];
        }
}

/* dx[i] of a parameter: its shares, `step` apart, in order within FOLD_GROUPS groups of slices and then
 * group by group. */
template <typename T>
__global__ void __launch_bounds__(WARP *FOLD_GROUPS)
    norm_fold(T *dx, bool add, const float *part, int64_t C, int64_t step, int64_t slices)
{
    __shared__ float sum[FOLD_GROUPS][WARP];
    const int64_t i = (int64_t)blockIdx.x * WARP + threadIdx.x;
    const int64_t group = (slices + FOLD_GROUPS - 1) / FOLD_GROUPS, from = threadIdx.y * group;
    const int64_t to = from + group < slices ? from + group : slices;
    float mine = 0;

#pragma unroll 8
    for (int64_t k = from; k < to; k++)
        if (i < C)
            mine += part[k * step + i];
    sum[threadIdx.y][threadIdx.x] = mine;
    __syncthreads();
    if (threadIdx.y > 0 || i >= C)
        return;
    One<T> total;
    clear(total);
#pragma unroll
    for (int k = 0; k < FOLD_GROUPS; k++)
        total.value[0] += sum[k][threadIdx.x];
    give(dx + i, add, total);
}

/* ---- on the host ---- */

/* Calls held(row) with the HeldRow that forward keeps a row of C in, or wide(cell) where that is too
 * long. packs: cells of 16 bytes fit. */
template <typename T, typename Held, typename Wide>
static inline void with_held_row(int64_t C, bool packs, Held held, Wide wide)
{
    if (packs && C <= 256)
        held(HeldRow<Pack<T>, WARP, 8>());
    else if (packs && C <= 1024)
        held(HeldRow<Pack<T>, WARP, 32>());
    else if (packs && C <= 2048)
        held(HeldRow<Pack<T>, 256, 8>());
    else if (packs && C <= 8192)
        held(HeldRow<Pack<T>, 256, 32>());
    else if (packs && C <= 16384)
        held(HeldRow<Pack<T>, 1024, 16>());
    else if (packs)
        wide(Pack<T>());
    else if (C <= 256)
        held(HeldRow<One<T>, WARP, 8>());
    else if (C <= 4096)
        held(HeldRow<One<T>, 256, 16>());
    else
        wide(One<T>());
}

static inline void launch_fold(const Tensor *dx, bool add, const float *part, int64_t step,
                               int64_t slices, cudaStream_t stream)
{
    const int64_t C = dx ? tensor_size(dx) : 0;

    if (!dx)
        return;
    with_type(dx->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        LAUNCH((norm_fold<T>), blocks_for(C, WARP), dim3(WARP, FOLD_GROUPS), 0, stream, data<T>(dx),
               add, part, C, step, slices);
    });
}

#endif
