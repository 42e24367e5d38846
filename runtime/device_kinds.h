/* device_kinds.h - for device.c alone: the kinds of device that this build has. */
#ifndef RUNTIME_DEVICE_KINDS_H
#define RUNTIME_DEVICE_KINDS_H

#include "runtime/device.h"

/* Each fills kind, name, index, table and state of a Device whose threads are set. */
MUST_CHECK Status device_cpu_open(Device *d);
#ifdef WITH_CUDA
#define DEVICE_CUDA_NAME "cuda"
MUST_CHECK Status device_cuda_open(Device *d, const char *name);
#endif

#endif
