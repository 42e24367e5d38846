/* batch.h - a batch is rows and offsets; no padding.
 *
 * A micro-batch is N rows (tokens, one sequence after another) of B sequences. A graph is compiled
 * for a bucket: N and B rounded up. The true numbers are on the device: offsets[b] is the first row
 * of sequence b, and offsets past the true B repeat the true N, so that offsets[bucket B] is the
 * true N. Rows beyond it belong to no sequence.
 */
#ifndef RUNTIME_BATCH_H
#define RUNTIME_BATCH_H

#include "runtime/tensor.h"

/* What operators that look along sequences or draw random numbers need to know of the rows. */
typedef struct Rows {
    Tensor *offsets;  // I32 [B + 1]
    Tensor *sample;   // I32 [N]: number within the update of the sample that the row belongs to
    Tensor *position; // I32 [N]: the row's place in its sequence, from 0
    int64_t longest;  // no sequence is longer (bucket)
} Rows;

/* Step scalars: one F32 tensor [STEP_SCALARS], copied to the device once an update. */
enum {
    STEP_LEARNING_RATE,
    STEP_TARGET_WEIGHT, // 1 / (targets of the whole update, over micro-batches and ranks)
    STEP_SCALARS = 8,
};

/* And one I32 tensor [STEP_INTEGERS]. */
enum {
    STEP_SEED,   // philox_seed() of the run's seed
    STEP_UPDATE, // number of the update: the random counter
    STEP_INTEGERS = 4,
};

/* What lives on the device from update to update: F32 [TRAINING_SCALARS] and I32
 * [TRAINING_INTEGERS]; written by op_global_norm. */
enum {
    TRAINING_LOSS_SCALE,
    TRAINING_GRADIENT_NORM,   // of the unscaled gradient, before clipping
    TRAINING_GRADIENT_FACTOR, // what the optimizer multiplies the gradient by; 0: skip this update
    TRAINING_SCALARS = 4,
};
enum {
    TRAINING_APPLIED, // updates applied; bias correction counts these
    TRAINING_SKIPPED,
    TRAINING_GROWTH, // updates since the loss scale last changed
    TRAINING_INTEGERS = 4,
};

/* n rounded up to one of `sizes` (a power of two) sizes an octave, at least 1, at most capacity
 * (which must be at least n). */
int64_t bucket_round(int64_t n, int64_t capacity, int64_t sizes);

#endif
