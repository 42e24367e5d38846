/* faulty_op.h - forward passes of operators that go wrong, on a device of kind CUDA. The kernel of one
 * writes where no memory is. Under the emulator, which would stop the whole program there, a library
 * answers with a fault instead. The other's library refuses once. */
#ifndef TESTS_FAULTY_OP_H
#define TESTS_FAULTY_OP_H

#include "runtime/op.h"

#ifdef __cplusplus
extern "C" {
#endif

void faulty_forward_cuda(Call *c);

typedef struct RefusingArgs {
    int *runs;   // counts them
    int refused; // which one fails, from 1
} RefusingArgs;

void refusing_forward_cuda(Call *c);

#ifdef __cplusplus
}
#endif
#endif
