/* rmsnorm_forward.cu - the rows of rmsnorm and add_rmsnorm on CUDA: forward.
 *
 *   held   a row of up to 16384 columns stays in the registers of its team: one read
 *   wide   beyond that a block reads its row again, from the cache
 */
#include "kernels/norm_rows.cuh"
#include "kernels/rmsnorm.h"

enum { WIDE = 512 }; // threads

template <typename T>
struct RmsForwardRows {
    Matrix<T> x, residual, sum, y; // residual and sum may be missing
    Weight<T> weight;
    float *rstd; // NULL: not kept
    int64_t N, C;
    float epsilon;
};

/* x, or x + residual as it is stored and will be read again, at row n and column i; stores it. */
template <typename T, typename Cell>
__device__ __forceinline__ void take_sum(Cell &s, const RmsForwardRows<T> &p, int64_t n, int64_t i)
{
    s.load(p.x.row(n) + i);
    if (!p.residual.data)
        return;
    Cell residual;
    residual.load(p.residual.row(n) + i);
#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++)
        s.value[j] += residual.value[j];
    if (!p.sum.data)
        return;
    s.store(p.sum.row(n) + i);
#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++)
        s.value[j] = to_float(from_float<T>(s.value[j]));
}

template <typename Cell>
__device__ __forceinline__ float square_of(const Cell &s)
{
    float sum = 0;

#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++)
        sum = fmaf(s.value[j], s.value[j], sum);
    return sum;
}

template <typename T, typename Cell>
__device__ __forceinline__ void give_y(const RmsForwardRows<T> &p, int64_t n, int64_t i,
                                       const Cell &s, float rstd)
{
    float weight[Cell::SIZE];
    Cell y;

    load_weight<Cell>(weight, p.weight, i);
#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++)
        y.value[j] = s.value[j] * rstd * weight[j];
    y.store(p.y.row(n) + i);
}

template <typename T, typename Cell, int TEAM, int HELD>
__global__ void __launch_bounds__(Team<TEAM>::BLOCK) rmsnorm_forward_held(RmsForwardRows<T> p)
{
    typedef HeldRow<Cell, TEAM, HELD> Row;
    __shared__ float part[Team<TEAM>::WARPS];
    const int64_t n = Team<TEAM>::row();
    float square = 0;
    Row s;

    if (n >= p.N) // the whole team leaves together
        return;
#pragma unroll
    for (int k = 0; k < Row::CELLS; k++)
        if (Row::has(k, p.C))
            take_sum(s.cell[k], p, n, Row::column(k));
#pragma unroll
    for (int k = 0; k < Row::CELLS; k++)
        if (Row::has(k, p.C))
            square += square_of(s.cell[k]);
    const float rstd = 1 / sqrtf(team_sum<TEAM>(square, part) / (float)p.C + p.epsilon);
#pragma unroll
    for (int k = 0; k < Row::CELLS; k++)
        if (Row::has(k, p.C))
            give_y(p, n, Row::column(k), s.cell[k], rstd);
    if (Team<TEAM>::rank() == 0 && p.rstd)
        p.rstd[n] = rstd;
}

template <typename T, typename Cell>
__global__ void __launch_bounds__(WIDE) rmsnorm_forward_wide(RmsForwardRows<T> p)
{
    __shared__ float part[Team<WIDE>::WARPS];
    const int64_t n = blockIdx.x, first = threadIdx.x * Cell::SIZE, step = WIDE * Cell::SIZE;
    float square = 0;
    Cell s;

#pragma unroll 4
    for (int64_t i = first; i < p.C; i += step) {
        take_sum(s, p, n, i);
        square += square_of(s);
    }
    const float rstd = 1 / sqrtf(team_sum<WIDE>(square, part) / (float)p.C + p.epsilon);
    for (int64_t i = first; i < p.C; i += step) {
        if (p.residual.data && p.sum.data) // which may lie over the residual
            s.load(p.sum.row(n) + i);
        else
            take_sum(s, p, n, i);
        give_y(p, n, i, s, rstd);
    }
    if (threadIdx.x == 0 && p.rstd)
        p.rstd[n] = rstd;
}

template <typename T, typename Cell, int TEAM, int HELD>
static void launch_held(const RmsForwardRows<T> &p, cudaStream_t stream)
{
    LAUNCH((rmsnorm_forward_held<T, Cell, TEAM, HELD>), blocks_for(p.N, Team<TEAM>::ROWS),
           Team<TEAM>::BLOCK, 0, stream, p);
}

template <typename T>
static void launch_packs(const RmsForwardRows<T> &p, cudaStream_t stream)
{
    typedef Pack<T> Cell;

    if (p.C <= 256)
        launch_held<T, Cell, WARP, 8>(p, stream);
    else if (p.C <= 1024)
        launch_held<T, Cell, WARP, 32>(p, stream);
    else if (p.C <= 2048)
        launch_held<T, Cell, 256, 8>(p, stream);
    else if (p.C <= 8192)
        launch_held<T, Cell, 256, 32>(p, stream);
    else if (p.C <= 16384)
        launch_held<T, Cell, 1024, 16>(p, stream);
    else
        LAUNCH((rmsnorm_forward_wide<T, Cell>), (unsigned)p.N, WIDE, 0, stream, p);
}

template <typename T>
static void launch_ones(const RmsForwardRows<T> &p, cudaStream_t stream)
{
    typedef One<T> Cell;

    if (p.C <= 256)
        launch_held<T, Cell, WARP, 8>(p, stream);
    else if (p.C <= 4096)
        launch_held<T, Cell, 256, 16>(p, stream);
    else
        LAUNCH((rmsnorm_forward_wide<T, Cell>), (unsigned)p.N, WIDE, 0, stream, p);
}

void rmsnorm_forward_rows_cuda(const RmsnormForward *p, const Call *c)
{
    const bool packs = in_packs(p->x) && in_packs(p->residual) && in_packs(p->sum) &&
                       in_packs(p->y) && in_packs(p->weight);

    if (tensor_rows(p->x) == 0)
        return;
    with_type(p->x->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        const RmsForwardRows<T> rows = {
            matrix<T>(p->x),   matrix<T>(p->residual),  matrix<T>(p->sum),
            matrix<T>(p->y),   weight_of<T>(p->weight), data<float>(p->rstd),
            tensor_rows(p->x), tensor_columns(p->x),    p->epsilon};
        if (packs)
            launch_packs(rows, call_stream(c));
        else
            launch_ones(rows, call_stream(c));
    });
}
