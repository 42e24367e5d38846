/* gemm_cuda.cu - products of a GPU, by cuBLASLt. */
#ifndef WITH_EMULATOR
#include "kernels/gemm_parts.h"

bool gemm_cuda_is_native(Device *d, Dtype a, Dtype b)
{
    (void)d;
    return a == b;
}

Status gemm_cuda_make(GemmPlan **out, Device *d, Gemm g)
{
    (void)out;
    return fail(E_DEVICE, "device %s: no library for the product [%lld, %lld] x [%lld, %lld]",
                d->name, (long long)g.m, (long long)g.k, (long long)g.k, (long long)g.n);
}

void gemm_cuda_free(GemmPlan *p)
{
    (void)p;
}

size_t gemm_cuda_scratch(const GemmPlan *p)
{
    (void)p;
    return 0;
}

void gemm_cuda_run(GemmPlan *p, Stream *s, const void *a, const void *b, void *c, const void *bias,
                   void *scratch)
{
    (void)p, (void)s, (void)a, (void)b, (void)c, (void)bias, (void)scratch;
}
#endif
