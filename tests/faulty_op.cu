/* faulty_op.cu - see faulty_op.h. */
#include "tests/faulty_op.h"

#include "kernels/gpu.cuh"
#include "runtime/device_stream.h"

void refusing_forward_cuda(Call *c)
{
    const RefusingArgs *a = static_cast<const RefusingArgs *>(c->args);

    if (++*a->runs == a->refused)
        device_fault(c->device, "a library", "not now");
}

#ifdef WITH_EMULATOR

void faulty_forward_cuda(Call *c)
{
    device_fault(c->device, "its driver", "an illegal memory access");
}

#else

static __global__ void faulty_kernel(float *nowhere)
{
    *nowhere = 1;
}

void faulty_forward_cuda(Call *c)
{
    LAUNCH(faulty_kernel, 1, 1, 0, call_stream(c), reinterpret_cast<float *>(64));
}

#endif
