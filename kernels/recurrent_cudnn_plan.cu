/* recurrent_cudnn_plan.cu - lstm and gru by cuDNN: descriptors, sizes, scratch; see recurrent_cudnn.cuh. */
#include "kernels/recurrent_cudnn.cuh"

#include <stdlib.h>

#ifdef WITH_CUDNN
static const int64_t WIDTHS = 8; // rows of x begin at multiples of as many elements

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
             : p->library->rnn_set(
                   p->rnn, CUDNN_RNN_ALGO_STANDARD, p->shape.kind == LSTM ? CUDNN_LSTM : CUDNN_GRU,
                   CUDNN_RNN_DOUBLE_BIAS,
                   p->shape.D == 2 ? CUDNN_BIDIRECTIONAL : CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT,
                   type, CUDNN_DATA_FLOAT, math, (int32_t)p->width, (int32_t)p->shape.H,
                   (int32_t)p->shape.H, 1, nullptr, CUDNN_RNN_PADDED_IO_ENABLED);
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
    if (c->training && (!c->save[GATES] || (size_t)tensor_size(c->save[GATES]) * sizeof(float) <
                                               (*out)->reserve_bytes))
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
#endif
