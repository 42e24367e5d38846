/* layernorm.cu - CUDA twin of layernorm.c: same contract, same formulas; its kernels are in
 * layernorm_forward.cu and layernorm_backward.cu. */
#include "kernels/gpu.cuh"
#include "kernels/layernorm.h"

Status layernorm_prepare_cuda(Call *c)
{
    const int64_t N = tensor_rows(c->in[0]), C = tensor_columns(c->in[0]);

    c->scratch_bytes = c->pass == FORWARD ? 0 : layernorm_backward_bytes_cuda(N, C);
    return OK;
}

void layernorm_forward_cuda(Call *c)
{
    const NormForward p = layernorm_forward_of(c);

    layernorm_forward_rows_cuda(&p, c);
}

void layernorm_backward_cuda(Call *c)
{
    const NormBackward p = layernorm_backward_of(c);

    layernorm_backward_rows_cuda(&p, c);
}
