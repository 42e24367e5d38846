/* recurrent_parts.h - what the recurrent operators of the CPU do before the first step. */
#ifndef KERNELS_RECURRENT_PARTS_H
#define KERNELS_RECURRENT_PARTS_H

#include "kernels/recurrent.h"

/* order[0 .. B) = the sequences, longest first, equal ones as they come; order has room for 2 B. */
void recurrent_rank(const int32_t *offsets, int64_t B, int32_t *order);

/* w_hh [D*G*H, H] as recurrent_block.h reads it: D blocks of G*H*state floats. */
void recurrent_panels_forward(const Tensor *w, const RecurrentShape *s, int lanes, float *out,
                              int threads);
void recurrent_panels_backward(const Tensor *w, const RecurrentShape *s, int lanes, float *out,
                               int threads);

#endif
