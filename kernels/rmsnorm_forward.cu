/* rmsnorm_forward.cu - the rows of rmsnorm and add_rmsnorm on CUDA: forward; formulas: rmsnorm.h. */
#include "kernels/norm_forward.cuh"
#include "kernels/rmsnorm.h"

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
__device__ __forceinline__ void give_y(const ForwardRows<T> &p, int64_t n, int64_t i, const Cell &s,
                                       float rstd)
{
    float weight[Cell::SIZE];
    Cell y;

    load_weight<Cell>(weight, p.weight, i);
#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++)
        y.value[j] = s.value[j] * rstd * weight[j];
    y.store(p.y.row(n) + i);
}

template <typename T, typename Row>
__global__ void __launch_bounds__(Team<Row::TEAM>::BLOCK) rmsnorm_forward_held(ForwardRows<T> p)
{
    const int TEAM = Row::TEAM;
    __shared__ float part[Team<TEAM>::WARPS];
    const int64_t n = Team<TEAM>::row();
    float square = 0;
    Row s;

    if (n >= p.N) // the whole team leaves together
        return;
#pragma unroll
    for (int k = 0; k < Row::CELLS; k++)
        if (Row::has(k, p.C))
            p.from.take(s.cell[k], n, Row::column(k));
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
__global__ void __launch_bounds__(WIDE) rmsnorm_forward_wide(ForwardRows<T> p)
{
    __shared__ float part[Team<WIDE>::WARPS];
    const int64_t n = blockIdx.x, first = threadIdx.x * Cell::SIZE, step = WIDE * Cell::SIZE;
    float square = 0;
    Cell s;

#pragma unroll 4
    for (int64_t i = first; i < p.C; i += step) {
        p.from.take(s, n, i);
        square += square_of(s);
    }
    const float rstd = 1 / sqrtf(team_sum<WIDE>(square, part) / (float)p.C + p.epsilon);
    for (int64_t i = first; i < p.C; i += step) {
        p.from.take_again(s, n, i);
        give_y(p, n, i, s, rstd);
    }
    if (threadIdx.x == 0 && p.rstd)
        p.rstd[n] = rstd;
}

void rmsnorm_forward_rows_cuda(const NormForward *p, const Call *c)
{
    cudaStream_t stream = call_stream(c);

    norm_forward(
        p,
        [&](auto rows, auto row) {
            typedef decltype(row) Row;
            LAUNCH((rmsnorm_forward_held<typename decltype(rows)::T, Row>),
                   blocks_for(rows.N, Team<Row::TEAM>::ROWS), Team<Row::TEAM>::BLOCK, 0, stream,
                   rows);
        },
        [&](auto rows, auto cell) {
            LAUNCH((rmsnorm_forward_wide<typename decltype(rows)::T, decltype(cell)>),
                   (unsigned)rows.N, WIDE, 0, stream, rows);
        });
}
