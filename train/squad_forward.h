/* squad_forward.h - windows through the model: start and end logits for answers. */
#ifndef TRAIN_SQUAD_FORWARD_H
#define TRAIN_SQUAD_FORWARD_H

#include "models/bert.h"
#include "runtime/progress.h"
#include "train/graphs.h"
#include "train/squad_answers.h"

#include <signal.h>

/* The fields of a batch: token ids, segments, and start and end (training). */
enum { SQUAD_IDS, SQUAD_SEGMENTS, SQUAD_TARGETS };
extern const BatchField squad_fields[];

/* The model's view of a batch that has these fields. */
BertInputs squad_inputs(const BatchTensors *in);

/* Writes a window into the fields of h, which has just got a sequence at `row`. */
void squad_fill(const SquadFeature *f, HostBatch *h, int64_t row);

typedef struct SquadForward SquadForward;

/* Adds a kind of graph to `graphs` (before its arena is reserved), of at most `capacity`. The model,
 * batches and graphs must outlive it. */
MUST_CHECK Status squad_forward_open(Device *d, const Bert *m, Dtype dtype, BatchBuffers *b,
                                     Graphs *graphs, BatchShape capacity, SquadForward **out);
void squad_forward_close(SquadForward *f); // accepts NULL

/* Computes the logits of all windows, as many together as the capacity holds, and hands them to
 * `answers`; finishes it. progress may be NULL. stop: E_STOPPED between two batches where it is not
 * 0; or NULL. */
MUST_CHECK Status squad_forward_run(SquadForward *f, const SquadFeatures *features,
                                    SquadPredictionSet *answers, Progress *progress,
                                    const volatile sig_atomic_t *stop);

#endif
