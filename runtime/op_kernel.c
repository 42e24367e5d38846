/* op_kernel.c - kernels of an operator, forced by the names that its table gives them. */
#include "runtime/op.h"

#include <stdio.h>
#include <string.h>

bool op_has_kernel(const Op *op, DeviceKind kind, const char *name)
{
    OpKernel k;

    for (int i = 0; op->kernels[kind] && op->kernels[kind](i, &k); i++)
        if (!strcmp(name, k.name))
            return true;
    return false;
}

Status op_force_kernel(Device *d, const Op *op, const char *name)
{
    bool (*const kernels)(int, OpKernel *) = op->kernels[d->kind];
    char names[256] = "auto";
    OpKernel k;

    if (!strcmp(name, "auto") || op_has_kernel(op, d->kind, name))
        return device_force_kernel(d, op->name, name);
    if (!kernels)
        return fail(E_CONFIG,
                    "kernel.%s: %s: device %s has one kernel of %s, so there is none to force; "
                    "leave kernel.%s out",
                    op->name, name, d->name, op->name, op->name);
    for (int i = 0; kernels(i, &k); i++) {
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, ", %s", k.name);
    }
    return fail(E_CONFIG, "kernel.%s: %s is not one of %s", op->name, name, names);
}
