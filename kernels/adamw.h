/* adamw.h - the inputs of an update; its argument is AdamwArgs. */
#ifndef KERNELS_ADAMW_H
#define KERNELS_ADAMW_H

enum { MASTER, GRADIENT, M, V, COPY, SCALARS, TRAINING, COUNTERS }; // c->in[]

#endif
