/* gather.cu - CUDA twin of gather.c. The gradient is a sorted sum: scatter.cuh. */
#include "kernels/elementwise.cuh"
#include "kernels/scatter.cuh"

enum { X, INDEX }; // c->in[]

namespace
{

template <typename T>
struct Pick {
    static const int INPUTS = 0;
    Matrix<const T> x;
    const int32_t *index;
    int64_t N;
    bool wide;

    template <int W>
    __device__ __forceinline__ void operator()(float (&out)[W], Place at) const
    {
        const int32_t row = index[at.row];
        const bool inside = row >= 0 && row < N;

        run_load(out, x.at(inside ? row : 0, at.column), inside ? at.n : 0, wide);
    }
};

} // namespace

extern "C" void gather_forward_cuda(Call *c)
{
    const Tensor *x = c->in[X], *y = c->out[0];

    with_type(x->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        const int64_t N = tensor_rows(x);
        elementwise(c, y, nullptr, nullptr, false,
                    Pick<T>{matrix<const T>(x), data<int32_t>(c->in[INDEX]), N,
                            elementwise_wide(x, N, Pack<T>::SIZE)});
    });
}

extern "C" Status gather_prepare_cuda(Call *c)
{
    if (c->pass == BACKWARD && c->din[X])
        c->scratch_bytes = scatter_scratch_cuda(tensor_size(c->in[INDEX]), tensor_rows(c->din[X]),
                                                tensor_columns(c->din[X]));
    return OK;
}

extern "C" void gather_backward_cuda(Call *c)
{
    if (c->din[X])
        scatter_rows_cuda(c, c->din[X], c->dout[0], data<int32_t>(c->in[INDEX]),
                          tensor_size(c->in[INDEX]), nullptr, c->accumulate & 1);
}
