/* graph_world.h - what the tests of runtime/graph*.c share: small operators of their own, on the CPU in
 * F32, and three parameters. */
#ifndef TESTS_GRAPH_WORLD_H
#define TESTS_GRAPH_WORLD_H

#include "runtime/graph.h"
#include "runtime/params.h"

enum { WORLD_ROWS = 6, WORLD_COLUMNS = 8, WORLD_WEIGHTS = 3 };

/* y = a * b, element by element; saves a copy of a, which backward reads. */
extern const Op mul_op;

/* y = sin(x); backward reads x. Cheap, in place where it may be. */
extern const Op sine_op;

/* loss = sum of squares / 2; can overwrite its input by the gradient, which is the input itself
 * times the seed. The late one cannot. */
extern const Op square_op, late_square_op;

/* Records op on a and, where it is not NULL, b. */
Tensor *apply(Graph *g, const Op *op, Tensor *a, Tensor *b);

/* For operators: a row of x; what an element of din[i] becomes. */
float *row(const Tensor *x, int64_t n);
void put(Call *c, int i, int64_t n, int64_t k, float value);

typedef struct World {
    Device *d;
    Params *p;
    Tensor *w[WORLD_WEIGHTS]; // [WORLD_ROWS, WORLD_COLUMNS]
    Arena arena;
} World;

void world_open(World *k);
void world_ready(World *k, const Graph *probe); // lays the parameters out, draws them
void world_close(World *k);

/* Compiles in an arena full of NaN, runs. */
void world_run(World *k, Graph *g);

#endif
