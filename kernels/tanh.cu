/* tanh.cu - CUDA twin of tanh.c. */
#include "kernels/elementwise.cuh"

namespace
{

struct Tanh {
    static const int INPUTS = 1;

    __device__ __forceinline__ float operator()(float x) const
    {
        return tanhf(x);
    }
};

struct TanhSlope {
    static const int INPUTS = 2;

    __device__ __forceinline__ float operator()(float y, float dy) const
    {
        return dy * (1 - y * y);
    }
};

} // namespace

extern "C" void tanh_forward_cuda(Call *c)
{
    elementwise(c, c->out[0], c->in[0], nullptr, false, Each<Tanh>{});
}

extern "C" void tanh_backward_cuda(Call *c)
{
    if (c->din[0])
        elementwise(c, c->din[0], c->out[0], c->dout[0], c->accumulate & 1, Each<TanhSlope>{});
}
