/* layernorm.c - the layer normalisation operator; formulas and CPU kernels: layernorm.h. */
#include "kernels/layernorm.h"

enum { MEAN, RSTD }; // c->save[]: F32 [N]

static Status layernorm_shape(Call *c)
{
    const Tensor *x = c->in[0];
    const Status s = layernorm_fits(c, 1, 2);

    if (s)
        return s;
    call_output(c, 0, x->dtype, x->ndim, x->dim);
    if (c->training) {
        call_save(c, MEAN, F32, DIMS(tensor_rows(x)));
        call_save(c, RSTD, F32, DIMS(tensor_rows(x)));
    }
    return graph_status(c->graph);
}

static Status layernorm_prepare_cpu(Call *c)
{
    const int64_t N = tensor_rows(c->in[0]), C = tensor_columns(c->in[0]);

    c->scratch_bytes = c->pass == FORWARD ? layernorm_forward_bytes(C, c->device->threads)
                                          : layernorm_backward_bytes(N, C, c->device->threads);
    return OK;
}

NormForward layernorm_forward_of(const Call *c)
{
    const LayernormArgs *args = c->args;

    return (NormForward){
        .x = c->in[0],
        .weight = c->in[1],
        .bias = c->in[2],
        .epsilon = args->epsilon,
        .y = c->out[0],
        .mean = c->save[MEAN],
        .rstd = c->save[RSTD],
    };
}

NormBackward layernorm_backward_of(const Call *c)
{
    const uint32_t add = c->accumulate;

    return (NormBackward){
        .sum = c->in[0],
        .weight = c->in[1],
        .mean = c->save[MEAN],
        .rstd = c->save[RSTD],
        .dy = c->dout[0],
        .dx = c->din[0],
        .dweight = c->din[1],
        .dbias = c->din[2],
        .add = (add & 1 ? ADD_DX : 0) | (add & 2 ? ADD_DWEIGHT : 0) | (add & 4 ? ADD_DBIAS : 0),
    };
}

static void layernorm_forward_cpu(Call *c)
{
    const NormForward p = layernorm_forward_of(c);

    layernorm_forward_rows(&p, c->device->threads, c->scratch);
}

static void layernorm_backward_cpu(Call *c)
{
    const NormBackward p = layernorm_backward_of(c);

    layernorm_backward_rows(&p, c->device->threads, c->scratch);
}

const Op layernorm_op = {
    .name = "layernorm",
    .shape = layernorm_shape,
    .prepare = {layernorm_prepare_cpu, IF_CUDA(layernorm_prepare_cuda)},
    .forward = {layernorm_forward_cpu, IF_CUDA(layernorm_forward_cuda)},
    .backward = {layernorm_backward_cpu, IF_CUDA(layernorm_backward_cuda)},
    .reads_inputs = 1u << 0 | 1u << 1,
    .backward_in_place = 1u << 0,
    .cheap = true,
};

Tensor *op_layernorm(Graph *g, Tensor *x, Tensor *weight, Tensor *bias, LayernormArgs args)
{
    return call_result(graph_record(g, &layernorm_op, INPUTS(x, weight, bias), &args, sizeof args),
                       0);
}
