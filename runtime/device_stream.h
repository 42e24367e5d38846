/* device_stream.h - for .cu files: the CUDA stream behind a Stream, and where a launcher tells what
 * went wrong. */
#ifndef RUNTIME_DEVICE_STREAM_H
#define RUNTIME_DEVICE_STREAM_H

#include "runtime/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The cudaStream_t of s on a device of kind CUDA; NULL is the device's first stream. */
void *device_stream(const Device *d, const Stream *s);

/* What a library answered to a launcher, which itself returns nothing: the next check() fails with
 * it. Both texts are constants. */
void device_fault(Device *d, const char *library, const char *answer);

#ifdef __cplusplus
}
#endif
#endif
