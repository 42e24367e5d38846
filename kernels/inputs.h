/* inputs.h - what shape rules ask of single inputs, each with its sentence. */
#ifndef KERNELS_INPUTS_H
#define KERNELS_INPUTS_H

#include "runtime/op.h"

/* F32, BF16 or F16. `what` names the input in the message. */
MUST_CHECK Status input_float(const Call *c, int i, const char *what);

/* And one block of memory: not a view of columns. */
MUST_CHECK Status input_contiguous(const Call *c, int i, const char *what);

/* Contiguous I32 of `count` elements; count -1: any. */
MUST_CHECK Status input_integers(const Call *c, int i, int64_t count, const char *what);

/* Contiguous F32 of at least `count` elements. */
MUST_CHECK Status input_f32(const Call *c, int i, int64_t count, const char *what);

/* Contiguous, F32 or of the dtype of in[0]. */
MUST_CHECK Status input_weight(const Call *c, int i, const char *what);

/* Inputs i and j have one shape and one dtype. */
MUST_CHECK Status input_alike(const Call *c, int i, int j);

#endif
