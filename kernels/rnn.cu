/* rnn.cu - CUDA twin of rnn.c, by recurrent*.cu. */
#include "kernels/recurrent.cuh"

Status rnn_prepare_cuda(Call *c)
{
    return recurrent_prepare_cuda(c);
}

void rnn_release_cuda(Call *c)
{
    recurrent_release_cuda(c);
}

void rnn_forward_cuda(Call *c)
{
    recurrent_forward_cuda(c);
}

void rnn_backward_cuda(Call *c)
{
    recurrent_backward_cuda(c);
}
