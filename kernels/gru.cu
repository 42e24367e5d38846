/* gru.cu - CUDA twin of gru.c, by recurrent*.cu. */
#include "kernels/recurrent.cuh"

Status gru_prepare_cuda(Call *c)
{
    return recurrent_prepare_cuda(c);
}

void gru_release_cuda(Call *c)
{
    recurrent_release_cuda(c);
}

void gru_forward_cuda(Call *c)
{
    recurrent_forward_cuda(c);
}

void gru_backward_cuda(Call *c)
{
    recurrent_backward_cuda(c);
}
