/* dropout.cu - CUDA twin of dropout.c: the same draws (runtime/philox.h), so the same masks. */
#include "kernels/dropout.h"
#include "kernels/elementwise.cuh"
#include "runtime/philox.h"

namespace
{

struct Mask {
    static const int INPUTS = 1;
    const int32_t *sample, *position, *step;
    uint32_t key, threshold;
    float scale; // of what is kept

    template <int W>
    __device__ __forceinline__ void operator()(float (&out)[W], Place at, const float (&x)[W]) const
    {
#pragma unroll
        for (int i = 0; i < W; i += 4) {
            const Philox draw = philox((uint32_t)step[STEP_SEED], key,
                                       (uint32_t)((at.column + i) / 4), (uint32_t)position[at.row],
                                       (uint32_t)sample[at.row], (uint32_t)step[STEP_UPDATE]);
#pragma unroll
            for (int k = 0; k < 4; k++)
                out[i + k] = draw.word[k] >= threshold ? x[i + k] * scale : 0;
        }
    }
};

} // namespace

static void mask_rows(const Call *c, const Tensor *to, const Tensor *from, bool add)
{
    const float p = *static_cast<const float *>(c->args);

    elementwise(c, to, from, nullptr, add,
                Mask{data<int32_t>(c->in[SAMPLE]), data<int32_t>(c->in[POSITION]),
                     data<int32_t>(c->in[STEP]), c->site * 65536u, philox_threshold(p),
                     p < 1 ? 1 / (1 - p) : 0});
}

extern "C" void dropout_forward_cuda(Call *c)
{
    mask_rows(c, c->out[0], c->in[X], false);
}

extern "C" void dropout_backward_cuda(Call *c)
{
    if (c->din[X])
        mask_rows(c, c->din[X], c->dout[0], c->accumulate & 1);
}
