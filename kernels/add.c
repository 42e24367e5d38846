/* add.c - y = a + b; da = db = dy. */
#include "kernels/inputs.h"
#include "kernels/ops.h"
#include "kernels/vector.h"

static Status add_shape(Call *c)
{
    Status s = input_float(c, 0, "a");

    if (!s)
        s = input_float(c, 1, "b");
    if (!s)
        s = input_alike(c, 0, 1);
    if (!s)
        call_output(c, 0, c->in[0]->dtype, c->in[0]->ndim, c->in[0]->dim);
    return s ? s : graph_status(c->graph);
}

CLONES static void add_forward_cpu(Call *c)
{
    const Tensor *a = c->in[0], *b = c->in[1], *y = c->out[0];
    const int64_t N = tensor_rows(a), C = tensor_columns(a);

#pragma omp parallel for num_threads(vector_threads(c->device, N *C)) schedule(static)
    for (int64_t row = 0; row < N; row++) {
        float a_room[VECTOR_STRETCH], b_room[VECTOR_STRETCH], y_room[VECTOR_STRETCH];
        for (int64_t i = 0; i < C; i += VECTOR_STRETCH) {
            const int64_t n = vector_stretch(C - i);
            const float *p = vector_read(vector_at(a, row, i), a->dtype, n, a_room);
            const float *q = vector_read(vector_at(b, row, i), b->dtype, n, b_room);
            void *to = vector_at(y, row, i);
            float *out = vector_place(to, y->dtype, y_room);
#pragma omp simd
            for (int64_t k = 0; k < n; k++)
                out[k] = p[k] + q[k];
            vector_write(to, y->dtype, out, n);
        }
    }
}

CLONES static void add_give(const Call *c, int which)
{
    const Tensor *dy = c->dout[0], *dx = c->din[which];
    const int64_t N = tensor_rows(dy), C = tensor_columns(dy);
    const bool add = c->accumulate >> which & 1;

    if (!dx || (!add && dx->data == dy->data && dx->stride == dy->stride))
        return;
#pragma omp parallel for num_threads(vector_threads(c->device, N *C)) schedule(static)
    for (int64_t row = 0; row < N; row++) {
        float room[VECTOR_STRETCH];
        for (int64_t i = 0; i < C; i += VECTOR_STRETCH) {
            const int64_t n = vector_stretch(C - i);
            const float *from = vector_read(vector_at(dy, row, i), dy->dtype, n, room);
            vector_give(vector_at(dx, row, i), dx->dtype, add, from, n);
        }
    }
}

static void add_backward_cpu(Call *c)
{
    add_give(c, 0);
    add_give(c, 1);
}

const Op add_op = {
    .name = "add",
    .shape = add_shape,
    .forward = {add_forward_cpu, IF_CUDA(add_forward_cuda)},
    .backward = {add_backward_cpu, IF_CUDA(add_backward_cuda)},
    .in_place = 1u << 0,
    .backward_in_place = 1u << 0,
    .cheap = true,
};

Tensor *op_add(Graph *g, Tensor *a, Tensor *b)
{
    return call_result(graph_record(g, &add_op, INPUTS(a, b), NULL, 0), 0);
}
