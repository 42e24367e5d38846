/* rmsnorm.c - the root-mean-square norm operator; formulas and CPU kernels: rmsnorm.h. */
#include "kernels/rmsnorm.h"

enum { X, WEIGHT }; // c->in[]
enum { RSTD };      // c->save[]: F32 [N]

static Status rmsnorm_shape(Call *c)
{
    const Tensor *x = c->in[X];
    const Status s = rmsnorm_fits(c, WEIGHT);

    if (s)
        return s;
    call_output(c, 0, x->dtype, x->ndim, x->dim);
    if (c->training)
        call_save(c, RSTD, F32, DIMS(tensor_rows(x)));
    return graph_status(c->graph);
}

static Status rmsnorm_prepare_cpu(Call *c)
{
    const int64_t N = tensor_rows(c->in[X]), C = tensor_columns(c->in[X]);

    c->scratch_bytes = c->pass == FORWARD ? rmsnorm_forward_bytes(C, c->device->threads)
                                          : rmsnorm_backward_bytes(N, C, c->device->threads);
    return OK;
}

NormForward rmsnorm_forward_of(const Call *c)
{
    const RmsnormArgs *args = c->args;

    return (NormForward){
        .x = c->in[X],
        .weight = c->in[WEIGHT],
        .epsilon = args->epsilon,
        .y = c->out[0],
        .rstd = c->save[RSTD],
    };
}

NormBackward rmsnorm_backward_of(const Call *c)
{
    const uint32_t add = c->accumulate;

    return (NormBackward){
        .sum = c->in[X],
        .weight = c->in[WEIGHT],
        .rstd = c->save[RSTD],
        .dy = c->dout[0],
        .dx = c->din[X],
        .dweight = c->din[WEIGHT],
        .add = (add & 1u << X ? ADD_DX : 0) | (add & 1u << WEIGHT ? ADD_DWEIGHT : 0),
    };
}

static void rmsnorm_forward_cpu(Call *c)
{
    const NormForward p = rmsnorm_forward_of(c);

    rmsnorm_forward_rows(&p, c->device->threads, c->scratch);
}

static void rmsnorm_backward_cpu(Call *c)
{
    const NormBackward p = rmsnorm_backward_of(c);

    rmsnorm_backward_rows(&p, c->device->threads, c->scratch);
}

const Op rmsnorm_op = {
    .name = "rmsnorm",
    .shape = rmsnorm_shape,
    .prepare = {rmsnorm_prepare_cpu, IF_CUDA(rmsnorm_prepare_cuda)},
    .forward = {rmsnorm_forward_cpu, IF_CUDA(rmsnorm_forward_cuda)},
    .backward = {rmsnorm_backward_cpu, IF_CUDA(rmsnorm_backward_cuda)},
    .reads_inputs = 1u << X | 1u << WEIGHT,
    .backward_in_place = 1u << X,
    .cheap = true,
};

Tensor *op_rmsnorm(Graph *g, Tensor *x, Tensor *weight, RmsnormArgs args)
{
    return call_result(graph_record(g, &rmsnorm_op, INPUTS(x, weight), &args, sizeof args), 0);
}
