/* graphs.h - compiled graphs by kind and bucket, all in one activation arena.
 *
 * A kind is a way of recording (a first micro-batch, a later one, the update, an evaluation) with
 * its options. The arena is sized for the largest bucket of every kind before the first run and
 * never moves; graphs are recorded and planned when a bucket is first met, and the one that has not
 * been used for longest makes room when there are GRAPHS_KEPT.
 */
#ifndef TRAIN_GRAPHS_H
#define TRAIN_GRAPHS_H

#include "train/batch.h"

enum { GRAPH_KINDS = 6, GRAPHS_KEPT = 256 };

/* Records one graph of this kind; with its backward, where it has one. */
typedef Status (*GraphRecord)(void *state, Graph *g, const BatchTensors *in);

typedef struct Graphs Graphs;

MUST_CHECK Status graphs_open(Device *d, BatchBuffers *b, Graphs **out);
void graphs_close(Graphs *c); // accepts NULL

/* Returns the number of the kind. capacity: its largest bucket, within the buffers' own. */
int graphs_add_kind(Graphs *c, const char *name, GraphOptions o, BatchShape capacity,
                    GraphRecord record, void *state);

/* Plans every kind at its capacity: the bytes that the arena must have. */
MUST_CHECK Status graphs_plan(Graphs *c, size_t *bytes);
/* graphs_plan(), then the arena; E_MEMORY where all arenas of the device together exceed what it has. */
MUST_CHECK Status graphs_reserve(Graphs *c);
const Arena *graphs_arena(const Graphs *c);

/* The compiled graph for a micro-batch of this shape, and the bucket that it is for. It belongs to
 * the cache and is good until the next call. */
MUST_CHECK Status graphs_get(Graphs *c, int kind, BatchShape used, Graph **g, BatchShape *bucket);

#endif
