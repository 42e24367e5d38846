/* device_kernel.c - which kernels are forced by name on a device. */
#include "runtime/device.h"

#include <string.h>

static DeviceKernel *entry(Device *d, const char *op)
{
    for (int i = 0; i < DEVICE_KERNELS; i++)
        if (!d->kernel[i].op[0] || !strcmp(d->kernel[i].op, op))
            return &d->kernel[i];
    return NULL;
}

Status device_force_kernel(Device *d, const char *op, const char *kernel)
{
    DeviceKernel *e = entry(d, op);

    if (!e)
        return fail(E_CONFIG, "kernel.%s: more than %d operators have a kernel forced", op,
                    DEVICE_KERNELS);
    if (strlen(op) >= sizeof e->op || strlen(kernel) >= sizeof e->kernel || !*op || !*kernel)
        return fail(E_CONFIG, "kernel.%s: %s: expected names of 1 to %d letters", op, kernel,
                    DEVICE_NAME_ROOM - 1);
    strcpy(e->op, op);
    strcpy(e->kernel, kernel);
    return OK;
}

const char *device_forced_kernel(const Device *d, const char *op)
{
    for (int i = 0; i < DEVICE_KERNELS && d->kernel[i].op[0]; i++)
        if (!strcmp(d->kernel[i].op, op))
            return strcmp(d->kernel[i].kernel, "auto") != 0 ? d->kernel[i].kernel : NULL;
    return NULL;
}
