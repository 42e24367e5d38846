/* faulty_op.h - the forward pass of an operator that goes wrong, on a device of kind CUDA: its kernel
 * writes where no memory is. Under the emulator, which would stop the whole program there, a library
 * answers with a fault instead. */
#ifndef TESTS_FAULTY_OP_H
#define TESTS_FAULTY_OP_H

#include "runtime/op.h"

#ifdef __cplusplus
extern "C" {
#endif

void faulty_forward_cuda(Call *c);

#ifdef __cplusplus
}
#endif
#endif
