/* swiglu.cu - CUDA twin of swiglu.c: same contract, same formulas. Backward has read its run of every
 * matrix before it writes, so dgate may lie over dy. */
#include "kernels/elementwise.cuh"

enum { GATE, UP }; // c->in[]

/* 1 / (1 + e^-x): 0 where e^-x is infinite. */
static __device__ __forceinline__ float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

namespace
{

struct Swiglu {
    static const int INPUTS = 2;

    __device__ __forceinline__ float operator()(float gate, float up) const
    {
        return gate * sigmoid(gate) * up;
    }
};

template <typename T>
struct SwigluSlopes {
    Matrix<const T> gate, up, dy;
    Matrix<T> dgate, dup; // without data not wanted
    int64_t N, F;
    bool wide, add_gate, add_up;
};

} // namespace

/* A thread: a run of columns of both gradients, as elementwise_map() takes one of one. */
template <typename T>
static __global__ void swiglu_slopes(SwigluSlopes<T> p)
{
    constexpr int W = Pack<T>::SIZE;
    const int64_t i = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * W;
    const int64_t rows = (int64_t)gridDim.y * blockDim.y;

    if (i >= p.F)
        return;
    const int n = p.F - i < W ? (int)(p.F - i) : W;
    for (int64_t row = (int64_t)blockIdx.y * blockDim.y + threadIdx.y; row < p.N; row += rows) {
        float gate[W], up[W], dy[W];
        run_load(gate, p.gate.at(row, i), n, p.wide);
        run_load(up, p.up.at(row, i), n, p.wide);
        run_load(dy, p.dy.at(row, i), n, p.wide);
#pragma unroll
        for (int j = 0; j < W; j++) {
            const float s = sigmoid(gate[j]), g = gate[j] * s;
            gate[j] = dy[j] * up[j] * (s + g * (1 - s));
            up[j] = dy[j] * g;
        }
        if (p.dgate.data)
            run_give(p.dgate.at(row, i), gate, n, p.wide, p.add_gate);
        if (p.dup.data)
            run_give(p.dup.at(row, i), up, n, p.wide, p.add_up);
    }
}

extern "C" void swiglu_forward_cuda(Call *c)
{
    elementwise(c, c->out[0], c->in[GATE], c->in[UP], false, Each<Swiglu>{});
}

extern "C" void swiglu_backward_cuda(Call *c)
{
    const Tensor *const all[] = {c->in[GATE], c->in[UP], c->dout[0], c->din[GATE], c->din[UP]};
    const int64_t N = tensor_rows(c->dout[0]), F = tensor_columns(c->dout[0]);

    if (N * F == 0)
        return;
    with_type(c->dout[0]->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        const int W = Pack<T>::SIZE;
        const int64_t runs = (F + W - 1) / W;
        const dim3 threads = elementwise_block(runs);
        SwigluSlopes<T> p = {matrix<const T>(all[0]),
                             matrix<const T>(all[1]),
                             matrix<const T>(all[2]),
                             matrix<T>(all[3]),
                             matrix<T>(all[4]),
                             N,
                             F,
                             true,
                             (c->accumulate >> GATE & 1) != 0,
                             (c->accumulate >> UP & 1) != 0};
        for (const Tensor *x : all)
            p.wide = p.wide && elementwise_wide(x, N, W);
        LAUNCH((swiglu_slopes<T>), elementwise_grid(runs, N, threads), threads, 0, call_stream(c),
               p);
    });
}
