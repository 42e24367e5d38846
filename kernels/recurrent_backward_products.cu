/* recurrent_backward_products.cu - what follows from the gradients of the gates of rnn, lstm and gru:
 * those of biases, x, w_ih and w_hh, sums and products over all rows.
 */
#include "kernels/recurrent.cuh"

enum { WIDE = 256 };

/* What the steps left. */
template <typename T>
struct Gates {
    const int32_t *offsets;
    int64_t B, N, H, D, width; // width: of dgates, D*G*H
    T *dgates, *dgates_h;      // [N, width]; one and the same but for gru
    const T *y;                // [N, D*H]
    const T *h0;               // [D*B, H] or NULL
};

/* dgates of rows beyond the true count. */
template <typename T>
static __global__ void tail_kernel(Gates<T> p)
{
    const int64_t i = (int64_t)blockIdx.x * WIDE + threadIdx.x;

    if (i >= p.N * p.width || i < p.offsets[p.B] * p.width)
        return;
    p.dgates[i] = from_float<T>(0.0f);
    if (p.dgates_h != p.dgates)
        p.dgates_h[i] = from_float<T>(0.0f);
}

/* before [N, D*H]: the state that each row started from. A block: WIDE columns of a row. */
template <typename T>
static __global__ void before_kernel(Gates<T> p, T *before)
{
    const int64_t i = (int64_t)blockIdx.y * WIDE + threadIdx.x, n = blockIdx.x;
    const int64_t columns = p.D * p.H, d = i / p.H;
    T x = from_float<T>(0.0f);

    if (i >= columns)
        return;
    if (n < p.offsets[p.B]) {
        const int64_t b = sequence_of(p.offsets, p.B, n), near = d ? n + 1 : n - 1;
        if (near >= p.offsets[b] && near < p.offsets[b + 1])
            x = p.y[near * columns + i];
        else if (p.h0)
            x = p.h0[(d * p.B + b) * p.H + i % p.H];
    }
    before[n * columns + i] = x;
}

/* sums[slice][column] of RECURRENT_SLICE rows of dgates; `across` blocks a slice. */
template <typename T>
static __global__ void slice_kernel(const T *dgates, float *sums, int64_t N, int64_t width,
                                    unsigned across)
{
    const int64_t i = (int64_t)(blockIdx.x % across) * WIDE + threadIdx.x;
    const int64_t slice = blockIdx.x / across, from = slice * RECURRENT_SLICE;
    const int64_t to = from + RECURRENT_SLICE < N ? from + RECURRENT_SLICE : N;
    float sum = 0;

    if (i >= width)
        return;
    for (int64_t n = from; n < to; n++)
        sum += to_float(dgates[n * width + i]);
    sums[slice * width + i] = sum;
}

/* out (+)= the slices in order. */
template <typename T>
static __global__ void fold_kernel(T *out, const float *sums, int64_t slices, int64_t width,
                                   bool add)
{
    const int64_t i = (int64_t)blockIdx.x * WIDE + threadIdx.x;
    float sum = 0;

    if (i >= width)
        return;
    for (int64_t s = 0; s < slices; s++)
        sum += sums[s * width + i];
    out[i] = from_float<T>((add ? to_float(out[i]) : 0.0f) + sum);
}

/* The gradients of both biases, from the gates' on the side of each. */
template <typename T>
static void sum_biases(const Call *c, const Gates<T> &p)
{
    const RecurrentCuda *plan = static_cast<const RecurrentCuda *>(c->plan);
    const int64_t slices = (p.N + RECURRENT_SLICE - 1) / RECURRENT_SLICE;
    const unsigned across = blocks_for(p.width, WIDE);
    float *sums = scratch_at<float>(c, plan->sums);
    const T *last = nullptr;

    for (int i = B_IH; i <= B_HH; i++) {
        const T *dgates = i == B_IH ? p.dgates : p.dgates_h;
        if (!c->din[i])
            continue;
        if (slices > 0 && dgates != last)
            LAUNCH(slice_kernel<T>, across * (unsigned)slices, WIDE, 0, call_stream(c), dgates,
                   sums, p.N, p.width, across);
        last = dgates;
        with_type(c->din[i]->dtype, [&](auto zero) {
            LAUNCH(fold_kernel<decltype(zero)>, across, WIDE, 0, call_stream(c),
                   data<decltype(zero)>(c->din[i]), sums, slices, p.width,
                   (c->accumulate >> i & 1) != 0);
        });
    }
}

template <typename T>
static void multiply_all(const Call *c, const Gates<T> &p)
{
    const RecurrentCuda *plan = static_cast<const RecurrentCuda *>(c->plan);
    const int64_t of_direction = p.width / p.D;
    T *before = scratch_at<T>(c, plan->before);
    char *scratch = scratch_at<char>(c, plan->products);

    if (plan->dx)
        gemm_run(plan->dx, c->stream, p.dgates, c->in[W_IH]->data, c->din[X]->data, nullptr,
                 scratch);
    if (plan->dw_ih)
        gemm_run(plan->dw_ih, c->stream, p.dgates, c->in[X]->data, c->din[W_IH]->data, nullptr,
                 scratch);
    if (!plan->dw_hh)
        return;
    LAUNCH(before_kernel<T>, dim3((unsigned)p.N, blocks_for(p.D * p.H, WIDE)), WIDE, 0,
           call_stream(c), p, before);
    for (int64_t d = 0; d < p.D; d++)
        gemm_run(plan->dw_hh, c->stream, p.dgates_h + d * of_direction, before + d * p.H,
                 tensor_row(c->din[W_HH], d * of_direction), nullptr, scratch);
}

void recurrent_products_cuda(const Call *c, const RecurrentShape *s)
{
    const RecurrentCuda *plan = static_cast<const RecurrentCuda *>(c->plan);

    with_type(c->in[X]->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        T *dgates = scratch_at<T>(c, plan->gates_at);
        const Gates<T> p = {data<const int32_t>(c->in[OFFSETS]),
                            s->B,
                            s->N,
                            s->H,
                            s->D,
                            s->D * s->G * s->H,
                            dgates,
                            s->kind == GRU ? scratch_at<T>(c, plan->dgates_h) : dgates,
                            data<const T>(c->out[Y]),
                            data<const T>(c->in[H0])};
        if (s->N > 0)
            LAUNCH(tail_kernel<T>, blocks_for(s->N * p.width, WIDE), WIDE, 0, call_stream(c), p);
        sum_biases<T>(c, p);
        if (s->N > 0)
            multiply_all<T>(c, p);
        else
            for (int i : {X, W_IH, W_HH})
                clear_gradient(c, i);
    });
}
