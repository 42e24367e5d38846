/* swiglu.c - the gated unit y = silu(gate) * up, and its CPU kernels.
 *
 *   s     = 1 / (1 + exp(-gate))        silu(gate) = gate s
 *   dup   = dy gate s
 *   dgate = dy up s (1 + gate (1 - s))
 */
#include "kernels/inputs.h"
#include "kernels/ops.h"
#include "kernels/vector.h"

#include <inttypes.h>

enum { GATE, UP }; // c->in[]

static Status swiglu_shape(Call *c)
{
    const Tensor *gate = c->in[GATE];
    Status s = input_float(c, GATE, "gate");

    s = s ? s : input_float(c, UP, "up");
    s = s ? s : input_alike(c, GATE, UP);
    if (!s)
        call_output(c, 0, gate->dtype, gate->ndim, gate->dim);
    return s ? s : graph_status(c->graph);
}

/* n elements; out may lie where gate lies. */
VECTOR_INLINE void value(float *out, const float *gate, const float *up, int64_t n)
{
#pragma omp simd
    for (int64_t k = 0; k < n; k++)
        out[k] = gate[k] / (1 + vector_exp(-gate[k])) * up[k];
}

VECTOR_INLINE void slopes(float *dgate, float *dup, const float *dy, const float *gate,
                          const float *up, int64_t n)
{
#pragma omp simd
    for (int64_t k = 0; k < n; k++) {
        const float s = 1 / (1 + vector_exp(-gate[k])), g = gate[k] * s;
        const float d = dy[k];
        dup[k] = d * g;
        dgate[k] = d * up[k] * (s + g * (1 - s));
    }
}

CLONES static void swiglu_forward_cpu(Call *c)
{
    const Tensor *gate = c->in[GATE], *up = c->in[UP], *y = c->out[0];
    const int64_t N = tensor_rows(y), F = tensor_columns(y);

#pragma omp parallel for num_threads(vector_threads(c->device, N *F)) schedule(static)
    for (int64_t row = 0; row < N; row++) {
        float room[VECTOR_STRETCH], up_room[VECTOR_STRETCH], y_room[VECTOR_STRETCH];
        for (int64_t i = 0; i < F; i += VECTOR_STRETCH) {
            const int64_t n = vector_stretch(F - i);
            void *to = vector_at(y, row, i);
            float *out = vector_place(to, y->dtype, y_room);
            value(out, vector_read(vector_at(gate, row, i), gate->dtype, n, room),
                  vector_read(vector_at(up, row, i), up->dtype, n, up_room), n);
            vector_write(to, y->dtype, out, n);
        }
    }
}

/* dgate may lie where dy lies: a stretch of dy is read before dgate is written. */
CLONES static void swiglu_backward_cpu(Call *c)
{
    const Tensor *gate = c->in[GATE], *up = c->in[UP], *dy = c->dout[0];
    const Tensor *dgate = c->din[GATE], *dup = c->din[UP];
    const int64_t N = tensor_rows(dy), F = tensor_columns(dy);

#pragma omp parallel for num_threads(vector_threads(c->device, N *F)) schedule(static)
    for (int64_t row = 0; row < N; row++) {
        float room[VECTOR_STRETCH], up_room[VECTOR_STRETCH], dy_room[VECTOR_STRETCH];
        float dg[VECTOR_STRETCH], du[VECTOR_STRETCH];
        for (int64_t i = 0; i < F; i += VECTOR_STRETCH) {
            const int64_t n = vector_stretch(F - i);
            slopes(dg, du, vector_read(vector_at(dy, row, i), dy->dtype, n, dy_room),
                   vector_read(vector_at(gate, row, i), gate->dtype, n, room),
                   vector_read(vector_at(up, row, i), up->dtype, n, up_room), n);
            if (dgate)
                vector_give(vector_at(dgate, row, i), dgate->dtype, c->accumulate & 1u << GATE, dg,
                            n);
            if (dup)
                vector_give(vector_at(dup, row, i), dup->dtype, c->accumulate & 1u << UP, du, n);
        }
    }
}

const Op swiglu_op = {
    .name = "swiglu",
    .shape = swiglu_shape,
    .forward = {swiglu_forward_cpu, IF_CUDA(swiglu_forward_cuda)},
    .backward = {swiglu_backward_cpu, IF_CUDA(swiglu_backward_cuda)},
    .reads_inputs = 1u << GATE | 1u << UP,
    .in_place = 1u << GATE,
    .backward_in_place = 1u << GATE,
    .cheap = true,
};

Tensor *op_swiglu(Graph *g, Tensor *gate, Tensor *up)
{
    const int64_t columns = gate ? tensor_columns(gate) : 0;

    if (gate && !up && columns % 2) {
        graph_fail(g,
                   fail(E_SHAPE, "swiglu: rows of %" PRId64 " do not halve into a gate and an up",
                        columns));
        return NULL;
    }
    if (gate && !up) {
        up = graph_columns(g, gate, columns / 2, columns / 2);
        gate = graph_columns(g, gate, 0, columns / 2);
    }
    return call_result(graph_record(g, &swiglu_op, INPUTS(gate, up), NULL, 0), 0);
}
