/* cross_entropy.cu - CUDA twin of cross_entropy.c: same contract, same formulas.
 *
 *   rows      a warp per row where rows are short, else a block: the softmax in one pass over the
 *             logits, the row's loss, and where the graph allows it the gradient over the logits
 *             while they are in the cache
 *   gradient  the plain form of backward, from the log of the sum that forward kept
 *
 * The losses of the rows are added by one block in a fixed order.
 */
#include "kernels/cross_entropy.cuh"
#include "kernels/loss.h"

template <typename T>
struct LossRows {
    LossRule rule;
    Matrix<T> x, dx; // the gradient may lie over the logits; without data it is not wanted
    int64_t N, V;
    float *lse, *loss; // lse may be NULL
    bool add;
};

/* dx of row n from its logits, which may be the same memory. */
template <int TEAM, typename T>
__device__ __forceinline__ void gradient_row(const LossRows<T> &p, int64_t n, float lse)
{
    const T *x = p.x.row(n);
    T *dx = p.dx.row(n);
    const LogitSlope slope = p.rule.slope(n, lse);

    row_visit<TEAM>(x, p.V, same_place<T>(x, dx), [&](int64_t i, auto cell) {
        cell.load(x + i);
        slope.turn(cell, i);
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
    RowLoss row = {0, 0};

    if (n >= p.N) // the whole team leaves together
        return;
    const bool counts = p.rule.counts(n);
    if (counts)
        row = row_loss<TEAM>(p.rule, p.x.row(n), n, part);
    if (first)
        p.loss[n] = row.loss;
    if (first && p.lse)
        p.lse[n] = row.lse;
    if (!p.dx.data)
        return;
    Team<TEAM>::sync(); // every logit has been read
    if (counts)
        gradient_row<TEAM>(p, n, row.lse);
    else
        clear_row<TEAM>(p, n);
}

template <typename T, int TEAM>
__global__ void __launch_bounds__(Team<TEAM>::BLOCK) cross_entropy_gradient(LossRows<T> p)
{
    const int64_t n = Team<TEAM>::row();

    if (n >= p.N)
        return;
    if (p.rule.counts(n))
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

    p.rule = loss_rule(c, *args, tensor_columns(x), c->in[TARGET], c->in[OFFSETS], c->in[SCALARS]);
    p.x = matrix<T>(x);
    p.dx = matrix<T>(dx);
    p.N = tensor_rows(x);
    p.V = tensor_columns(x);
    p.lse = data<float>(c->save[LSE]);
    p.loss = static_cast<float *>(c->scratch);
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
