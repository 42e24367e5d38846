/* cross_entropy.cu - CUDA twin of cross_entropy.c: same contract, same formulas.
 *
 *   rows      a warp per row where rows are short, else a block: the softmax in one pass over the
 *             logits, the row's loss, and where the graph allows it the gradient over the logits
 *             while they are in the cache
 *   gradient  the plain form of backward, from the log of the sum that forward kept
 *
 * The losses of the rows are added by one block in a fixed order.
 */
#include "kernels/loss.cuh"
#include "kernels/loss.h"
#include "kernels/rows.cuh"

/* What every row needs to know. */
template <typename T>
struct LossRows {
    Matrix<T> x, dx; // the gradient may lie over the logits; without data it is not wanted
    const int32_t *target, *offsets;
    int64_t N, V, K, B;
    const float *scalars, *seed; // seed: the gradient of the loss, or NULL
    float *lse, *loss;           // lse may be NULL
    float smoothing;
    bool add;

    __device__ __forceinline__ bool counts(int64_t n) const
    {
        return n < offsets[B] && target[n] >= 0 && target[n] < K;
    }
};

/* dx of row n from its logits, which may be the same memory. Columns from K on get zero. */
template <int TEAM, typename T>
__device__ __forceinline__ void gradient_row(const LossRows<T> &p, int64_t n, float lse)
{
    const T *x = p.x.row(n);
    T *dx = p.dx.row(n);
    const float weight = p.scalars[STEP_TARGET_WEIGHT] * loss_seed(p.seed);
    const float shared = p.smoothing / (float)p.K, hit = weight * (1 - p.smoothing);
    const int64_t t = p.target[n];

    row_visit<TEAM>(x, p.V, same_place<T>(x, dx), [&](int64_t i, auto cell) {
        cell.load(x + i);
#pragma unroll
        for (int j = 0; j < cell.SIZE; j++) {
            const float d = i + j < p.K ? weight * (expf(cell.value[j] - lse) - shared) : 0;
            cell.value[j] = i + j == t ? d - hit : d;
        }
        give(dx + i, p.add, cell);
    });
}

template <int TEAM, typename T>
__device__ __forceinline__ void clear_row(const LossRows<T> &p, int64_t n)
{
    T *dx = p.dx.row(n);

    if (p.add)
        return;
    row_visit<TEAM>(dx, p.V, true, [&](int64_t i, auto cell) {
        clear(cell);
        cell.store(dx + i);
    });
}

template <typename T, int TEAM>
__global__ void __launch_bounds__(Team<TEAM>::BLOCK) cross_entropy_rows(LossRows<T> p)
{
    __shared__ float part[3][Team<TEAM>::WARPS];
    const int64_t n = Team<TEAM>::row();
    const bool first = Team<TEAM>::rank() == 0;
    float sum = 0, aim = 0;
    Softmax s;

    if (n >= p.N) // the whole team leaves together, here and below
        return;
    if (!p.counts(n)) {
        if (p.dx.data)
            clear_row<TEAM>(p, n);
        if (first)
            p.loss[n] = 0;
        if (first && p.lse)
            p.lse[n] = 0;
        return;
    }
    const T *x = p.x.row(n);
    if (first)
        aim = to_float(x[p.target[n]]);
    row_visit<TEAM>(x, p.K, true, [&](int64_t i, auto cell) {
        cell.load(x + i);
        s.take(cell);
        if (p.smoothing > 0)
#pragma unroll
            for (int j = 0; j < cell.SIZE; j++)
                sum += cell.value[j];
    });
    s.template join<TEAM>(part);
    const float mean = p.smoothing > 0 ? team_sum<TEAM>(sum, part[2]) / (float)p.K : 0;
    const float lse = s.most + logf(s.total);

    if (first) { // differences first: large logits cost no digits
        const float smooth = p.smoothing > 0 ? p.smoothing * (s.most - mean) : 0;
        p.loss[n] = logf(s.total) + (1 - p.smoothing) * (s.most - aim) + smooth;
        if (p.lse)
            p.lse[n] = lse;
    }
    Team<TEAM>::sync(); // every logit has been read
    if (p.dx.data)
        gradient_row<TEAM>(p, n, lse);
}

template <typename T, int TEAM>
__global__ void __launch_bounds__(Team<TEAM>::BLOCK) cross_entropy_gradient(LossRows<T> p)
{
    const int64_t n = Team<TEAM>::row();

    if (n >= p.N)
        return;
    if (p.counts(n))
        gradient_row<TEAM>(p, n, p.lse[n]);
    else
        clear_row<TEAM>(p, n);
}

template <typename T>
static LossRows<T> rows_of(const Call *c, const Tensor *dx)
{
    const CrossEntropyArgs *args = static_cast<const CrossEntropyArgs *>(c->args);
    const Tensor *x = c->in[LOGITS];
    LossRows<T> p = {};

    p.x = matrix<T>(x);
    p.dx = matrix<T>(dx);
    p.target = data<int32_t>(c->in[TARGET]);
    p.offsets = data<int32_t>(c->in[OFFSETS]);
    p.N = tensor_rows(x);
    p.V = tensor_columns(x);
    p.K = args->classes > 0 ? args->classes : p.V;
    p.B = tensor_size(c->in[OFFSETS]) - 1;
    p.scalars = data<float>(c->in[SCALARS]);
    p.seed = data<float>(c->dout[0]);
    p.lse = data<float>(c->save[LSE]);
    p.loss = static_cast<float *>(c->scratch);
    p.smoothing = args->label_smoothing;
    return p;
}

Status cross_entropy_prepare_cuda(Call *c)
{
    c->scratch_bytes = c->pass == FORWARD ? (size_t)tensor_rows(c->in[LOGITS]) * sizeof(float) : 0;
    return OK;
}

void cross_entropy_forward_cuda(Call *c)
{
    const int64_t N = tensor_rows(c->in[LOGITS]);

    with_type(c->in[LOGITS]->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        const LossRows<T> p = rows_of<T>(c, c->gradient_early ? c->in[LOGITS] : NULL);
        with_team(p.V, [&](auto team) {
            const int TEAM = decltype(team)::value;
            LAUNCH((cross_entropy_rows<T, TEAM>), blocks_for(N, Team<TEAM>::ROWS),
                   Team<TEAM>::BLOCK, 0, call_stream(c), p);
        });
    });
    LAUNCH(loss_fold, 1, LOSS_BLOCK, 0, call_stream(c), data<float>(c->out[0]),
           static_cast<const float *>(c->scratch), N, data<float>(c->in[SCALARS]), (int64_t)1);
}

void cross_entropy_backward_cuda(Call *c)
{
    if (!c->din[LOGITS])
        return;
    with_type(c->in[LOGITS]->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        LossRows<T> p = rows_of<T>(c, c->din[LOGITS]);
        p.add = c->accumulate & 1u << LOGITS;
        with_team(p.V, [&](auto team) {
            const int TEAM = decltype(team)::value;
            LAUNCH((cross_entropy_gradient<T, TEAM>), blocks_for(p.N, Team<TEAM>::ROWS),
                   Team<TEAM>::BLOCK, 0, call_stream(c), p);
        });
    });
}
