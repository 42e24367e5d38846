/* graph_parts.h - the inside of a Graph, for graph_*.c alone.
 *
 *   graph.c           records instructions and views
 *   graph_backward.c  appends recomputation and backward, decides who overwrites and who adds
 *   graph_plan.c      prepares instructions, finds lifetimes, places tensors
 *   graph_run.c       binds, replays, captures, hunts NaN
 *   graph_print.c     the list and its times, in words
 */
#ifndef RUNTIME_GRAPH_PARTS_H
#define RUNTIME_GRAPH_PARTS_H

#include "runtime/graph.h"

typedef struct PoolBlock PoolBlock;
struct PoolBlock {
    PoolBlock *previous;
};

/* Where a temporary lies, or an instruction's scratch. Tensors that share memory in place share
 * one. */
typedef struct Place {
    int first, last; // instructions
    size_t bytes, offset;
    int merged; // the place that took this one over, or -1
} Place;

struct Graph {
    Device *device;
    GraphOptions options;
    Status status;
    char *message; // of the failure
    PoolBlock *pool;

    Tensor **tensor; // all that the graph made; Tensor.id is the index
    int tensor_count, tensor_room;

    Call **call; // the list
    int *region; // of each call: number of its checkpoint region, -1 outside
    int call_count, call_room;
    int regions;
    bool region_open;
    uint32_t sites;

    Tensor **gradient; // of each tensor (base) by id, while and after graph_backward()
    const Tensor **reached;
    int reached_count, reached_room;
    bool backward_done;

    Place *place; // one a tensor, then one a call's scratch
    int place_count;
    bool planned;
    size_t bytes, bytes_least;

    Arena arena; // borrowed
    bool bound;
    int runs;
    Capture *capture;
};

void *graph_allocate(Graph *g, size_t bytes); // zeroed, the graph's; NULL fails the graph
Tensor *graph_tensor(Graph *g, TensorHome home, Dtype dtype, int ndim, const int64_t dim[]);
Tensor *graph_view(Graph *g, Tensor *x, int64_t offset, int ndim, const int64_t dim[]);
MUST_CHECK Status graph_append(Graph *g, Call *c, int region);
const Tensor *tensor_base(const Tensor *x); // itself or what it is a view of

/* What an instruction touches: calls visit(what, tensor, writes) for every operand it may read or
 * write. */
void call_visit(const Call *c, void (*visit)(void *what, Tensor *x, bool writes), void *what);

/* Instructions of the runtime's own, on every device. */
extern const Op clear_op; // din[0] = 0
extern const Op one_op;   // out[0] = 1
extern const Op store_op; // in[1] = in[0], or += ; args: a bool

#endif
