/* global_norm.h - the inputs of a global norm; its argument is GlobalNormArgs. */
#ifndef KERNELS_GLOBAL_NORM_H
#define KERNELS_GLOBAL_NORM_H

enum { GRADIENT, TRAINING, COUNTERS }; // c->in[]

#endif
