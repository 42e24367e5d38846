/* tensor.c - sizes and addresses of tensors. */
#include "runtime/tensor.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
    const char *name;
    size_t size;
} DTYPES[DTYPE_COUNT] = {
    [F32] = {"f32", 4}, [BF16] = {"bf16", 2}, [F16] = {"f16", 2},
    [I32] = {"i32", 4}, [U8] = {"u8", 1},
};

size_t dtype_size(Dtype d)
{
    return DTYPES[d].size;
}

const char *dtype_name(Dtype d)
{
    return DTYPES[d].name;
}

bool dtype_is_float(Dtype d)
{
    return d == F32 || d == BF16 || d == F16;
}

int64_t tensor_columns(const Tensor *x)
{
    return x->ndim ? x->dim[x->ndim - 1] : 1;
}

int64_t tensor_rows(const Tensor *x)
{
    int64_t rows = 1;

    for (int i = 0; i + 1 < x->ndim; i++)
        rows *= x->dim[i];
    return rows;
}

int64_t tensor_size(const Tensor *x)
{
    return tensor_rows(x) * tensor_columns(x);
}

size_t tensor_bytes(const Tensor *x)
{
    return (size_t)tensor_size(x) * dtype_size(x->dtype);
}

bool tensor_same_shape(const Tensor *a, const Tensor *b)
{
    bool same = a->ndim == b->ndim;

    for (int i = 0; same && i < a->ndim; i++)
        same = a->dim[i] == b->dim[i];
    return same;
}

bool tensor_contiguous(const Tensor *x)
{
    return x->stride == tensor_columns(x) || tensor_rows(x) <= 1;
}

void *tensor_row(const Tensor *x, int64_t row)
{
    return (char *)x->data + (size_t)(row * x->stride) * dtype_size(x->dtype);
}

void tensor_shape_text(const Tensor *x, char *text, size_t room)
{
    size_t n = (size_t)snprintf(text, room, "[");

    for (int i = 0; i < x->ndim && n < room; i++)
        n += (size_t)snprintf(text + n, room - n, "%s%" PRId64, i ? ", " : "", x->dim[i]);
    if (n < room)
        snprintf(text + n, room - n, "]");
}
