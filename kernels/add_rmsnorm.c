/* add_rmsnorm.c - a residual sum and its root-mean-square norm in one pass over memory; formulas and
 * CPU kernels: rmsnorm.h.
 *
 * Backward reads the sum, never x or the residual. Without training and without a reader the sum is
 * not stored at all.
 */
#include "kernels/inputs.h"
#include "kernels/rmsnorm.h"

enum { X, RESIDUAL, WEIGHT }; // c->in[]
enum { Y, SUM };              // c->out[]
enum { RSTD };                // c->save[]: F32 [N]

typedef struct AddRmsnormArgs {
    float epsilon;
    bool sum; // somebody reads it
} AddRmsnormArgs;

static Status add_rmsnorm_shape(Call *c)
{
    const AddRmsnormArgs *args = c->args;
    const Tensor *x = c->in[X];
    Status s = rmsnorm_fits(c, WEIGHT);

    s = s ? s : input_float(c, RESIDUAL, "residual");
    s = s ? s : input_alike(c, X, RESIDUAL);
    if (s)
        return s;
    call_output(c, Y, x->dtype, x->ndim, x->dim);
    if (args->sum || c->training)
        call_output(c, SUM, x->dtype, x->ndim, x->dim);
    if (c->training)
        call_save(c, RSTD, F32, DIMS(tensor_rows(x)));
    return graph_status(c->graph);
}

static Status add_rmsnorm_prepare_cpu(Call *c)
{
    const int64_t N = tensor_rows(c->in[X]), C = tensor_columns(c->in[X]);

    c->scratch_bytes = c->pass == FORWARD ? rmsnorm_forward_bytes(C, c->device->threads)
                                          : rmsnorm_backward_bytes(N, C, c->device->threads);
    return OK;
}

NormForward add_rmsnorm_forward_of(const Call *c)
{
    const AddRmsnormArgs *args = c->args;

    return (NormForward){
        .x = c->in[X],
        .residual = c->in[RESIDUAL],
        .weight = c->in[WEIGHT],
        .epsilon = args->epsilon,
        .sum = c->out[SUM],
        .y = c->out[Y],
        .rstd = c->save[RSTD],
    };
}

NormBackward add_rmsnorm_backward_of(const Call *c)
{
    const uint32_t add = c->accumulate;

    return (NormBackward){
        .sum = c->out[SUM],
        .weight = c->in[WEIGHT],
        .rstd = c->save[RSTD],
        .dy = c->dout[Y],
        .dsum = c->dout[SUM],
        .dx = c->din[X],
        .dresidual = c->din[RESIDUAL],
        .dweight = c->din[WEIGHT],
        .add = (add & 1u << X ? ADD_DX : 0) | (add & 1u << RESIDUAL ? ADD_DRESIDUAL : 0) |
               (add & 1u << WEIGHT ? ADD_DWEIGHT : 0),
    };
}

static void add_rmsnorm_forward_cpu(Call *c)
{
    const NormForward p = add_rmsnorm_forward_of(c);

    rmsnorm_forward_rows(&p, c->device->threads, c->scratch);
}

static void add_rmsnorm_backward_cpu(Call *c)
{
    const NormBackward p = add_rmsnorm_backward_of(c);

    rmsnorm_backward_rows(&p, c->device->threads, c->scratch);
}

const Op add_rmsnorm_op = {
    .name = "add_rmsnorm",
    .shape = add_rmsnorm_shape,
    .prepare = {add_rmsnorm_prepare_cpu, IF_CUDA(add_rmsnorm_prepare_cuda)},
    .forward = {add_rmsnorm_forward_cpu, IF_CUDA(add_rmsnorm_forward_cuda)},
    .backward = {add_rmsnorm_backward_cpu, IF_CUDA(add_rmsnorm_backward_cuda)},
    .reads_inputs = 1u << WEIGHT,
    .reads_outputs = 1u << SUM,
    .in_place = 1u << 0 | 1u << 1,
    .backward_in_place = 1u << 0 | 1u << 1,
    .cheap = true,
};

Tensor *op_add_rmsnorm(Graph *g, Tensor *x, Tensor *residual, Tensor *weight, RmsnormArgs args,
                       Tensor **sum)
{
    const AddRmsnormArgs all = {args.epsilon, sum != NULL};
    Call *c = graph_record(g, &add_rmsnorm_op, INPUTS(x, residual, weight), &all, sizeof all);

    if (sum)
        *sum = call_result(c, SUM);
    return call_result(c, Y);
}
