/* check_op_device.cu - simple kernels; they are not what is tested. */
#include "tests/check_op_device.h"

#include "kernels/rows.cuh"

enum { THREADS = 256, WARPS = THREADS / WARP };

template <typename T>
static __global__ void weigh_kernel(const T *y, int64_t stride, int64_t columns, int64_t count,
                                    const float *seed, float *out)
{
    __shared__ float part[WARPS];
    float sum = 0;

    for (int64_t i = threadIdx.x; i < count; i += THREADS)
        sum += to_float(y[i / columns * stride + i % columns]) * seed[i];
    sum = team_sum<THREADS>(sum, part);
    if (threadIdx.x == 0)
        *out = sum;
}

template <typename T>
static __global__ void weigh_gradient_kernel(T *dy, int64_t stride, int64_t columns, int64_t count,
                                             const float *seed, const float *dout, bool add)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;

    if (i >= count)
        return;
    T *at = dy + i / columns * stride + i % columns;
    *at = from_float<T>((add ? to_float(*at) : 0.0f) + *dout * seed[i]);
}

static __global__ void total_kernel(const float *a, const float *b, float *out)
{
    *out = *a + *b;
}

static __global__ void total_gradient_kernel(const float *dout, float *da, float *db)
{
    *da = *dout;
    *db = *dout;
}

void weigh_forward_cuda(Call *c)
{
    const Tensor *y = c->in[0];

    with_type(y->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        LAUNCH(weigh_kernel<T>, 1, THREADS, 0, call_stream(c), data<const T>(y), y->stride,
               tensor_columns(y), tensor_size(y), data<const float>(c->in[1]),
               data<float>(c->out[0]));
    });
}

void weigh_backward_cuda(Call *c)
{
    const Tensor *dy = c->din[0];
    const int64_t count = tensor_size(dy);

    if (count == 0)
        return;
    with_type(dy->dtype, [&](auto zero) {
        typedef decltype(zero) T;
        LAUNCH(weigh_gradient_kernel<T>, blocks_for(count, THREADS), THREADS, 0, call_stream(c),
               data<T>(dy), dy->stride, tensor_columns(dy), count, data<const float>(c->in[1]),
               data<const float>(c->dout[0]), (c->accumulate & 1) != 0);
    });
}

void total_forward_cuda(Call *c)
{
    LAUNCH(total_kernel, 1, 1, 0, call_stream(c), data<const float>(c->in[0]),
           data<const float>(c->in[1]), data<float>(c->out[0]));
}

void total_backward_cuda(Call *c)
{
    LAUNCH(total_gradient_kernel, 1, 1, 0, call_stream(c), data<const float>(c->dout[0]),
           data<float>(c->din[0]), data<float>(c->din[1]));
}
