/* add_layernorm.cu - CUDA twin of add_layernorm.c: same contract, same formulas; its kernels are in
 * layernorm_forward.cu and layernorm_backward.cu. */
#include "kernels/gpu.cuh"
#include "kernels/layernorm.h"

Status add_layernorm_prepare_cuda(Call *c)
{
    const int64_t N = tensor_rows(c->in[0]), C = tensor_columns(c->in[0]);

    c->scratch_bytes = c->pass == FORWARD ? 0 : layernorm_backward_bytes_cuda(N, C);
    return OK;
}

void add_layernorm_forward_cuda(Call *c)
{
    const NormForward p = add_layernorm_forward_of(c);

    layernorm_forward_rows_cuda(&p, c);
}

void add_layernorm_backward_cuda(Call *c)
{
    const NormBackward p = add_layernorm_backward_of(c);

    layernorm_backward_rows_cuda(&p, c);
}
