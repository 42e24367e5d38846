/* recurrent_cudnn.cu - lstm and gru by cuDNN: both passes; see recurrent_cudnn.cuh. */
#include "kernels/recurrent_cudnn.cuh"

#ifdef WITH_CUDNN
enum { THREADS = 256, MOST_DIRECTIONS = 2, SIDES = 2, MOST_GATES = 4 };

static const float FAR = 1000; // sigmoid(FAR) is 1, sigmoid(-FAR) is 0

/* ---- weights ---- */

/* Where cuDNN has each gate's matrix [H, width or H] and bias [H]: of x and of h. */
struct WeightPlaces {
    void *matrix[MOST_DIRECTIONS][SIDES][MOST_GATES], *bias[MOST_DIRECTIONS][SIDES][MOST_GATES];
    int64_t D, G, H, C, width;
    RecurrentKind kind;
};

/* One number of a weight space: which, and where its like lies in the tensors. */
struct WeightAt {
    int64_t d, gate, unit, column; // column: of x, then of h, then both biases
    int side;
    bool bias;

    __device__ __forceinline__ WeightAt(const WeightPlaces &p, int64_t i)
    {
        const int64_t columns = p.width + p.H + SIDES;

        column = i % columns;
        unit = i / columns % p.H;
        gate = i / columns / p.H % p.G;
        d = i / columns / p.H / p.G;
        bias = column >= p.width + p.H;
        side = bias ? (int)(column - p.width - p.H) : column >= p.width;
        if (!bias && side)
            column -= p.width;
    }
    __device__ __forceinline__ int64_t row(const WeightPlaces &p) const
    {
        return (d * p.G + gate) * p.H + unit;
    }
    template <typename T>
    __device__ __forceinline__ T *in_space(const WeightPlaces &p) const
    {
        T *start = static_cast<T *>(bias ? p.bias[d][side][gate] : p.matrix[d][side][gate]);
        return start + (bias ? unit : unit * (side ? p.H : p.width) + column);
    }
    /* Of the columns that x does not have: what padding does to this gate, then zeros. */
    __device__ __forceinline__ float flag(const WeightPlaces &p) const
    {
        if (column > p.C)
            return 0;
        return p.kind == GRU ? gate == 1 ? FAR : 0 : gate == 1 ? FAR : gate == 2 ? 0 : -FAR;
    }
};

static int64_t weights_of(const WeightPlaces &p)
{
    return p.D * p.G * p.H * (p.width + p.H + SIDES);
}

template <typename T>
static __global__ void pack_weights(WeightPlaces p, Weight<T> w_ih, Weight<T> w_hh, Weight<T> b_ih,
                                    Weight<T> b_hh)
{
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    float x = 0;

    if (i >= p.D * p.G * p.H * (p.width + p.H + SIDES))
        return;
    const WeightAt at(p, i);
    if (at.bias)
        x = at.side ? b_hh[at.row(p)] : b_ih[at.row(p)];
    else if (at.side)
        x = w_hh[at.row(p) * p.H + at.column];
    else
        x = at.column < p.C ? w_ih[at.row(p) * p.C + at.column] : at.flag(p);
    *at.in_space<T>(p) = from_float<T>(x);
}

/* A gradient of weights, of F32 or T; data NULL: nobody wants it. */
template <typename T>
struct WeightGradient {
    void *data;
    bool f32, add;

    __device__ __forceinline__ void give(int64_t i, float x) const
    {
        if (!data)
            return;
        if (f32) {
            float *to = static_cast<float *>(data) + i;
            *to = add ? *to + x : x;
        } else {
            T *to = static_cast<T *>(data) + i;
            *to = from_float<T>(add ? to_float(*to) + x : x);
        }
    }
};

template <typename T>
static __global__ void unpack_weights(WeightPlaces p, WeightGradient<T> w_ih,
                                      WeightGradient<T> w_hh, WeightGradient<T> b_ih,
                                      WeightGradient<T> b_hh)
{
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;

    if (i >= p.D * p.G * p.H * (p.width + p.H + SIDES))
        return;
    const WeightAt at(p, i);
    const float x = to_float(*at.in_space<T>(p));
    if (at.bias)
        (at.side ? b_hh : b_ih).give(at.row(p), x);
    else if (at.side)
        w_hh.give(at.row(p) * p.H + at.column, x);
    else if (at.column < p.C)
        w_ih.give(at.row(p) * p.C + at.column, x);
}

/* In a weight space that begins at `space`. */
static WeightPlaces places_in(const Call *c, const RecurrentCudnn *p, void *space)
{
    const Cudnn *n = p->library;
    const RecurrentShape *s = &p->shape;
    WeightPlaces w = {};

    w.D = s->D, w.G = s->G, w.H = s->H, w.C = s->C, w.width = p->width, w.kind = s->kind;
    for (int d = 0; d < s->D; d++)
        for (int i = 0; i < SIDES * s->G; i++)
            cudnn_launched(n, c->device,
                           n->weight_places(n->handle, p->rnn, d, p->weight_bytes, space, i,
                                            p->matrix, &w.matrix[d][i / s->G][i % s->G], p->bias,
                                            &w.bias[d][i / s->G][i % s->G]));
    return w;
}

/* ---- rows ---- */

/* Packed rows and their places [T, B]. */
struct Padding {
    const int32_t *offsets;
    int64_t T, B;

    __device__ __forceinline__ int64_t length(int64_t b) const
    {
        return offsets[b + 1] - offsets[b];
    }
};

template <typename T>
static __global__ void pad_x(T *to, Matrix<const T> x, Padding p, int64_t C, int64_t width)
{
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, column = i % width;
    const int64_t b = i / width % p.B, t = i / width / p.B;

    if (t >= p.T)
        return;
    const bool real = t < p.length(b);
    to[i] = real && column < C ? *x.at(p.offsets[b] + t, column)
                               : from_float<T>(!real && column == C ? 1.0f : 0.0f);
}

/* y, or its gradient: dh_last, the gradient of h', is that of the row where a direction ends. Backwards
 * a sequence's first step comes out of the padding, whose y is therefore h0, as it was in forward. */
template <typename T>
static __global__ void pad_y(T *to, Matrix<const T> y, const T *h0, const T *dh_last, Padding p,
                             int64_t D, int64_t H)
{
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, column = i % (D * H);
    const int64_t b = i / (D * H) % p.B, t = i / (D * H) / p.B, d = column / H;

    if (t >= p.T)
        return;
    const bool real = t < p.length(b), last = real && t == (d ? 0 : p.length(b) - 1);
    const int64_t state = (d * p.B + b) * H + column % H;
    float sum = real && y.data ? to_float(*y.at(p.offsets[b] + t, column)) : 0;
    if (!real && d && h0)
        sum = to_float(h0[state]);
    if (last && dh_last)
        sum += to_float(dh_last[state]);
    to[i] = from_float<T>(sum);
}

/* Back: rows of no sequence are zero. */
template <typename T>
static __global__ void unpad(Matrix<T> to, const T *from, Padding p, int64_t rows, int64_t columns,
                             int64_t width, bool add)
{
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, n = i / columns;
    const int64_t column = i % columns;
    float x = 0;

    if (n >= rows)
        return;
    if (n < p.offsets[p.B]) {
        const int64_t b = sequence_of(p.offsets, p.B, n), t = n - p.offsets[b];
        x = to_float(from[(t * p.B + b) * width + column]);
    }
    *to.at(n, column) = from_float<T>(add ? to_float(*to.at(n, column)) + x : x);
}

/* h' [D*B, H]: the row of y where a direction ends; of an empty sequence h0. */
template <typename T>
static __global__ void last_states(T *to, Matrix<const T> y, const T *h0, Padding p, int64_t D,
                                   int64_t H)
{
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, u = i % H;
    const int64_t b = i / H % p.B, d = i / H / p.B;

    if (d >= D)
        return;
    if (p.length(b) > 0)
        to[i] = *y.at(d ? p.offsets[b] : p.offsets[b + 1] - 1, d * H + u);
    else
        to[i] = h0 ? h0[i] : from_float<T>(0);
}

/* The gradient of h0 or c0; of the h0 of an empty sequence that of h', which `last` then is. */
template <typename T>
static __global__ void first_states(T *to, const T *from, const T *last, Padding p, int64_t D,
                                    int64_t H, bool add)
{
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, b = i / H % p.B;

    if (i >= D * p.B * H)
        return;
    float x = to_float(from[i]) + (add ? to_float(to[i]) : 0);
    if (last && p.length(b) == 0)
        x += to_float(last[i]);
    to[i] = from_float<T>(x);
}

/* ---- passes ---- */

static const RecurrentCudnn *plan_of(const Call *c)
{
    return static_cast<const RecurrentCuda *>(c->plan)->cudnn;
}

static Padding padding_of(const Call *c, const RecurrentCudnn *p)
{
    return Padding{data<const int32_t>(c->in[OFFSETS]), p->T, p->shape.B};
}

/* x and weights as cuDNN wants them. */
template <typename T>
static void pack(const Call *c, const RecurrentCudnn *p)
{
    const WeightPlaces w = places_in(c, p, scratch_at<void *>(c, p->at_weight));

    LAUNCH((pack_weights<T>), blocks_for(weights_of(w), THREADS), (unsigned)THREADS, 0,
           call_stream(c), w, weight_of<T>(c->in[W_IH]), weight_of<T>(c->in[W_HH]),
           weight_of<T>(c->in[B_IH]), weight_of<T>(c->in[B_HH]));
    LAUNCH((pad_x<T>), blocks_for(p->T * p->shape.B * p->width, THREADS), (unsigned)THREADS, 0,
           call_stream(c), scratch_at<T>(c, p->at_x), matrix<const T>(c->in[X]), padding_of(c, p),
           p->shape.C, p->width);
}

template <typename T>
static void forward(const Call *c, const RecurrentCudnn *p)
{
    const RecurrentShape *s = &p->shape;
    const Cudnn *n = p->library;
    const bool keeps = c->save[GATES] != nullptr;
    T *y = scratch_at<T>(c, p->at_y);

    pack<T>(c, p);
    cudnnStatus_t status = n->set_stream(n->handle, call_stream(c));
    status = status ? status
                    : n->rnn_forward(n->handle, p->rnn,
                                     keeps ? CUDNN_FWD_MODE_TRAINING : CUDNN_FWD_MODE_INFERENCE,
                                     nullptr, p->x, scratch_at<T>(c, p->at_x), p->y, y, p->state,
                                     data<const T>(c->in[H0]), nullptr, p->state,
                                     data<const T>(c->in[C0]), data<T>(c->out[C_LAST]),
                                     p->weight_bytes, scratch_at<T>(c, p->at_weight), p->work_bytes,
                                     scratch_at<T>(c, p->at_work), keeps ? p->reserve_bytes : 0,
                                     data<void *>(c->save[GATES]));
    cudnn_launched(n, c->device, status);
    LAUNCH((unpad<T>), blocks_for(s->N * s->D * s->H, THREADS), (unsigned)THREADS, 0,
           call_stream(c), matrix<T>(c->out[Y]), y, padding_of(c, p), s->N, s->D * s->H,
           s->D * s->H, false);
    LAUNCH((last_states<T>), blocks_for(s->D * s->B * s->H, THREADS), (unsigned)THREADS, 0,
           call_stream(c), data<T>(c->out[H_LAST]), matrix<const T>(c->out[Y]),
           data<const T>(c->in[H0]), padding_of(c, p), s->D, s->H);
}

template <typename T>
static WeightGradient<T> gradient_of(const Call *c, int i)
{
    const Tensor *x = c->din[i];
    return WeightGradient<T>{x ? x->data : nullptr, x && x->dtype == F32,
                             (bool)(c->accumulate >> i & 1)};
}

/* cuDNN adds to its space of gradients. */
template <typename T>
static void weight_gradients(const Call *c, const RecurrentCudnn *p)
{
    const Cudnn *n = p->library;
    T *space = scratch_at<T>(c, p->at_dweight);

    if (!c->din[W_IH] && !c->din[W_HH] && !c->din[B_IH] && !c->din[B_HH])
        return;
    (void)cudaMemsetAsync(space, 0, p->weight_bytes, call_stream(c));
    cudnn_launched(n, c->device,
                   n->rnn_backward_weights(n->handle, p->rnn, CUDNN_WGRAD_MODE_ADD, nullptr, p->x,
                                           scratch_at<T>(c, p->at_x), p->state,
                                           data<const T>(c->in[H0]), p->y,
                                           scratch_at<T>(c, p->at_y), p->weight_bytes, space,
                                           p->work_bytes, scratch_at<T>(c, p->at_work),
                                           p->reserve_bytes, data<void *>(c->save[GATES])));
    const WeightPlaces w = places_in(c, p, space);
    LAUNCH((unpack_weights<T>), blocks_for(weights_of(w), THREADS), (unsigned)THREADS, 0,
           call_stream(c), w, gradient_of<T>(c, W_IH), gradient_of<T>(c, W_HH),
           gradient_of<T>(c, B_IH), gradient_of<T>(c, B_HH));
}

/* Gradients of x, h0 and c0 into their tensors. */
template <typename T>
static void give_gradients(const Call *c, const RecurrentCudnn *p)
{
    const RecurrentShape *s = &p->shape;

    if (c->din[X])
        LAUNCH((unpad<T>), blocks_for(s->N * s->C, THREADS), (unsigned)THREADS, 0, call_stream(c),
               matrix<T>(c->din[X]), scratch_at<const T>(c, p->at_dx), padding_of(c, p), s->N, s->C,
               p->width, (bool)(c->accumulate >> X & 1));
    for (int i = H0; i <= C0; i++)
        if (c->din[i])
            LAUNCH((first_states<T>), blocks_for(s->D * s->B * s->H, THREADS), (unsigned)THREADS, 0,
                   call_stream(c), data<T>(c->din[i]),
                   scratch_at<const T>(c, i == H0 ? p->at_dh : p->at_dc),
                   i == H0 ? data<const T>(c->dout[H_LAST]) : nullptr, padding_of(c, p), s->D, s->H,
                   (bool)(c->accumulate >> i & 1));
}

template <typename T>
static void backward(const Call *c, const RecurrentCudnn *p)
{
    const RecurrentShape *s = &p->shape;
    const Cudnn *n = p->library;
    const unsigned blocks = blocks_for(p->T * s->B * s->D * s->H, THREADS);

    pack<T>(c, p);
    LAUNCH((pad_y<T>), blocks, (unsigned)THREADS, 0, call_stream(c), scratch_at<T>(c, p->at_y),
           matrix<const T>(c->out[Y]), data<const T>(c->in[H0]), nullptr, padding_of(c, p), s->D,
           s->H);
    LAUNCH((pad_y<T>), blocks, (unsigned)THREADS, 0, call_stream(c), scratch_at<T>(c, p->at_dy),
           matrix<const T>(c->dout[Y]), nullptr, data<const T>(c->dout[H_LAST]), padding_of(c, p),
           s->D, s->H);
    cudnnStatus_t status = n->set_stream(n->handle, call_stream(c));
    status = status
                 ? status
                 : n->rnn_backward_data(
                       n->handle, p->rnn, nullptr, p->y, scratch_at<T>(c, p->at_y),
                       scratch_at<T>(c, p->at_dy), p->x, scratch_at<T>(c, p->at_dx), p->state,
                       data<const T>(c->in[H0]), nullptr, scratch_at<T>(c, p->at_dh), p->state,
                       data<const T>(c->in[C0]), data<const T>(c->dout[C_LAST]),
                       s->kind == LSTM ? scratch_at<T>(c, p->at_dc) : nullptr, p->weight_bytes,
                       scratch_at<T>(c, p->at_weight), p->work_bytes, scratch_at<T>(c, p->at_work),
                       p->reserve_bytes, data<void *>(c->save[GATES]));
    cudnn_launched(n, c->device, status);
    weight_gradients<T>(c, p);
    give_gradients<T>(c, p);
}

void recurrent_cudnn_forward(Call *c)
{
    with_type(c->in[X]->dtype, [&](auto zero) { forward<decltype(zero)>(c, plan_of(c)); });
}

void recurrent_cudnn_backward(Call *c)
{
    with_type(c->in[X]->dtype, [&](auto zero) { backward<decltype(zero)>(c, plan_of(c)); });
}
#else
void recurrent_cudnn_forward(Call *c)
{
    (void)c; // never prepared
}

void recurrent_cudnn_backward(Call *c)
{
    (void)c;
}
#endif
