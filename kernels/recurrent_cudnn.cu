/* recurrent_cudnn.cu - lstm and gru by cuDNN, where kernel.lstm=cudnn or kernel.gru=cudnn asks for it.
 *
 * cuDNN takes the lengths of the sequences from the host. Here they are on the device and change from
 * replay to replay of a recorded graph, so cuDNN is told that every sequence is as long as the longest
 * of the bucket, T, and gets rows [T, B, C] that are padded. That padding neither counts nor changes a
 * state is made sure by one more column of x (with zeros up to a multiple of 8), 1 in padding and 0
 * elsewhere, whose weights drive the gates to their ends, exactly in every type:
 *
 *   lstm   i = o = 0, f = 1: c passes, h is 0; all gradients of gates are 0
 *   gru    z = 1: h passes; all gradients of gates are 0
 *
 * So c' and the gradients of states are cuDNN's own; h' is the row of y at each sequence's end. An lstm
 * that goes backwards through a sequence meets the padding first and would lose h0: it is refused.
 *
 * Weights are copied into cuDNN's weight space where cudnnGetRNNWeightParams() says (gates in PyTorch's
 * order), in the type of x; their gradients come in that type.
 */
#include "kernels/cudnn.cuh"
#include "kernels/recurrent.cuh"

#include <stdlib.h>

#ifdef WITH_CUDNN
enum { THREADS = 256, MOST_DIRECTIONS = 2, SIDES = 2, MOST_GATES = 4 };

static const int64_t WIDTHS = 8; // rows of x begin at multiples of as many elements
static const float FAR = 1000;   // sigmoid(FAR) is 1, sigmoid(-FAR) is 0

struct RecurrentCudnn {
    const Cudnn *library;
    RecurrentShape shape;
    int64_t T, width; // padded lengths; columns of x with the flag and zeros
    cudnnRNNDescriptor_t rnn;
    cudnnRNNDataDescriptor_t x, y;
    cudnnTensorDescriptor_t state, matrix, bias;
    size_t weight_bytes, work_bytes, reserve_bytes;
    size_t at_x, at_y, at_dx, at_dy, at_dh, at_dc, at_weight, at_dweight, at_work; // in scratch
};

/* ---- plan ---- */

static void close(RecurrentCudnn *p)
{
    const Cudnn *n = p->library;

    if (p->rnn)
        (void)n->rnn_destroy(p->rnn);
    for (const cudnnRNNDataDescriptor_t rows : {p->x, p->y})
        if (rows)
            (void)n->rows_destroy(rows);
    for (const cudnnTensorDescriptor_t tensor : {p->state, p->matrix, p->bias})
        if (tensor)
            (void)n->tensor_destroy(tensor);
    free(p);
}

static cudnnStatus_t describe_network(RecurrentCudnn *p, cudnnDataType_t type, bool tf32)
{
    const cudnnMathType_t math = type != CUDNN_DATA_FLOAT ? CUDNN_TENSOR_OP_MATH
                                 : tf32                   ? CUDNN_DEFAULT_MATH
                                                          : CUDNN_FMA_MATH;
    const cudnnStatus_t s = p->library->rnn_create(&p->rnn);

    return s ? s
             : p->library->rnn_set(p->rnn, CUDNN_RNN_ALGO_STANDARD,
                                   p->shape.kind == LSTM ? CUDNN_LSTM : CUDNN_GRU,
                                   CUDNN_RNN_DOUBLE_BIAS,
                                   p->shape.D == 2 ? CUDNN_BIDIRECTIONAL : CUDNN_UNIDIRECTIONAL,
                                   CUDNN_LINEAR_INPUT, type, CUDNN_DATA_FLOAT, math,
                                   (int32_t)p->width, (int32_t)p->shape.H, (int32_t)p->shape.H, 1,
                                   nullptr, CUDNN_RNN_PADDED_IO_ENABLED);
}

static cudnnStatus_t describe_rows(RecurrentCudnn *p, cudnnDataType_t type, const int *lengths)
{
    const Cudnn *n = p->library;
    const cudnnRNNDataLayout_t layout = CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED;
    const int T = (int)p->T, B = (int)p->shape.B;
    cudnnStatus_t s = n->rows_create(&p->x);

    s = s ? s : n->rows_create(&p->y);
    s = s ? s : n->rows_set(p->x, type, layout, T, B, (int)p->width, lengths, nullptr);
    return s ? s
             : n->rows_set(p->y, type, layout, T, B, (int)(p->shape.D * p->shape.H), lengths,
                           nullptr);
}

static cudnnStatus_t describe_states(RecurrentCudnn *p, cudnnDataType_t type)
{
    const Cudnn *n = p->library;
    const int B = (int)p->shape.B, H = (int)p->shape.H;
    const int dim[] = {(int)p->shape.D, B, H}, stride[] = {B * H, H, 1};
    cudnnStatus_t s = n->tensor_create(&p->state);

    s = s ? s : n->tensor_set(p->state, type, 3, dim, stride);
    s = s ? s : n->tensor_create(&p->matrix);
    return s ? s : n->tensor_create(&p->bias);
}

/* Descriptors and sizes for the shapes of c. */
static Status open(const Call *c, RecurrentCudnn **out)
{
    const cudnnDataType_t type = cudnn_type(c->in[X]->dtype);
    const Cudnn *n = nullptr;
    const Status opened = cudnn_open(c->device, &n);

    if (opened)
        return opened;
    RecurrentCudnn *p = static_cast<RecurrentCudnn *>(calloc(1, sizeof *p));
    const RecurrentShape shape = recurrent_shape_of(c);
    int *lengths = static_cast<int *>(calloc((size_t)shape.B, sizeof *lengths));
    if (!p || !lengths) {
        free(p);
        free(lengths);
        return fail(E_MEMORY, "%s: no memory for its plan", c->op->name);
    }
    p->library = n;
    p->shape = shape;
    p->T = recurrent_args(c)->longest > 0 ? recurrent_args(c)->longest : 1;
    p->width = shape.C / WIDTHS * WIDTHS + WIDTHS;
    for (int64_t b = 0; b < shape.B; b++)
        lengths[b] = (int)p->T;
    cudnnStatus_t s = describe_network(p, type, c->device->tf32);
    s = s ? s : describe_rows(p, type, lengths);
    s = s ? s : describe_states(p, type);
    s = s ? s : n->weight_space(n->handle, p->rnn, &p->weight_bytes);
    s = s ? s
          : n->rnn_space(n->handle, p->rnn,
                         c->training ? CUDNN_FWD_MODE_TRAINING : CUDNN_FWD_MODE_INFERENCE, p->x,
                         &p->work_bytes, &p->reserve_bytes);
    free(lengths);
    const Status status = cudnn_checked(n, c->op->name, "these types and shapes", s);
    if (status)
        close(p);
    else
        *out = p;
    return status;
}

static size_t take(Call *c, size_t bytes)
{
    const size_t at = c->scratch_bytes;

    c->scratch_bytes += arena_round(bytes);
    return at;
}

static void lay_out(Call *c, RecurrentCudnn *p)
{
    const RecurrentShape *s = &p->shape;
    const size_t size = dtype_size(c->in[X]->dtype);
    const size_t x = (size_t)(p->T * s->B * p->width) * size;
    const size_t y = (size_t)(p->T * s->B * s->D * s->H) * size;

    c->scratch_bytes = 0;
    p->at_x = take(c, x);
    p->at_y = take(c, y);
    p->at_weight = take(c, p->weight_bytes);
    p->at_work = take(c, p->work_bytes);
    if (c->pass == FORWARD)
        return;
    p->at_dx = take(c, x);
    p->at_dy = take(c, y);
    p->at_dh = take(c, (size_t)(s->D * s->B * s->H) * size);
    p->at_dc = take(c, (size_t)(s->D * s->B * s->H) * size);
    p->at_dweight = take(c, p->weight_bytes);
}

Status recurrent_cudnn_reserve(const Call *c, int64_t *floats)
{
    RecurrentCudnn *p = nullptr;
    const Status s = open(c, &p);

    if (s)
        return s;
    *floats = (int64_t)((p->reserve_bytes + sizeof(float) - 1) / sizeof(float));
    close(p);
    return OK;
}

Status recurrent_cudnn_prepare(Call *c, RecurrentCudnn **out)
{
    if (recurrent_args(c)->kind == LSTM && recurrent_args(c)->directions == 2 && c->in[H0])
        return fail(E_DEVICE,
                    "lstm kernel cudnn: goes backwards through packed sequences from h0 = 0 alone; "
                    "leave h0 or kernel.lstm out");
    const Status s = open(c, out);
    if (s)
        return s;
    if (c->training &&
        (!c->save[GATES] ||
         (size_t)tensor_size(c->save[GATES]) * sizeof(float) < (*out)->reserve_bytes))
        return fail(E_DEVICE, "%s kernel cudnn: was forced after the graph was recorded",
                    c->op->name);
    lay_out(c, *out);
    return OK;
}

void recurrent_cudnn_release(RecurrentCudnn *p)
{
    if (p)
        close(p);
}

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
        return p.kind == GRU  ? gate == 1 ? FAR : 0
               : gate == 1    ? FAR
               : gate == 2    ? 0
                              : -FAR;
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

/* y, or its gradient: dh_last, the gradient of h', is that of the row where a direction ends. */
template <typename T>
static __global__ void pad_y(T *to, Matrix<const T> y, const T *dh_last, Padding p, int64_t D,
                             int64_t H)
{
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, column = i % (D * H);
    const int64_t b = i / (D * H) % p.B, t = i / (D * H) / p.B, d = column / H;

    if (t >= p.T)
        return;
    const bool real = t < p.length(b), last = real && t == (d ? 0 : p.length(b) - 1);
    float sum = real && y.data ? to_float(*y.at(p.offsets[b] + t, column)) : 0;
    if (last && dh_last)
        sum += to_float(dh_last[(d * p.B + b) * H + column % H]);
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
                    : n->rnn_forward(
                          n->handle, p->rnn,
                          keeps ? CUDNN_FWD_MODE_TRAINING : CUDNN_FWD_MODE_INFERENCE, nullptr, p->x,
                          scratch_at<T>(c, p->at_x), p->y, y, p->state, data<const T>(c->in[H0]),
                          nullptr, p->state, data<const T>(c->in[C0]), data<T>(c->out[C_LAST]),
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
           matrix<const T>(c->out[Y]), nullptr, padding_of(c, p), s->D, s->H);
    LAUNCH((pad_y<T>), blocks, (unsigned)THREADS, 0, call_stream(c), scratch_at<T>(c, p->at_dy),
           matrix<const T>(c->dout[Y]), data<const T>(c->dout[H_LAST]), padding_of(c, p), s->D,
           s->H);
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
Status recurrent_cudnn_reserve(const Call *c, int64_t *floats)
{
    char version[24];

    *floats = 0;
    return cudnn_describe(c->device, version, sizeof version);
}

Status recurrent_cudnn_prepare(Call *c, RecurrentCudnn **out)
{
    char version[24];

    *out = nullptr;
    return cudnn_describe(c->device, version, sizeof version);
}

void recurrent_cudnn_release(RecurrentCudnn *p)
{
    (void)p; // there is none
}

void recurrent_cudnn_forward(Call *c)
{
    (void)c; // never prepared
}

void recurrent_cudnn_backward(Call *c)
{
    (void)c;
}
#endif
