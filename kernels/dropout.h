/* dropout.h - the inputs of a dropout; its argument is the probability, a float. */
#ifndef KERNELS_DROPOUT_H
#define KERNELS_DROPOUT_H

enum { X, SAMPLE, POSITION, STEP }; // c->in[]

#endif
