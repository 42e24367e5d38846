/* gelu.c - the GELU operator by itself; formulas in gelu.h. */
#include "kernels/gelu.h"

#include "kernels/inputs.h"

static Status gelu_shape(Call *c)
{
    Status s = input_float(c, 0, "x");

    if (!s)
        call_output(c, 0, c->in[0]->dtype, c->in[0]->ndim, c->in[0]->dim);
    return s ? s : graph_status(c->graph);
}

CLONES static void gelu_forward_cpu(Call *c)
{
    const Tensor *x = c->in[0], *y = c->out[0];
    const Activation *form = c->args;
    const int64_t N = tensor_rows(x), C = tensor_columns(x);

#pragma omp parallel for num_threads(vector_threads(c->device, N *C)) schedule(static)
    for (int64_t row = 0; row < N; row++) {
        float room[VECTOR_STRETCH], y_room[VECTOR_STRETCH];
        for (int64_t i = 0; i < C; i += VECTOR_STRETCH) {
            const int64_t n = vector_stretch(C - i);
            void *to = vector_at(y, row, i);
            float *out = vector_place(to, y->dtype, y_room);
            gelu_value(*form, out, vector_read(vector_at(x, row, i), x->dtype, n, room), n);
            vector_write(to, y->dtype, out, n);
        }
    }
}

CLONES static void gelu_backward_cpu(Call *c)
{
    const Tensor *x = c->in[0], *dy = c->dout[0], *dx = c->din[0];
    const Activation *form = c->args;
    const int64_t N = tensor_rows(x), C = tensor_columns(x);

    if (!dx)
        return;
#pragma omp parallel for num_threads(vector_threads(c->device, N *C)) schedule(static)
    for (int64_t row = 0; row < N; row++) {
        float room[VECTOR_STRETCH], dy_room[VECTOR_STRETCH], out[VECTOR_STRETCH];
        for (int64_t i = 0; i < C; i += VECTOR_STRETCH) {
            const int64_t n = vector_stretch(C - i);
            gelu_slope(*form, out, vector_read(vector_at(dy, row, i), dy->dtype, n, dy_room),
                       vector_read(vector_at(x, row, i), x->dtype, n, room), n);
            vector_give(vector_at(dx, row, i), dx->dtype, c->accumulate & 1, out, n);
        }
    }
}

const Op gelu_op = {
    .name = "gelu",
    .shape = gelu_shape,
    .forward = {gelu_forward_cpu, IF_CUDA(gelu_forward_cuda)},
    .backward = {gelu_backward_cpu, IF_CUDA(gelu_backward_cuda)},
    .reads_inputs = 1u << 0,
    .in_place = 1u << 0,
    .backward_in_place = 1u << 0,
    .cheap = true,
};

Tensor *op_gelu(Graph *g, Tensor *x, Activation form)
{
    if (form == ACTIVATION_NONE)
        return x;
    return call_result(graph_record(g, &gelu_op, INPUTS(x), &form, sizeof form), 0);
}
