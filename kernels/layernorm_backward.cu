/* layernorm_backward.cu - the rows of layernorm and add_layernorm on CUDA: backward. */
#include "kernels/layernorm.h"
#include "kernels/norm_backward.cuh"

size_t layernorm_backward_bytes_cuda(int64_t N, int64_t C)
{
    return norm_backward_bytes<true>(N, C);
}

void layernorm_backward_rows_cuda(const NormBackward *p, const Call *c)
{
    norm_backward<true>(p, c);
}
