/* span_cross_entropy.cu - CUDA twin of span_cross_entropy.c: same contract, same formulas.
 *
 * A block per sequence and column finds the sequence's rows by the offsets on the device, takes the
 * softmax in one pass over them and, where the graph allows it, overwrites the logits by their
 * gradient. One more block per column clears the gradient of rows beyond the last sequence. The
 * losses are added by one block in a fixed order.
 */
#include "kernels/loss.cuh"
#include "kernels/loss.h"
#include "kernels/rows.cuh"

enum { SPAN_BLOCK = TEAM_BLOCK };           // threads
static const unsigned COLUMN_LIMIT = 65535; // blocks in the y direction

template <typename T>
struct Spans {
    Matrix<T> x, dx; // the gradient may lie over the logits; without data it is not wanted
    const int32_t *target, *offsets;
    int64_t N, K, B;
    const float *scalars, *seed; // seed: the gradient of the loss, or NULL
    float *lse, *loss;           // [B, K]; lse may be NULL
    bool add;
};

/* Column j of one sequence. */
struct Span {
    int64_t from, rows, target;
    bool counts;
};

template <typename T>
__device__ __forceinline__ Span span_of(const Spans<T> &p, int64_t b, int64_t j)
{
    Span s;

    s.from = p.offsets[b];
    s.rows = b < p.B ? p.offsets[b + 1] - s.from : p.N - s.from; // b = B: the rows of none
    s.target = b < p.B ? p.target[b * p.K + j] : -1;
    s.counts = s.target >= 0 && s.target < s.rows;
    return s;
}

template <typename T>
__device__ __forceinline__ void give_span(const Spans<T> &p, const Span &s, int64_t j, float lse)
{
    const float weight = p.scalars[STEP_TARGET_WEIGHT] / (float)p.K * loss_seed(p.seed);

    for (int64_t i = threadIdx.x; i < s.rows; i += SPAN_BLOCK) {
        One<T> d;
        clear(d);
        if (s.counts) {
            d.load(p.x.row(s.from + i) + j);
            d.value[0] = weight * expf(d.value[0] - lse);
            if (i == s.target)
                d.value[0] -= weight;
        }
        give(p.dx.row(s.from + i) + j, p.add, d);
    }
}

template <typename T>
__global__ void __launch_bounds__(SPAN_BLOCK) span_cross_entropy_columns(Spans<T> p)
{
    __shared__ float part[2][Team<SPAN_BLOCK>::WARPS];
    const int64_t b = blockIdx.x;

    for (int64_t j = blockIdx.y; j < p.K; j += gridDim.y) {
        const Span s = span_of(p, b, j);
        Softmax of;
        float aim = 0, lse = 0;

        if (s.counts) {
            if (threadIdx.x == 0)
                aim = to_float(p.x.row(s.from + s.target)[j]);
            for (int64_t i = threadIdx.x; i < s.rows; i += SPAN_BLOCK) {
                One<T> cell;
                cell.load(p.x.row(s.from + i) + j);
                of.take(cell);
            }
            of.join<SPAN_BLOCK>(part);
            lse = of.most + logf(of.total);
        }
        if (threadIdx.x == 0 && b < p.B) {
            p.loss[b * p.K + j] = s.counts ? logf(of.total) + (of.most - aim) : 0;
            if (p.lse)
                p.lse[b * p.K + j] = lse;
        }
        __syncthreads(); // every logit has been read
        if (p.dx.data)
            give_span(p, s, j, lse);
    }
}

template <typename T>
__global__ void __launch_bounds__(SPAN_BLOCK) span_cross_entropy_gradient(Spans<T> p)
{
    const int64_t b = blockIdx.x;

    for (int64_t j = blockIdx.y; j < p.K; j += gridDim.y)
        give_span(p, span_of(p, b, j), j, b < p.B ? p.lse[b * p.K + j] : 0);
}

template <typename T>
static Spans<T> spans_of(const Call *c, const Tensor *dx)
{
    const Tensor *x = c->in[LOGITS];
    Spans<T> p = {};

    p.x = matrix<T>(x);
    p.dx = matrix<T>(dx);
    p.target = data<int32_t>(c->in[TARGET]);
    p.offsets = data<int32_t>(c->in[OFFSETS]);
    p.N = tensor_rows(x);
    p.K = tensor_columns(x);
    p.B = tensor_size(c->in[OFFSETS]) - 1;
    p.scalars = data<float>(c->in[SCALARS]);
    p.seed = data<float>(c->dout[0]);
    p.lse = data<float>(c->save[LSE]);
    p.loss = static_cast<float *>(c->scratch);
    return p;
}

template <typename T>
static dim3 grid_of(const Spans<T> &p)
{
    return dim3((unsigned)(p.B + 1), p.K < COLUMN_LIMIT ? (unsigned)p.K : COLUMN_LIMIT);
}

Status span_cross_entropy_prepare_cuda(Call *c)
{
    c->scratch_bytes = c->pass == FORWARD ? (size_t)tensor_size(c->in[TARGET]) * sizeof(float) : 0;
    return OK;
}

void span_cross_entropy_forward_cuda(Call *c)
{
    with_type(c->in[LOGITS]->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        const Spans<T> p = spans_of<T>(c, c->gradient_early ? c->in[LOGITS] : NULL);
        LAUNCH((span_cross_entropy_columns<T>), grid_of(p), SPAN_BLOCK, 0, call_stream(c), p);
    });
    LAUNCH(loss_fold, 1, LOSS_BLOCK, 0, call_stream(c), data<float>(c->out[0]),
           static_cast<const float *>(c->scratch), tensor_size(c->in[TARGET]),
           data<float>(c->in[SCALARS]), tensor_columns(c->in[LOGITS]));
}

void span_cross_entropy_backward_cuda(Call *c)
{
    if (!c->din[LOGITS])
        return;
    with_type(c->in[LOGITS]->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        Spans<T> p = spans_of<T>(c, c->din[LOGITS]);
        p.add = c->accumulate & 1u << LOGITS;
        LAUNCH((span_cross_entropy_gradient<T>), grid_of(p), SPAN_BLOCK, 0, call_stream(c), p);
    });
}
