/* optimizer.h - the update: global norm, clipping, AdamW; recorded once, replayed every update.
 *
 * It owns the moments (F32, one for each element of the trained range) and what lives on the device
 * from update to update: norm, factor, loss scale, counters.
 */
#ifndef TRAIN_OPTIMIZER_H
#define TRAIN_OPTIMIZER_H

#include "kernels/ops.h"
#include "runtime/params.h"
#include "train/batch.h"

typedef struct OptimizerOptions {
    float beta1, beta2, epsilon, weight_decay;
    bool bias_correction;
    float max_grad_norm; // 0: no clipping
    bool loss_scaling;   // F16
} OptimizerOptions;

typedef struct Optimizer Optimizer;

/* After params_layout(). */
MUST_CHECK Status optimizer_new(Device *d, const Params *p, OptimizerOptions o, Optimizer **out);
void optimizer_free(Optimizer *o); // accepts NULL

/* Appends the update to g: reads the gradient and the step scalars, writes masters and copies. */
void optimizer_record(Optimizer *o, Graph *g, Tensor *scalars);

/* The seed of graph_backward(): the loss scale, F32 [1]. */
Tensor *optimizer_loss_scale(Optimizer *o, Graph *g);

/* What a run checkpoint must hold, on the device. */
typedef struct OptimizerState {
    float *m, *v;
    int64_t count;     // elements of each
    float *scalars;    // [TRAINING_SCALARS]
    int32_t *counters; // [TRAINING_INTEGERS]
} OptimizerState;
OptimizerState optimizer_state(const Optimizer *o);
size_t optimizer_bytes(const Optimizer *o);

#endif
