/* graph.h - record, plan, replay.
 *
 * Model code only records: each op_x() appends one instruction and returns its output, which has no
 * memory yet. graph_backward() appends recomputation and backward. graph_compile() finds the
 * lifetime of every tensor over that one list and gives each an offset in one arena. graph_run()
 * replays the list.
 *
 * After a failure the graph is inert: recording returns NULL and does nothing. Model code therefore
 * composes operators freely, and whoever drives the graph asks once, with graph_status() (or gets
 * the same answer from graph_backward() and graph_compile()).
 */
#ifndef RUNTIME_GRAPH_H
#define RUNTIME_GRAPH_H

#include "runtime/op.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { RECOMPUTE_NONE, RECOMPUTE_CHEAP, RECOMPUTE_BLOCK } Recompute;

typedef struct GraphOptions {
    bool training; // operators keep what graph_backward() will need
    bool
        accumulate_parameters; // gradients of parameters add to what is there (later micro-batches)
    bool keep_all;             // no two tensors share memory
    bool hunt_nan;             // check every output after every instruction; implies keep_all
    Recompute recompute;
} GraphOptions;

Graph *graph_new(Device *d, GraphOptions o); // NULL when out of memory
void graph_free(Graph *g);                   // accepts NULL
MUST_CHECK Status graph_status(const Graph *g);
Device *graph_device(const Graph *g);
bool graph_is_training(const Graph *g);
Recompute graph_recompute(const Graph *g);

/* Marks the graph as failed; for code that composes operators and finds a fault of its own. */
void graph_fail(Graph *g, Status s);

/* A contiguous tensor whose memory its owner gives: sets ->data before graph_run() (and before
 * capture: never moves it). */
Tensor *graph_state(Graph *g, const char *name, Dtype dtype, int ndim, const int64_t dim[]);

/* A temporary that the caller's instruction will write. */
Tensor *graph_temporary(Graph *g, Dtype dtype, int ndim, const int64_t dim[]);

/* Views; x may be a view itself. rows: of all the rows of x; the result is [count, columns]. */
Tensor *graph_rows(Graph *g, Tensor *x, int64_t start, int64_t count);
Tensor *graph_columns(Graph *g, Tensor *x, int64_t start, int64_t count);
Tensor *graph_reshape(Graph *g, Tensor *x, int ndim, const int64_t dim[]); // x contiguous

/* INPUTS(x, w, b) fills the two parameters (count, in); NULL is an absent optional input. */
#define INPUTS(...) \
    (int)(sizeof((Tensor *[]){__VA_ARGS__}) / sizeof(Tensor *)), ((Tensor *[]){__VA_ARGS__})

/* Appends one instruction; args is copied. NULL where the graph has failed. */
Call *graph_record(Graph *g, const Op *op, int count, Tensor *const in[], const void *args,
                   size_t args_size);
Tensor *call_result(Call *c, int i); // c->out[i]; NULL for a NULL call

/* Instructions between begin and end are run again before their backward, as the policy of the
 * graph says. Regions do not nest. */
void graph_checkpoint_begin(Graph *g);
void graph_checkpoint_end(Graph *g);

/* Appends what computes the gradient of `seed` * root, root a single F32 number, for every
 * parameter that wants one; seed F32 [1] (the loss scale), NULL is 1. Once a graph. A parameter
 * that root does not depend on stays as it is: see graph_reaches(). Where root comes straight from
 * a loss that can give its gradient in the forward pass and nobody else reads its first input, that
 * forward call overwrites the input by the gradient (Call.gradient_early, dout[0] the seed) and
 * writes those of its other inputs (din[]). */
MUST_CHECK Status graph_backward(Graph *g, Tensor *root, Tensor *seed);
bool graph_reaches(const Graph *g, const Tensor *parameter); // whether backward writes its gradient

/* The gradient of a state tensor, for tests: ask right after graph_state(), before any operator
 * takes it; graph_backward() then computes it; its memory is valid after graph_run() in a graph
 * with keep_all. */
void graph_want_gradient(Graph *g, Tensor *x);
Tensor *graph_gradient(const Graph *g, const Tensor *x); // NULL: none

/* Appends "to = from" (or +=, F32 alone, where add): both contiguous, same size and dtype, `to` a
 * state tensor. How a result survives the graph. */
void graph_store(Graph *g, Tensor *to, Tensor *from, bool add);

/* Prepares every instruction and places every temporary. graph_bytes() is then what the arena
 * must have, graph_bytes_least() the lower bound: the largest sum of live bytes. */
MUST_CHECK Status graph_plan(Graph *g);
size_t graph_bytes(const Graph *g);
size_t graph_bytes_least(const Graph *g);

/* graph_plan() where that has not been done, then binds to the arena, which other graphs share (so
 * nothing survives in it from one graph to the next) and which must be large enough (E_MEMORY). */
MUST_CHECK Status graph_compile(Graph *g, const Arena *arena);

/* Replays. On a device with capture the third run records a Capture, later runs replay that. Errors
 * name the instruction. */
MUST_CHECK Status graph_run(Graph *g, Stream *s);

/* One line an instruction: number, operator, pass, shapes, where each output lies; then bytes. */
void graph_print(const Graph *g, FILE *f);

/* Runs `repeats` times and prints per operator and pass: calls, median time, share. */
MUST_CHECK Status graph_profile(Graph *g, int repeats, FILE *f);

int graph_length(const Graph *g); // instructions

#ifdef __cplusplus
}
#endif
#endif
