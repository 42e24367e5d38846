/* rmsnorm_backward.cu - the rows of rmsnorm and add_rmsnorm on CUDA: backward. */
#include "kernels/norm_backward.cuh"
#include "kernels/rmsnorm.h"

size_t rmsnorm_backward_bytes_cuda(int64_t N, int64_t C)
{
    return norm_backward_bytes<false>(N, C);
}

void rmsnorm_backward_rows_cuda(const NormBackward *p, const Call *c)
{
    norm_backward<false>(p, c);
}
