/* add_rmsnorm.cu - CUDA twin of add_rmsnorm.c: same contract, same formulas; its kernels are in
 * rmsnorm_forward.cu and rmsnorm_backward.cu. */
#include "kernels/gpu.cuh"
#include "kernels/rmsnorm.h"

Status add_rmsnorm_prepare_cuda(Call *c)
{
    const int64_t N = tensor_rows(c->in[0]), C = tensor_columns(c->in[0]);

    c->scratch_bytes = c->pass == FORWARD ? 0 : rmsnorm_backward_bytes_cuda(N, C);
    return OK;
}

void add_rmsnorm_forward_cuda(Call *c)
{
    const NormForward p = add_rmsnorm_forward_of(c);

    rmsnorm_forward_rows_cuda(&p, c);
}

void add_rmsnorm_backward_cuda(Call *c)
{
    const NormBackward p = add_rmsnorm_backward_of(c);

    rmsnorm_backward_rows_cuda(&p, c);
}
