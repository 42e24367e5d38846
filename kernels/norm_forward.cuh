/* norm_forward.cuh - the rows of a norm on CUDA, forward: what its kernels are given and how they are
 * chosen.
 *
 *   held   a row of up to 16384 columns stays in the registers of its team: one read
 *   wide   beyond that a block reads its row again, from the cache, for each pass
 */
#ifndef KERNELS_NORM_FORWARD_CUH
#define KERNELS_NORM_FORWARD_CUH

#include "kernels/norm_rows.cuh"

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

template <typename Element>
struct ForwardRows {
    typedef Element T;
    NormSum<T> from;
    Matrix<T> y;
    Weight<T> weight, bias;
    float *mean, *rstd; // NULL: not kept
    int64_t N, C;
    float epsilon;
};

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

/* Calls held(rows, row) with a kernel's argument and the HeldRow that fits, or wide(rows, cell). */
template <typename Held, typename Wide>
static inline void norm_forward(const NormForward *p, Held held, Wide wide)
{
    const bool packs = in_packs(p->x) && in_packs(p->residual) && in_packs(p->sum) &&
                       in_packs(p->y) && in_packs(p->weight) && in_packs(p->bias);

    with_type(p->x->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        const ForwardRows<T> rows = {{matrix<T>(p->x), matrix<T>(p->residual), matrix<T>(p->sum)},
                                     matrix<T>(p->y),
                                     weight_of<T>(p->weight),
                                     weight_of<T>(p->bias),
                                     data<float>(p->mean),
                                     data<float>(p->rstd),
                                     tensor_rows(p->x),
                                     tensor_columns(p->x),
                                     p->epsilon};
        with_held_row<T>(
            rows.C, packs, [&](auto row) { held(rows, row); },
            [&](auto cell) { wide(rows, cell); });
    });
}

#endif
