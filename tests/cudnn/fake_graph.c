/* fake_graph.c - runs the operations of a graph of the fake cuDNN; see fake.h.
 *
 * Tensors are dense arrays of doubles while a graph runs. What lies beyond a sequence's length is NaN
 * when read, not written, and NaN in products: where it matters, it shows.
 */
#include "runtime/half.h"
#include "tests/cudnn/fake.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct View {
    FakePart *part;
    int64_t dim[4], stride[4];
    cudnnDataType_t type;
    bool is_virtual;
} View;

double fake_load(const void *data, cudnnDataType_t type, int64_t i)
{
    switch (type) {
    case CUDNN_DATA_BFLOAT16:
        return (double)float_from_bf16(((const uint16_t *)data)[i]);
    case CUDNN_DATA_HALF:
        return (double)float_from_f16(((const uint16_t *)data)[i]);
    case CUDNN_DATA_INT32:
        return ((const int32_t *)data)[i];
    case CUDNN_DATA_INT64:
        return (double)((const int64_t *)data)[i];
    default:
        return (double)((const float *)data)[i];
    }
}

void fake_store(void *data, cudnnDataType_t type, int64_t i, double x)
{
    if (type == CUDNN_DATA_BFLOAT16)
        ((uint16_t *)data)[i] = bf16_from_float((float)x);
    else if (type == CUDNN_DATA_HALF)
        ((uint16_t *)data)[i] = f16_from_float((float)x);
    else
        ((float *)data)[i] = (float)x;
}

static View view_of(FakePart *part)
{
    View v = {.part = part};

    memcpy(v.dim, fake_attribute(part, CUDNN_ATTR_TENSOR_DIMENSIONS)->value, sizeof v.dim);
    memcpy(v.stride, fake_attribute(part, CUDNN_ATTR_TENSOR_STRIDES)->value, sizeof v.stride);
    memcpy(&v.type, fake_attribute(part, CUDNN_ATTR_TENSOR_DATA_TYPE)->value, sizeof v.type);
    v.is_virtual = fake_attribute(part, CUDNN_ATTR_TENSOR_IS_VIRTUAL) != NULL;
    return v;
}

static int64_t size_of(const View *v)
{
    return v->dim[0] * v->dim[1] * v->dim[2] * v->dim[3];
}

/* Of dense element n the four places. */
static void unravel(const View *v, int64_t n, int64_t at[4])
{
    for (int i = 3; i >= 0; i--) {
        at[i] = n % v->dim[i];
        n /= v->dim[i];
    }
}

static void *memory_of(const FakePart *pack, const FakePart *tensor)
{
    const FakeAttribute *ids = fake_attribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    const FakeAttribute *data = fake_attribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    int64_t id;

    memcpy(&id, fake_attribute(tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID)->value, sizeof id);
    for (int64_t i = 0; i < ids->count; i++)
        if (((const int64_t *)(const void *)ids->value)[i] == id)
            return ((void *const *)(const void *)data->value)[i];
    return NULL;
}

/* Where in memory a place is; -1 beyond the length of its sequence. */
static int64_t place_of(const View *v, const int64_t *offsets, const int64_t at[4])
{
    int64_t place = at[1] * v->stride[1] + at[2] * v->stride[2] + at[3] * v->stride[3];

    if (!offsets)
        return at[0] * v->stride[0] + place;
    const int along = v->stride[2] > v->stride[3] ? 2 : 3; // the rows of a sequence
    const int64_t rows = (offsets[at[0] + 1] - offsets[at[0]]) / v->stride[along];
    return at[along] < rows ? offsets[at[0]] + place : -1;
}

static const int64_t *offsets_of(const View *v, const FakePart *pack)
{
    const FakePart *ragged = fake_part(v->part, CUDNN_ATTR_TENSOR_RAGGED_OFFSET_DESC);
    return ragged ? memory_of(pack, ragged) : NULL;
}

/* The numbers of an input; NULL for one that nobody has made. */
static const double *numbers(const View *v, const FakePart *pack)
{
    const void *data = v->is_virtual ? NULL : memory_of(pack, v->part);

    if (v->part->number || !data)
        return v->part->number;
    const int64_t *offsets = offsets_of(v, pack);
    v->part->number = calloc((size_t)size_of(v), sizeof(double));
    for (int64_t n = 0; n < size_of(v); n++) {
        int64_t at[4];
        unravel(v, n, at);
        const int64_t place = place_of(v, offsets, at);
        v->part->number[n] = place < 0 ? (double)NAN : fake_load(data, v->type, place);
    }
    return v->part->number;
}

/* Rounds to the type of y, and writes what has memory. */
static void give(const View *y, const FakePart *pack, double *number)
{
    void *data = y->is_virtual ? NULL : memory_of(pack, y->part);
    const int64_t *offsets = offsets_of(y, pack);

    for (int64_t n = 0; n < size_of(y); n++) {
        char room[4];
        int64_t at[4];
        unravel(y, n, at);
        const int64_t place = data ? place_of(y, offsets, at) : -1;
        if (y->type == CUDNN_DATA_BFLOAT16 || y->type == CUDNN_DATA_HALF) {
            fake_store(room, y->type, 0, number[n]);
            number[n] = fake_load(room, y->type, 0);
        }
        if (place >= 0)
            fake_store(data, y->type, place, number[n]);
    }
    free(y->part->number);
    y->part->number = number;
}

/* Element of x for a place of another tensor: dimensions of 1 are shared. */
static double shared_at(const View *x, const double *number, const int64_t at[4])
{
    int64_t n = 0;

    for (int i = 0; i < 4; i++)
        n = n * x->dim[i] + (x->dim[i] == 1 ? 0 : at[i]);
    return number[n];
}

static double function_of(cudnnPointwiseMode_t mode, double x, double b, double mask)
{
    switch (mode) {
    case CUDNN_POINTWISE_ADD:
        return x + b;
    case CUDNN_POINTWISE_SUB:
        return x - b;
    case CUDNN_POINTWISE_MUL:
        return x * b;
    case CUDNN_POINTWISE_DIV:
        return x / b;
    case CUDNN_POINTWISE_EXP:
        return exp(x);
    case CUDNN_POINTWISE_LOG:
        return log(x);
    case CUDNN_POINTWISE_CMP_LT:
        return x < b;
    case CUDNN_POINTWISE_CMP_GE:
        return x >= b;
    case CUDNN_POINTWISE_LOGICAL_AND:
        return x != 0 && b != 0;
    case CUDNN_POINTWISE_BINARY_SELECT:
        return mask != 0 ? x : b;
    default:
        return (double)NAN;
    }
}

static cudnnStatus_t pointwise(const FakePart *o, const FakePart *pack)
{
    const FakePart *how = fake_part(o, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    FakePart *const in[] = {fake_part(o, CUDNN_ATTR_OPERATION_POINTWISE_XDESC),
                            fake_part(o, CUDNN_ATTR_OPERATION_POINTWISE_BDESC),
                            fake_part(o, CUDNN_ATTR_OPERATION_POINTWISE_TDESC)};
    const View y = view_of(fake_part(o, CUDNN_ATTR_OPERATION_POINTWISE_YDESC));
    const FakeAttribute *axis = fake_attribute(how, CUDNN_ATTR_POINTWISE_AXIS);
    View x[3] = {{0}};
    const double *number[3] = {NULL};
    cudnnPointwiseMode_t mode;

    memcpy(&mode, fake_attribute(how, CUDNN_ATTR_POINTWISE_MODE)->value, sizeof mode);
    for (int i = 0; i < 3 && mode != CUDNN_POINTWISE_GEN_INDEX; i++)
        if (in[i]) {
            x[i] = view_of(in[i]);
            number[i] = numbers(&x[i], pack);
            if (!number[i])
                return CUDNN_STATUS_BAD_PARAM;
        }
    double *out = calloc((size_t)size_of(&y), sizeof *out);
    for (int64_t n = 0; n < size_of(&y); n++) {
        double v[3] = {0};
        int64_t at[4];
        unravel(&y, n, at);
        for (int i = 0; i < 3; i++)
            v[i] = number[i] ? shared_at(&x[i], number[i], at) : 0;
        out[n] = mode == CUDNN_POINTWISE_GEN_INDEX
                     ? (double)at[*(const int64_t *)(const void *)axis->value]
                     : function_of(mode, v[0], v[1], v[2]);
    }
    give(&y, pack, out);
    return CUDNN_STATUS_SUCCESS;
}

/* The true length of sequence b; `all` where none is given. */
static int64_t length_of(const FakePart *o, cudnnBackendAttributeName_t name, const FakePart *pack,
                         int64_t b, int64_t all)
{
    const FakePart *lengths = fake_part(o, name);
    return lengths ? ((const int32_t *)memory_of(pack, lengths))[b] : all;
}

static double *multiply(const FakePart *o, const FakePart *pack, const View *a, const View *b,
                        const View *y)
{
    const double *left = numbers(a, pack), *right = numbers(b, pack);
    double *out = left && right ? calloc((size_t)size_of(y), sizeof *out) : NULL;

    for (int64_t n = 0; out && n < size_of(y); n++) {
        int64_t at[4];
        double sum = 0;
        unravel(y, n, at);
        const int64_t head = at[1] / (a->dim[1] / b->dim[1]);
        const double *row = left + ((at[0] * a->dim[1] + at[1]) * a->dim[2] + at[2]) * a->dim[3];
        const double *block = right + (at[0] * b->dim[1] + head) * b->dim[2] * b->dim[3];
        const int64_t K =
            length_of(o, CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC, pack, at[0], a->dim[3]);
        const bool real = at[2] < length_of(o, CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC,
                                            pack, at[0], y->dim[2]) &&
                          at[3] < length_of(o, CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC,
                                            pack, at[0], y->dim[3]);
        for (int64_t k = 0; k < K && real; k++)
            sum += row[k] * block[k * b->dim[3] + at[3]];
        out[n] = real ? sum : (double)NAN;
    }
    return out;
}

static cudnnStatus_t product(const FakePart *o, const FakePart *pack)
{
    const View a = view_of(fake_part(o, CUDNN_ATTR_OPERATION_MATMUL_ADESC));
    const View b = view_of(fake_part(o, CUDNN_ATTR_OPERATION_MATMUL_BDESC));
    const View y = view_of(fake_part(o, CUDNN_ATTR_OPERATION_MATMUL_CDESC));

    if (a.dim[0] != b.dim[0] || a.dim[1] % b.dim[1] || a.dim[3] != b.dim[2] ||
        y.dim[1] != a.dim[1] || y.dim[2] != a.dim[2] || y.dim[3] != b.dim[3])
        return CUDNN_STATUS_BAD_PARAM;
    double *out = multiply(o, pack, &a, &b, &y);
    if (out)
        give(&y, pack, out);
    return out ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

/* Where y is smaller by a factor, as many neighbours of x make one. */
static cudnnStatus_t reduction(const FakePart *o, const FakePart *pack)
{
    const View x = view_of(fake_part(o, CUDNN_ATTR_OPERATION_REDUCTION_XDESC));
    const View y = view_of(fake_part(o, CUDNN_ATTR_OPERATION_REDUCTION_YDESC));
    const FakePart *how = fake_part(o, CUDNN_ATTR_OPERATION_REDUCTION_DESC);
    const double *number = numbers(&x, pack);
    cudnnReduceTensorOp_t mode;

    memcpy(&mode, fake_attribute(how, CUDNN_ATTR_REDUCTION_OPERATOR)->value, sizeof mode);
    if (!number)
        return CUDNN_STATUS_BAD_PARAM;
    double *out = calloc((size_t)size_of(&y), sizeof *out);
    for (int64_t n = 0; n < size_of(&y) && mode == CUDNN_REDUCE_TENSOR_MAX; n++)
        out[n] = -(double)INFINITY;
    for (int64_t n = 0; n < size_of(&x); n++) {
        int64_t at[4], to = 0;
        unravel(&x, n, at);
        for (int i = 0; i < 4; i++)
            to = to * y.dim[i] + at[i] / (x.dim[i] / y.dim[i]);
        out[to] = mode == CUDNN_REDUCE_TENSOR_ADD           ? out[to] + number[n]
                  : isnan(number[n]) || number[n] > out[to] ? number[n]
                                                            : out[to];
    }
    give(&y, pack, out);
    return CUDNN_STATUS_SUCCESS;
}

/* Only the exchange of the last two dimensions, which the strides must say too. */
static cudnnStatus_t reshape(const FakePart *o, const FakePart *pack)
{
    const View x = view_of(fake_part(o, CUDNN_ATTR_OPERATION_RESHAPE_XDESC));
    const View y = view_of(fake_part(o, CUDNN_ATTR_OPERATION_RESHAPE_YDESC));
    const double *number = numbers(&x, pack);

    if (!number || x.dim[2] != y.dim[3] || x.dim[3] != y.dim[2] || x.stride[2] != y.stride[3] ||
        x.stride[3] != y.stride[2] || x.stride[0] != y.stride[0] || x.stride[1] != y.stride[1])
        return CUDNN_STATUS_BAD_PARAM;
    double *out = calloc((size_t)size_of(&y), sizeof *out);
    for (int64_t n = 0; n < size_of(&y); n++) {
        int64_t at[4];
        unravel(&y, n, at);
        out[n] = number[((at[0] * x.dim[1] + at[1]) * x.dim[2] + at[3]) * x.dim[3] + at[2]];
    }
    give(&y, pack, out);
    return CUDNN_STATUS_SUCCESS;
}

static void forget(FakePart *const operation[], int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        for (int k = 0; k < operation[i]->attributes; k++) {
            const FakeAttribute *a = &operation[i]->attribute[k];
            FakePart *part = a->bytes == sizeof part ? *(FakePart **)(void *)a->value : NULL;
            free(part ? part->number : NULL);
            if (part)
                part->number = NULL;
        }
}

cudnnStatus_t fake_run(const FakePart *graph, const FakePart *pack)
{
    const FakeAttribute *ops = fake_attribute(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS);
    FakePart *const *operation = (FakePart *const *)(const void *)ops->value;
    cudnnStatus_t s = CUDNN_STATUS_SUCCESS;

    for (int64_t i = 0; i < ops->count && !s; i++)
        switch (operation[i]->type) {
        case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
            s = pointwise(operation[i], pack);
            break;
        case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
            s = product(operation[i], pack);
            break;
        case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
            s = reduction(operation[i], pack);
            break;
        case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
            s = reshape(operation[i], pack);
            break;
        default:
            s = CUDNN_STATUS_NOT_SUPPORTED;
        }
    forget(operation, ops->count);
    return s;
}
