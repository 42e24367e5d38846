/* cudnn.h - whether cuDNN, the second opinion on attention, lstm and gru, is there. It is loaded when
 * a kernel called cudnn is forced, and chosen by nothing else. */
#ifndef KERNELS_CUDNN_H
#define KERNELS_CUDNN_H

#include "runtime/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "9.19.0" into text. d is of kind CUDA. Errors: E_DEVICE says what is missing and how to get it. */
MUST_CHECK Status cudnn_describe(Device *d, char *text, size_t room);

#ifdef __cplusplus
}
#endif
#endif
