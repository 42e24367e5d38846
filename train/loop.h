/* loop.h - training: from a task and a configuration to a trained model.
 *
 *   output_dir/model/              the best model so far; the last one where nothing was evaluated
 *   output_dir/checkpoints/        step-N.h5: all that is needed to go on with the same bits
 *   output_dir/recipe.yaml         the resolved configuration
 *   output_dir/metrics.jsonl       and a TensorBoard event file: loss, learning rate, scores
 *   output_dir/results.json        the scores of the best model, written when all is done
 *
 * An update is batch_size sequences (or batch_tokens rows), cut into micro-batches whose gradients
 * add up. The mean of the loss is over the targets of the whole update, so the cut does not matter.
 * The host reads loss and norm one update late and waits for the device only to evaluate, save and
 * stop.
 */
#ifndef TRAIN_LOOP_H
#define TRAIN_LOOP_H

#include "runtime/config.h"
#include "runtime/params.h"
#include "runtime/progress.h"
#include "train/graphs.h"
#include "train/task.h"

#include <signal.h>

extern const Key loop_keys[];

/* After the last layer: sets the keys whose default is another key's to say, so that the
 * configuration, and what is printed and saved of it, has what the run uses. */
MUST_CHECK Status loop_resolve(Config *c);

typedef struct TrainerHooks {
    FILE *messages; // progress and notes; NULL: silent
    ProgressForm form;
    const volatile sig_atomic_t *stop; // a signal's number asks for a saved end; NULL: never
    const char *command;    // what began this: to be told where a signal ends it before it is saved
    const KeyTable *tables; // what the configuration was made from; a checkpoint's is read by them
    bool dry_run; // only trainer_print_plan() will follow: what does not fit is not refused
} TrainerHooks;

typedef struct Trainer Trainer;

/* Opens the device that the keys `device` and `threads` name, for `dtype`, and forces the kernels of
 * `kernel.*`; says where it differs from what was asked. Errors name the key. */
MUST_CHECK Status trainer_open_device(const Config *c, TrainerHooks hooks, Device **out);
Dtype trainer_dtype(const Config *c); // storage: of tf32 that is F32

/* Records the model once to see which parameters are reached and whether the device can run it, lays
 * them out, cuts all updates of the run to know the largest, sizes every arena, and loads the
 * parameters. Nothing is written to disk. E_MEMORY, before any memory is touched, where all arenas
 * together exceed what the device has. c has been through loop_resolve(). */
MUST_CHECK Status trainer_open(Device *d, Params *p, const Task *task, const Config *c,
                               TrainerHooks hooks, Trainer **out);
void trainer_close(Trainer *t); // accepts NULL

/* For a task's evaluation: the batches and the arena that it shares with training. Kinds are added
 * inside Task.prepare(). */
BatchBuffers *trainer_batches(const Trainer *t);
Graphs *trainer_graphs(const Trainer *t);

/* For --dry-run: features, updates, bytes of each arena, whether they fit, longest batch, disk. */
void trainer_print_plan(const Trainer *t, FILE *f);

/* Trains to the end or to a signal (E_STOPPED, after a checkpoint). scores: of the best model.
 * results: the JSON object that results.json holds, freed by the caller. */
MUST_CHECK Status trainer_run(Trainer *t, char **results);

#endif
