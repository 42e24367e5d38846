/* softmax.cu - CUDA twin of softmax.c: same contract, same formulas.
 *
 * A warp per row where rows are short, else a block. The largest number and the sum come from one
 * pass over the row; the second pass finds it in the cache. y may lie over x, dx over dy.
 */
#include "kernels/rows.cuh"

template <typename T, int TEAM>
__global__ void __launch_bounds__(Team<TEAM>::BLOCK)
    softmax_rows(Matrix<T> y_rows, Matrix<T> x_rows, int64_t N, int64_t C)
{
    __shared__ float part[2][Team<TEAM>::WARPS];
    const int64_t n = Team<TEAM>::row();
    Softmax s;

    if (n >= N) // the whole team leaves together
        return;
    const T *x = x_rows.row(n);
    T *y = y_rows.row(n);
    const bool packs = same_place<T>(x, y);

    row_visit<TEAM>(x, C, packs, [&](int64_t i, auto cell) {
        cell.load(x + i);
        s.take(cell);
    });
    s.template join<TEAM>(part);
    const float scale = 1 / s.total;
    row_visit<TEAM>(x, C, packs, [&](int64_t i, auto cell) {
        cell.load(x + i);
#pragma unroll
        for (int j = 0; j < cell.SIZE; j++)
            cell.value[j] = expf(cell.value[j] - s.most) * scale;
        cell.store(y + i);
    });
}

template <typename T, int TEAM>
__global__ void __launch_bounds__(Team<TEAM>::BLOCK)
    softmax_gradient(Matrix<T> dx_rows, Matrix<T> y_rows, Matrix<T> dy_rows, int64_t N, int64_t C,
                     bool add)
{
    __shared__ float part[Team<TEAM>::WARPS];
    const int64_t n = Team<TEAM>::row();
    float sum = 0;

    if (n >= N)
        return;
    const T *y = y_rows.row(n), *dy = dy_rows.row(n);
    T *dx = dx_rows.row(n);
    const bool packs = same_place<T>(y, dy) && same_place<T>(y, dx);

    row_visit<TEAM>(y, C, packs, [&](int64_t i, auto cell) {
        auto g = cell;
        cell.load(y + i);
        g.load(dy + i);
#pragma unroll
        for (int j = 0; j < cell.SIZE; j++)
            sum += cell.value[j] * g.value[j];
    });
    sum = team_sum<TEAM>(sum, part);
    row_visit<TEAM>(y, C, packs, [&](int64_t i, auto cell) {
        auto g = cell;
        cell.load(y + i);
        g.load(dy + i);
#pragma unroll
        for (int j = 0; j < cell.SIZE; j++)
            cell.value[j] *= g.value[j] - sum;
        give(dx + i, add, cell);
    });
}

void softmax_forward_cuda(Call *c)
{
    const Tensor *x = c->in[0];
    const int64_t N = tensor_rows(x), C = tensor_columns(x);

    with_type(x->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        with_team(C, [&](auto team) {
            const int TEAM = decltype(team)::value;
            LAUNCH((softmax_rows<T, TEAM>), blocks_for(N, Team<TEAM>::ROWS), Team<TEAM>::BLOCK, 0,
                   call_stream(c), matrix<T>(c->out[0]), matrix<T>(x), N, C);
        });
    });
}

void softmax_backward_cuda(Call *c)
{
    const Tensor *y = c->out[0];
    const int64_t N = tensor_rows(y), C = tensor_columns(y);

    if (!c->din[0])
        return;
    with_type(y->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        with_team(C, [&](auto team) {
            const int TEAM = decltype(team)::value;
            LAUNCH((softmax_gradient<T, TEAM>), blocks_for(N, Team<TEAM>::ROWS), Team<TEAM>::BLOCK,
                   0, call_stream(c), matrix<T>(c->din[0]), matrix<T>(y), matrix<T>(c->dout[0]), N,
                   C, (c->accumulate & 1) != 0);
        });
    });
}
