/* lstm.cu - CUDA twin of lstm.c, by recurrent*.cu. */
#include "kernels/recurrent.cuh"

Status lstm_prepare_cuda(Call *c)
{
    return recurrent_prepare_cuda(c);
}

void lstm_release_cuda(Call *c)
{
    recurrent_release_cuda(c);
}

void lstm_forward_cuda(Call *c)
{
    recurrent_forward_cuda(c);
}

void lstm_backward_cuda(Call *c)
{
    recurrent_backward_cuda(c);
}
