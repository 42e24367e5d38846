/* layernorm_forward.cu - the rows of layernorm and add_layernorm on CUDA: forward; formulas: layernorm.h. */
#include "kernels/layernorm.h"
#include "kernels/norm_forward.cuh"

/* The sum of a cell's d = value - near, and of d^2. */
template <typename Cell>
__device__ __forceinline__ float2 spread_of(const Cell &s, float near)
{
    float2 sum = make_float2(0, 0);

#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++) {
        const float d = s.value[j] - near;
        sum = sum + make_float2(d, d * d);
    }
    return sum;
}

template <typename Cell>
__device__ __forceinline__ float sum_of(const Cell &s)
{
    float sum = 0;

#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++)
        sum += s.value[j];
    return sum;
}

/* spread: of a whole row of C; near: close to its mean, as good as F32 sums of C numbers are. */
static __device__ __forceinline__ Statistics statistics_of(float2 spread, float near, int64_t C,
                                                           float epsilon)
{
    const float shift = spread.x / (float)C;
    const float variance = spread.y / (float)C - shift * shift;

    return Statistics{near + shift, 1 / sqrtf((variance < 0 ? 0 : variance) + epsilon)};
}

template <typename T, typename Cell>
__device__ __forceinline__ void give_y(const ForwardRows<T> &p, int64_t n, int64_t i, const Cell &s,
                                       Statistics of)
{
    float weight[Cell::SIZE], bias[Cell::SIZE];
    Cell y;

    load_weight<Cell>(weight, p.weight, i);
    load_weight<Cell>(bias, p.bias, i);
#pragma unroll
    for (int j = 0; j < Cell::SIZE; j++)
        y.value[j] = (s.value[j] - of.mean) * of.rstd * weight[j] + bias[j];
    y.store(p.y.row(n) + i);
}

template <typename T>
__device__ __forceinline__ void keep(const ForwardRows<T> &p, int64_t n, Statistics of)
{
    if (p.mean) {
        p.mean[n] = of.mean;
        p.rstd[n] = of.rstd;
    }
}

template <typename T, typename Row>
__global__ void __launch_bounds__(Team<Row::TEAM>::BLOCK) layernorm_forward_held(ForwardRows<T> p)
{
    const int TEAM = Row::TEAM;
    __shared__ float part[Team<TEAM>::WARPS];
    __shared__ float2 parts[Team<TEAM>::WARPS];
    const int64_t n = Team<TEAM>::row();
    float sum = 0;
    float2 spread = make_float2(0, 0);
    Row s;

    if (n >= p.N) // the whole team leaves together
        return;
#pragma unroll
    for (int k = 0; k < Row::CELLS; k++) {
        clear(s.cell[k]);
        if (Row::has(k, p.C))
            p.from.take(s.cell[k], n, Row::column(k));
    }
#pragma unroll
    for (int k = 0; k < Row::CELLS; k++)
        sum += sum_of(s.cell[k]);
    const float near = team_sum<TEAM>(sum, part) / (float)p.C;
#pragma unroll
    for (int k = 0; k < Row::CELLS; k++)
        if (Row::has(k, p.C))
            spread = spread + spread_of(s.cell[k], near);
    const Statistics of = statistics_of(team_sum<TEAM>(spread, parts), near, p.C, p.epsilon);
#pragma unroll
    for (int k = 0; k < Row::CELLS; k++)
        if (Row::has(k, p.C))
            give_y(p, n, Row::column(k), s.cell[k], of);
    if (Team<TEAM>::rank() == 0)
        keep(p, n, of);
}

template <typename T, typename Cell>
__global__ void __launch_bounds__(WIDE) layernorm_forward_wide(ForwardRows<T> p)
{
    __shared__ float part[Team<WIDE>::WARPS];
    __shared__ float2 parts[Team<WIDE>::WARPS];
    const int64_t n = blockIdx.x, first = threadIdx.x * Cell::SIZE, step = WIDE * Cell::SIZE;
    float sum = 0;
    float2 spread = make_float2(0, 0);
    Cell s;

#pragma unroll 4
    for (int64_t i = first; i < p.C; i += step) {
        p.from.take(s, n, i);
        sum += sum_of(s);
    }
    const float near = team_sum<WIDE>(sum, part) / (float)p.C;
#pragma unroll 4
    for (int64_t i = first; i < p.C; i += step) {
        p.from.take_again(s, n, i);
        spread = spread + spread_of(s, near);
    }
    const Statistics of = statistics_of(team_sum<WIDE>(spread, parts), near, p.C, p.epsilon);
    for (int64_t i = first; i < p.C; i += step) {
        p.from.take_again(s, n, i);
        give_y(p, n, i, s, of);
    }
    if (threadIdx.x == 0)
        keep(p, n, of);
}

void layernorm_forward_rows_cuda(const NormForward *p, const Call *c)
{
    cudaStream_t stream = call_stream(c);

    norm_forward(
        p,
        [&](auto rows, auto row) {
            typedef decltype(row) Row;
            LAUNCH((layernorm_forward_held<typename decltype(rows)::T, Row>),
                   blocks_for(rows.N, Team<Row::TEAM>::ROWS), Team<Row::TEAM>::BLOCK, 0, stream,
                   rows);
        },
        [&](auto rows, auto cell) {
            LAUNCH((layernorm_forward_wide<typename decltype(rows)::T, decltype(cell)>),
                   (unsigned)rows.N, WIDE, 0, stream, rows);
        });
}
