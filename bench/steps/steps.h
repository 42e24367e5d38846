/* steps.h - models whose whole training steps cairn-steps times, with random weights and tokens. */
#ifndef BENCH_STEPS_STEPS_H
#define BENCH_STEPS_STEPS_H

#include "runtime/params.h"
#include "train/batch.h"

typedef struct StepsShape {
    int64_t layers, width, heads, vocabulary; // of the model
    int64_t batch, length;                    // sequences of a step, tokens of each
    Dtype dtype;
} StepsShape;

typedef struct StepsModel {
    const char *name;
    StepsShape usual; // where the command line says nothing
    const BatchField
        *fields; // I32, filled with numbers below `vocabulary` of STEPS_IDS, 0 elsewhere
    /* Declares the parameters; *model is freed by free(). */
    Status (*declare)(const StepsShape *s, Params *p, void **model);
    void (*free)(void *model); // accepts NULL
    /* Records the forward pass: the loss, F32 [1]. */
    Tensor *(*loss)(const void *model, Graph *g, const BatchTensors *in);
    /* FLOPs of a token, forward and backward, and in words. */
    double (*flops)(const StepsShape *s);
    const char *flops_formula;
} StepsModel;

/* The first fields of every model. */
enum { STEPS_IDS, STEPS_TARGETS };

extern const StepsModel steps_gpt2, steps_bert;

#endif
