/* task.h - what a recipe gives the training loop.
 *
 * A sample is one sequence. The loop decides order, micro-batches, updates, evaluation and saving;
 * the task knows what its samples hold and what is to be learned from them.
 */
#ifndef TRAIN_TASK_H
#define TRAIN_TASK_H

#include "runtime/metrics.h"
#include "train/batch.h"

enum { TASK_METRICS = 16 };

/* What an evaluation found. metric[0] decides which model is best: higher is better. */
typedef struct TaskScores {
    Metric metric[TASK_METRICS];
    int count;
} TaskScores;

typedef struct Task {
    const char *name;
    void *state;
    const BatchField *fields;
    int64_t samples; // in an epoch
    int64_t longest; // rows of the longest sample, also of those that evaluation brings
    int64_t (*rows)(const void *state, int64_t sample);
    int64_t (*targets)(const void *state, int64_t sample); // what the mean of the loss is over
    /* Writes the fields of one sample that has just been appended to h at `row`. */
    Status (*fill)(void *state, int64_t sample, HostBatch *h, int64_t row);
    /* Records the forward pass and returns the loss, F32 [1], a sum times the target weight. */
    Tensor *(*loss)(void *state, Graph *g, const BatchTensors *in);
    /* Before memory is planned: adds the kinds of graphs that evaluation runs. NULL: none. */
    Status (*prepare)(void *state);
    /* After the parameters have memory, and the run is known to fit: reads or draws their values. */
    Status (*load)(void *state);
    /* NULL: nothing to evaluate. E_STOPPED where the trainer's stop flag was seen: what it found is
     * lost, and it is asked again when the run goes on. */
    Status (*evaluate)(void *state, TaskScores *out);
    /* Writes the model and whatever belongs to it into an existing folder. scores: NULL: none. */
    Status (*save_model)(void *state, const char *folder, const TaskScores *scores);
} Task;

#endif
