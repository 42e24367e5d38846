/* gather.c - y[i] = x[index[i]], zeros for an index outside x; dx[n] = sum of dy[i] with index[i] = n.
 */
#include "kernels/inputs.h"
#include "kernels/ops.h"
#include "kernels/scatter.h"
#include "kernels/vector.h"

enum { X, INDEX };

static Status gather_shape(Call *c)
{
    Status s = input_float(c, X, "x");

    if (!s)
        s = input_integers(c, INDEX, -1, "index");
    if (!s)
        call_output(c, 0, c->in[X]->dtype,
                    DIMS(tensor_size(c->in[INDEX]), tensor_columns(c->in[X])));
    return s ? s : graph_status(c->graph);
}

static void gather_forward_cpu(Call *c)
{
    const Tensor *x = c->in[X], *y = c->out[0];
    const int32_t *index = c->in[INDEX]->data;
    const int64_t M = tensor_rows(y), C = tensor_columns(y), N = tensor_rows(x);
    const size_t bytes = (size_t)C * dtype_size(y->dtype);

#pragma omp parallel for num_threads(vector_threads(c->device, M *C)) schedule(static)
    for (int64_t i = 0; i < M; i++)
        if (index[i] >= 0 && index[i] < N)
            memcpy(tensor_row(y, i), tensor_row(x, index[i]), bytes);
        else
            memset(tensor_row(y, i), 0, bytes);
}

static Status gather_prepare_cpu(Call *c)
{
    if (c->pass == BACKWARD && c->din[X])
        c->scratch_bytes = scatter_scratch(tensor_size(c->in[INDEX]), tensor_rows(c->din[X]));
    return OK;
}

static void gather_backward_cpu(Call *c)
{
    if (c->din[X])
        scatter_rows(c->device, c->din[X], c->dout[0], c->in[INDEX]->data,
                     tensor_size(c->in[INDEX]), c->accumulate & 1, c->scratch);
}

const Op gather_op = {
    .name = "gather",
    .shape = gather_shape,
    .prepare = {gather_prepare_cpu, IF_CUDA(gather_prepare_cuda)},
    .forward = {gather_forward_cpu, IF_CUDA(gather_forward_cuda)},
    .backward = {gather_backward_cpu, IF_CUDA(gather_backward_cuda)},
    .reads_inputs = 1u << INDEX,
    .cheap = true,
};

Tensor *op_gather(Graph *g, Tensor *x, Tensor *index)
{
    return call_result(graph_record(g, &gather_op, INPUTS(x, index), NULL, 0), 0);
}
