/* gelu.cu - CUDA twin of gelu.c. */
#include "kernels/elementwise.cuh"
#include "kernels/gelu.cuh"

namespace
{

struct GeluSlope {
    static const int INPUTS = 2;
    Activation form;

    __device__ __forceinline__ float operator()(float x, float dy) const
    {
        return dy * gelu_slope(form, x);
    }
};

} // namespace

static Activation form_of(const Call *c)
{
    return *static_cast<const Activation *>(c->args);
}

extern "C" void gelu_forward_cuda(Call *c)
{
    elementwise(c, c->out[0], c->in[0], nullptr, false, Each<Gelu>{{form_of(c)}});
}

extern "C" void gelu_backward_cuda(Call *c)
{
    if (c->din[0])
        elementwise(c, c->din[0], c->in[0], c->dout[0], c->accumulate & 1,
                    Each<GeluSlope>{{form_of(c)}});
}
