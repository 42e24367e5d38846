/* device_kinds.h - for device.c alone: the kinds of device that this build has. */
#ifndef RUNTIME_DEVICE_KINDS_H
#define RUNTIME_DEVICE_KINDS_H

#ifdef WITH_CUDA
#include "runtime/device_cuda.h"
#endif
#include "runtime/device.h"

/* Fills kind, name, index, table and state of a Device whose threads are set. */
MUST_CHECK Status device_cpu_open(Device *d);

#endif
