/* add_layernorm.c - a residual sum and its layer normalisation in one pass over memory; formulas
 * and CPU kernels: layernorm.h.
 *
 * Backward reads the sum, never x or the residual. Without training and without a reader the sum is
 * not stored at all.
 */
#include "kernels/inputs.h"
#include "kernels/layernorm.h"

enum { X, RESIDUAL, WEIGHT, BIAS }; // c->in[]
enum { Y, SUM };                    // c->out[]
enum { MEAN, RSTD };                // c->save[]: F32 [N]

typedef struct AddLayernormArgs {
    float epsilon;
    bool sum; // somebody reads it
} AddLayernormArgs;

static Status add_layernorm_shape(Call *c)
{
    const AddLayernormArgs *args = c->args;
    const Tensor *x = c->in[X];
    Status s = layernorm_fits(c, WEIGHT, BIAS);

    s = s ? s : input_float(c, RESIDUAL, "residual");
    s = s ? s : input_alike(c, X, RESIDUAL);
    if (s)
        return s;
    call_output(c, Y, x->dtype, x->ndim, x->dim);
    if (args->sum || c->training)
        call_output(c, SUM, x->dtype, x->ndim, x->dim);
    if (c->training) {
        call_save(c, MEAN, F32, DIMS(tensor_rows(x)));
        call_save(c, RSTD, F32, DIMS(tensor_rows(x)));
    }
    return graph_status(c->graph);
}

static Status add_layernorm_prepare_cpu(Call *c)
{
    const int64_t N = tensor_rows(c->in[X]), C = tensor_columns(c->in[X]);

    c->scratch_bytes = c->pass == FORWARD ? layernorm_forward_bytes(C, c->device->threads)
                                          : layernorm_backward_bytes(N, C, c->device->threads);
    return OK;
}

NormForward add_layernorm_forward_of(const Call *c)
{
    const AddLayernormArgs *args = c->args;

    return (NormForward){
        .x = c->in[X],
        .residual = c->in[RESIDUAL],
        .weight = c->in[WEIGHT],
        .bias = c->in[BIAS],
        .epsilon = args->epsilon,
        .sum = c->out[SUM],
        .y = c->out[Y],
        .mean = c->save[MEAN],
        .rstd = c->save[RSTD],
    };
}

NormBackward add_layernorm_backward_of(const Call *c)
{
    const uint32_t add = c->accumulate;

    return (NormBackward){
        .sum = c->out[SUM],
        .weight = c->in[WEIGHT],
        .mean = c->save[MEAN],
        .rstd = c->save[RSTD],
        .dy = c->dout[Y],
        .dsum = c->dout[SUM],
        .dx = c->din[X],
        .dresidual = c->din[RESIDUAL],
        .dweight = c->din[WEIGHT],
        .dbias = c->din[BIAS],
        .add = (add & 1u << X ? ADD_DX : 0) | (add & 1u << RESIDUAL ? ADD_DRESIDUAL : 0) |
               (add & 1u << WEIGHT ? ADD_DWEIGHT : 0) | (add & 1u << BIAS ? ADD_DBIAS : 0),
    };
}

static void add_layernorm_forward_cpu(Call *c)
{
    const NormForward p = add_layernorm_forward_of(c);

    layernorm_forward_rows(&p, c->device->threads, c->scratch);
}

static void add_layernorm_backward_cpu(Call *c)
{
    const NormBackward p = add_layernorm_backward_of(c);

    layernorm_backward_rows(&p, c->device->threads, c->scratch);
}

const Op add_layernorm_op = {
    .name = "add_layernorm",
    .shape = add_layernorm_shape,
    .prepare = {add_layernorm_prepare_cpu, IF_CUDA(add_layernorm_prepare_cuda)},
    .forward = {add_layernorm_forward_cpu, IF_CUDA(add_layernorm_forward_cuda)},
    .backward = {add_layernorm_backward_cpu, IF_CUDA(add_layernorm_backward_cuda)},
    .reads_inputs = 1u << WEIGHT,
    .reads_outputs = 1u << SUM,
    .in_place = 1u << 0 | 1u << 1,
    .backward_in_place = 1u << 0 | 1u << 1,
    .cheap = true,
};

Tensor *op_add_layernorm(Graph *g, Tensor *x, Tensor *residual, Tensor *weight, Tensor *bias,
                         LayernormArgs args, Tensor **sum)
{
    const AddLayernormArgs all = {args.epsilon, sum != NULL};
    Call *c =
        graph_record(g, &add_layernorm_op, INPUTS(x, residual, weight, bias), &all, sizeof all);

    if (sum)
        *sum = call_result(c, SUM);
    return call_result(c, Y);
}
