/* device_cuda.h - for runtime/device_*.cu and device.c: the parts of the CUDA device.
 *
 *   device_cuda_open.cu   finds cards, checks driver and card, in sentences
 *   device_cuda.cu        the table: memory, copies, streams, events, capture
 */
#ifndef RUNTIME_DEVICE_CUDA_H
#define RUNTIME_DEVICE_CUDA_H

#include "runtime/device.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef WITH_EMULATOR
#define DEVICE_CUDA_NAME "emulated"
#else
#define DEVICE_CUDA_NAME "cuda"
#endif

/* Opens "cuda", "cuda:1" (under the emulator "emulated"): fills kind, name, index, table and state.
 * Errors: E_CONFIG for a number that no card has, E_DEVICE says what driver or card lack. */
MUST_CHECK Status device_cuda_open(Device *d, const char *name);

/* The table and state of a device whose kind, name and index are set. */
MUST_CHECK Status device_cuda_start(Device *d);

#ifdef __cplusplus
}
#endif
#endif
