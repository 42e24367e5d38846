/* tanh.c - y = tanh(x); dx = dy (1 - y y). */
#include "kernels/inputs.h"
#include "kernels/ops.h"
#include "kernels/vector.h"

static Status tanh_shape(Call *c)
{
    Status s = input_float(c, 0, "x");

    if (!s)
        call_output(c, 0, c->in[0]->dtype, c->in[0]->ndim, c->in[0]->dim);
    return s ? s : graph_status(c->graph);
}

CLONES static void tanh_forward_cpu(Call *c)
{
    const Tensor *x = c->in[0], *y = c->out[0];
    const int64_t N = tensor_rows(x), C = tensor_columns(x);

#pragma omp parallel for num_threads(vector_threads(c->device, N *C)) schedule(static)
    for (int64_t row = 0; row < N; row++) {
        float room[VECTOR_STRETCH], y_room[VECTOR_STRETCH];
        for (int64_t i = 0; i < C; i += VECTOR_STRETCH) {
            const int64_t n = vector_stretch(C - i);
            const float *from = vector_read(vector_at(x, row, i), x->dtype, n, room);
            void *to = vector_at(y, row, i);
            float *out = vector_place(to, y->dtype, y_room);
#pragma omp simd
            for (int64_t k = 0; k < n; k++)
                out[k] = vector_tanh(from[k]);
            vector_write(to, y->dtype, out, n);
        }
    }
}

CLONES static void tanh_backward_cpu(Call *c)
{
    const Tensor *y = c->out[0], *dy = c->dout[0], *dx = c->din[0];
    const int64_t N = tensor_rows(y), C = tensor_columns(y);

    if (!dx)
        return;
#pragma omp parallel for num_threads(vector_threads(c->device, N *C)) schedule(static)
    for (int64_t row = 0; row < N; row++) {
        float y_room[VECTOR_STRETCH], dy_room[VECTOR_STRETCH], out[VECTOR_STRETCH];
        for (int64_t i = 0; i < C; i += VECTOR_STRETCH) {
            const int64_t n = vector_stretch(C - i);
            const float *a = vector_read(vector_at(y, row, i), y->dtype, n, y_room);
            const float *b = vector_read(vector_at(dy, row, i), dy->dtype, n, dy_room);
#pragma omp simd
            for (int64_t k = 0; k < n; k++)
                out[k] = b[k] * (1 - a[k] * a[k]);
            vector_give(vector_at(dx, row, i), dx->dtype, c->accumulate & 1, out, n);
        }
    }
}

const Op tanh_op = {
    .name = "tanh",
    .shape = tanh_shape,
    .forward = {tanh_forward_cpu, IF_CUDA(tanh_forward_cuda)},
    .backward = {tanh_backward_cpu, IF_CUDA(tanh_backward_cuda)},
    .reads_outputs = 1u << 0,
    .in_place = 1u << 0,
    .backward_in_place = 1u << 0,
    .cheap = true,
};

Tensor *op_tanh(Graph *g, Tensor *x)
{
    return call_result(graph_record(g, &tanh_op, INPUTS(x), NULL, 0), 0);
}
