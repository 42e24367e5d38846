/* loss.h - the places of what cross_entropy and span_cross_entropy take and keep, on every device. */
#ifndef KERNELS_LOSS_H
#define KERNELS_LOSS_H

enum { LOGITS, TARGET, OFFSETS, SCALARS }; // c->in[]
enum { LSE };                              // c->save[]: F32, one for each softmax

#endif
