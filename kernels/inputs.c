/* inputs.c - checks of single inputs, for shape rules. */
#include "kernels/inputs.h"

#include <inttypes.h>

static Status input_present(const Call *c, int i, const char *what)
{
    return i < c->in_count && c->in[i] ? OK : fail(E_SHAPE, "%s: no %s given", c->op->name, what);
}

Status input_float(const Call *c, int i, const char *what)
{
    Status s = input_present(c, i, what);

    if (!s && !dtype_is_float(c->in[i]->dtype))
        s = fail(E_DTYPE, "%s: %s is %s, expected f32, bf16 or f16", c->op->name, what,
                 dtype_name(c->in[i]->dtype));
    return s;
}

static Status input_block(const Call *c, int i, const char *what)
{
    char shape[96];

    if (tensor_contiguous(c->in[i]))
        return OK;
    tensor_shape_text(c->in[i], shape, sizeof shape);
    return fail(E_SHAPE, "%s: %s %s is a view with rows %" PRId64 " apart, expected one block",
                c->op->name, what, shape, c->in[i]->stride);
}

Status input_contiguous(const Call *c, int i, const char *what)
{
    Status s = input_float(c, i, what);

    return s ? s : input_block(c, i, what);
}

Status input_integers(const Call *c, int i, int64_t count, const char *what)
{
    Status s = input_present(c, i, what);

    if (s)
        return s;
    if (c->in[i]->dtype != I32)
        return fail(E_DTYPE, "%s: %s is %s, expected i32", c->op->name, what,
                    dtype_name(c->in[i]->dtype));
    if (count >= 0 && tensor_size(c->in[i]) != count)
        return fail(E_SHAPE, "%s: %s has %" PRId64 " elements, expected %" PRId64, c->op->name,
                    what, tensor_size(c->in[i]), count);
    return input_block(c, i, what);
}

Status input_f32(const Call *c, int i, int64_t count, const char *what)
{
    Status s = input_present(c, i, what);

    if (s)
        return s;
    if (c->in[i]->dtype != F32)
        return fail(E_DTYPE, "%s: %s is %s, expected f32", c->op->name, what,
                    dtype_name(c->in[i]->dtype));
    if (tensor_size(c->in[i]) < count)
        return fail(E_SHAPE, "%s: %s has %" PRId64 " elements, expected %" PRId64, c->op->name,
                    what, tensor_size(c->in[i]), count);
    return input_block(c, i, what);
}

Status input_weight(const Call *c, int i, const char *what)
{
    Status s = input_contiguous(c, i, what);
    const Dtype mine = s ? F32 : c->in[i]->dtype;

    if (!s && mine != F32 && mine != c->in[0]->dtype)
        s = fail(E_DTYPE, "%s: %s is %s, expected f32 or %s like the first input", c->op->name,
                 what, dtype_name(mine), dtype_name(c->in[0]->dtype));
    return s;
}

Status input_alike(const Call *c, int i, int j)
{
    const Tensor *a = c->in[i], *b = c->in[j];
    char first[96], second[96];

    if (a->dtype != b->dtype)
        return fail(E_DTYPE, "%s: inputs are %s and %s, expected one dtype", c->op->name,
                    dtype_name(a->dtype), dtype_name(b->dtype));
    if (tensor_same_shape(a, b))
        return OK;
    tensor_shape_text(a, first, sizeof first);
    tensor_shape_text(b, second, sizeof second);
    return fail(E_SHAPE, "%s: inputs are %s and %s, expected one shape", c->op->name, first,
                second);
}
