/* rnn.c - the plain recurrent layer; formulas: ops.h, recurrent.h. */
#include "kernels/recurrent.h"

const Op rnn_op = {
    .name = "rnn",
    .shape = recurrent_shape,
    .prepare = {recurrent_prepare_cpu, IF_CUDA(recurrent_prepare_cuda)},
    .release = {recurrent_release_cpu, IF_CUDA(recurrent_release_cuda)},
    .forward = {recurrent_forward_cpu, IF_CUDA(recurrent_forward_cuda)},
    .backward = {recurrent_backward_cpu, IF_CUDA(recurrent_backward_cuda)},
    .reads_inputs = 1u << X | 1u << OFFSETS | 1u << W_IH | 1u << W_HH | 1u << H0,
    .reads_outputs = 1u << Y,
    .kernels = {NULL, IF_CUDA(rnn_kernels_cuda)},
    .chosen = {NULL, IF_CUDA(recurrent_chosen_cuda)},
};

Tensor *op_rnn(Graph *g, Tensor *x, const Rows *rows, Tensor *step, RecurrentLayer layer[],
               int layers, RecurrentArgs args)
{
    return recurrent_record(g, &rnn_op, RNN, x, rows, step, layer, layers, args);
}
