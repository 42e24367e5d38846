/* norm_rows.cuh - what norms on CUDA share, forward and backward: rows held in registers.
 *
 * A thread holds its cells of a row in registers, so that memory is read once. How many cells there
 * are, and how large the team is, depends on the width; rows that are wider still are read again.
 */
#ifndef KERNELS_NORM_ROWS_CUH
#define KERNELS_NORM_ROWS_CUH

#include "kernels/norm.h"
#include "kernels/rows.cuh"

enum { WIDE = 512 }; // threads that share a row too wide to be held

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

struct Statistics { // of a row; mean: 0 in rmsnorm
    float mean, rstd;
};

#endif
