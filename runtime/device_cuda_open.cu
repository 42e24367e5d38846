/* device_cuda_open.cu - which cards there are and whether Cairn runs on them.
 *
 * CUDA's runtime is linked statically and loads the driver's library when it is first called, so a
 * machine without a driver gets cudaErrorInsufficientDriver here and nothing before.
 */
#include "runtime/device_cuda.h"

#include <cuda_runtime.h>

#include <stdlib.h>
#include <string.h>

enum { LEAST_MAJOR = 8 }; // sm_80: BF16 products, cp.async

static Status no_card(cudaError_t e)
{
    int driver = 0, runtime = 0;

    (void)cudaGetLastError();
    (void)cudaDriverGetVersion(&driver);
    (void)cudaRuntimeGetVersion(&runtime);
    if (e == cudaErrorInsufficientDriver && driver > 0)
        return fail(E_DEVICE,
                    "device %s: the driver serves CUDA %d.%d, this program wants %d.%d: install a "
                    "newer NVIDIA driver, or use device=cpu",
                    DEVICE_CUDA_NAME, driver / 1000, driver % 1000 / 10, runtime / 1000,
                    runtime % 1000 / 10);
    if (e == cudaErrorInsufficientDriver)
        return fail(E_DEVICE,
                    "device %s: this machine has no NVIDIA driver: install one, or use device=cpu",
                    DEVICE_CUDA_NAME);
    if (e == cudaErrorNoDevice)
        return fail(E_DEVICE,
                    "device %s: the driver shows no GPU (is CUDA_VISIBLE_DEVICES set?): use "
                    "device=cpu",
                    DEVICE_CUDA_NAME);
    return fail(E_DEVICE, "device %s: CUDA does not start: %s (%s); use device=cpu",
                DEVICE_CUDA_NAME, cudaGetErrorString(e), cudaGetErrorName(e));
}

/* The number behind the colon; 0 where there is none. */
static Status parse_index(const char *name, int *out)
{
    const char *rest = name + strlen(DEVICE_CUDA_NAME);
    char *end = NULL;

    *out = 0;
    if (!*rest)
        return OK;
    const long index =
        *rest == ':' && rest[1] >= '0' && rest[1] <= '9' ? strtol(rest + 1, &end, 10) : -1;
    if (index < 0 || index > 1023 || !end || *end)
        return fail(E_CONFIG, "device %s: expected %s or %s:N, N from 0", name, DEVICE_CUDA_NAME,
                    DEVICE_CUDA_NAME);
    *out = (int)index;
    return OK;
}

Status device_cuda_open(Device *d, const char *name)
{
    int count = 0, major = 0, minor = 0;
    Status s = parse_index(name, &d->index);

    if (s)
        return s;
    cudaError_t e = cudaGetDeviceCount(&count);
    if (e != cudaSuccess || count == 0)
        return no_card(e != cudaSuccess ? e : cudaErrorNoDevice);
    if (d->index >= count)
        return fail(E_CONFIG, "device %s: this machine has %d GPU%s, numbered from 0", name, count,
                    count == 1 ? "" : "s");
    e = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, d->index);
    if (e == cudaSuccess)
        e = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, d->index);
    if (e != cudaSuccess)
        return no_card(e);
    if (major < LEAST_MAJOR)
        return fail(E_DEVICE,
                    "device %s: the card is of compute capability %d.%d, Cairn's kernels want 8.0 "
                    "(Ampere) or later: use another card, or device=cpu",
                    name, major, minor);
    d->kind = DEVICE_CUDA;
    d->name = DEVICE_CUDA_NAME;
    return device_cuda_start(d);
}
