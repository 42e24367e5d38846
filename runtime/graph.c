/* graph.c - records: tensors, views and instructions, all owned by the graph. */
#include "runtime/graph_parts.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

Graph *graph_new(Device *d, GraphOptions o)
{
    Graph *g = calloc(1, sizeof *g);

    if (g) {
        g->device = d;
        g->options = o;
        if (o.hunt_nan)
            g->options.keep_all = true;
    }
    return g;
}

static void release_plan(Call *c)
{
    if (c->plan && c->op->release[c->device->kind])
        c->op->release[c->device->kind](c);
    c->plan = NULL;
}

void graph_free(Graph *g)
{
    if (!g)
        return;
    for (int i = 0; i < g->call_count; i++)
        release_plan(g->call[i]);
    if (g->capture)
        g->device->table->capture_close(g->device, g->capture);
    for (PoolBlock *b = g->pool, *next; b; b = next) {
        next = b->previous;
        free(b);
    }
    free(g->message);
    free(g->tensor);
    free(g->call);
    free(g->region);
    free(g->gradient);
    free(g->reached);
    free(g->place);
    free(g);
}

Status graph_status(const Graph *g)
{
    return g->status ? fail(g->status, "%s", g->message ? g->message : "no memory") : OK;
}

void graph_fail(Graph *g, Status s)
{
    if (g->status)
        return;
    g->status = s;
    g->message = strdup(status_text());
}

Device *graph_device(const Graph *g)
{
    return g->device;
}

bool graph_is_training(const Graph *g)
{
    return g->options.training;
}

Recompute graph_recompute(const Graph *g)
{
    return g->options.recompute;
}

void *graph_allocate(Graph *g, size_t bytes)
{
    PoolBlock *b = calloc(1, sizeof *b + bytes);

    if (!b) {
        graph_fail(g,
                   fail(E_MEMORY, "no memory to record a graph of %d instructions", g->call_count));
        return NULL;
    }
    b->previous = g->pool;
    g->pool = b;
    return b + 1;
}

/* Doubles an array of `size`-byte elements where `count` has reached *room. */
static bool grow(Graph *g, void *array, int count, int *room, size_t size)
{
    void *old, *more;

    memcpy(&old, array, sizeof old);
    if (count < *room)
        return true;
    const int next = *room ? 2 * *room : 64;
    more = realloc(old, (size_t)next * size);
    if (!more) {
        graph_fail(g, fail(E_MEMORY, "no memory to record a graph"));
        return false;
    }
    memcpy(array, &more, sizeof more);
    *room = next;
    return true;
}

Tensor *graph_tensor(Graph *g, TensorHome home, Dtype dtype, int ndim, const int64_t dim[])
{
    Tensor *x = g->status ? NULL : graph_allocate(g, sizeof *x);

    assert(ndim >= 0 && ndim <= MAX_DIMS);
    if (!x || !grow(g, &g->tensor, g->tensor_count, &g->tensor_room, sizeof *g->tensor))
        return NULL;
    *x = (Tensor){.ndim = ndim, .dtype = dtype, .home = home, .id = g->tensor_count};
    for (int i = 0; i < ndim; i++)
        x->dim[i] = dim[i];
    x->stride = tensor_columns(x);
    return g->tensor[g->tensor_count++] = x;
}

Tensor *graph_state(Graph *g, const char *name, Dtype dtype, int ndim, const int64_t dim[])
{
    Tensor *x = graph_tensor(g, TENSOR_STATE, dtype, ndim, dim);

    if (x)
        x->name = name;
    return x;
}

Tensor *graph_temporary(Graph *g, Dtype dtype, int ndim, const int64_t dim[])
{
    return graph_tensor(g, TENSOR_TEMPORARY, dtype, ndim, dim);
}

const Tensor *tensor_base(const Tensor *x)
{
    return x->base ? x->base : x;
}

Tensor *graph_view(Graph *g, Tensor *x, int64_t offset, int ndim, const int64_t dim[])
{
    Tensor *v = graph_tensor(g, x->home, x->dtype, ndim, dim);

    if (!v)
        return NULL;
    v->base = x->base ? x->base : x;
    v->base_offset = x->base_offset + offset;
    v->stride = x->stride;
    v->wants_gradient = x->wants_gradient;
    v->name = x->name;
    return v;
}

Tensor *graph_rows(Graph *g, Tensor *x, int64_t start, int64_t count)
{
    if (!x || g->status)
        return NULL;
    if (start < 0 || count < 0 || start + count > tensor_rows(x)) {
        graph_fail(g, fail(E_SHAPE, "rows %" PRId64 " to %" PRId64 " of a tensor of %" PRId64,
                           start, start + count, tensor_rows(x)));
        return NULL;
    }
    return graph_view(g, x, start * x->stride, DIMS(count, tensor_columns(x)));
}

Tensor *graph_columns(Graph *g, Tensor *x, int64_t start, int64_t count)
{
    if (!x || g->status)
        return NULL;
    if (start < 0 || count < 0 || start + count > tensor_columns(x)) {
        graph_fail(g, fail(E_SHAPE, "columns %" PRId64 " to %" PRId64 " of a tensor of %" PRId64,
                           start, start + count, tensor_columns(x)));
        return NULL;
    }
    return graph_view(g, x, start, DIMS(tensor_rows(x), count));
}

Tensor *graph_reshape(Graph *g, Tensor *x, int ndim, const int64_t dim[])
{
    if (!x || g->status)
        return NULL;
    Tensor *v = graph_view(g, x, 0, ndim, dim);

    if (!v)
        return NULL;
    v->stride = tensor_columns(v);
    if (tensor_size(v) != tensor_size(x) || !tensor_contiguous(x)) {
        char from[96], to[96];
        tensor_shape_text(x, from, sizeof from);
        tensor_shape_text(v, to, sizeof to);
        graph_fail(g, fail(E_SHAPE, "cannot reshape %s%s to %s", from,
                           tensor_contiguous(x) ? "" : " (not contiguous)", to));
        return NULL;
    }
    return v;
}

Status graph_append(Graph *g, Call *c, int region)
{
    int room = g->call_room;

    if (!grow(g, &g->call, g->call_count, &room, sizeof *g->call) ||
        !grow(g, &g->region, g->call_count, &g->call_room, sizeof *g->region))
        return graph_status(g);
    c->graph = g;
    c->device = g->device;
    c->run =
        c->pass == FORWARD ? c->op->forward[g->device->kind] : c->op->backward[g->device->kind];
    assert(c->run); // see has_kernel()
    g->region[g->call_count] = region;
    g->call[g->call_count++] = c;
    return OK;
}

static bool any_wants_gradient(const Call *c)
{
    for (int i = 0; i < c->in_count; i++)
        if (c->in[i] && c->in[i]->wants_gradient)
            return true;
    return false;
}

static bool same_inputs_twice(const Call *c)
{
    for (int i = 0; i < c->in_count; i++)
        for (int j = 0; j < i; j++)
            if (c->in[i] && c->in[i] == c->in[j] && c->in[i]->wants_gradient)
                return true;
    return false;
}

/* An operator that some device differentiates is one that this device must differentiate. */
static bool has_kernel(Graph *g, const Op *op)
{
    const DeviceKind kind = g->device->kind;

    if (!op->forward[kind])
        graph_fail(g, fail(E_DEVICE, "%s has no kernel for device %s", op->name, g->device->name));
    else if (g->options.training && op->backward[DEVICE_CPU] && !op->backward[kind])
        graph_fail(g, fail(E_DEVICE, "%s has no backward kernel for device %s", op->name,
                           g->device->name));
    return !g->status;
}

Call *graph_record(Graph *g, const Op *op, int count, Tensor *const in[], const void *args,
                   size_t args_size)
{
    Call *c = g->status || !has_kernel(g, op) ? NULL : graph_allocate(g, sizeof *c);
    void *copy = c && args_size ? graph_allocate(g, args_size) : NULL;

    if (!c || (args_size && !copy))
        return NULL;
    assert(count <= OP_INPUTS);
    if (args_size)
        memcpy(copy, args, args_size);
    *c = (Call){.op = op, .args = copy, .in_count = count, .graph = g, .device = g->device};
    for (int i = 0; i < count; i++)
        c->in[i] = in[i];
    if (op->random)
        c->site = g->sites++;
    const bool gradient = op->backward[g->device->kind] && any_wants_gradient(c);
    c->training = g->options.training && gradient;
    if (c->training && same_inputs_twice(c)) {
        graph_fail(g, fail(E_SHAPE,
                           "%s: one tensor is given as two inputs; its gradient would be "
                           "written twice at once",
                           op->name));
        return NULL;
    }
    Status s = op->shape(c);
    if (s) {
        graph_fail(g, s);
        return NULL;
    }
    for (int i = 0; i < OP_OUTPUTS; i++)
        if (c->out[i])
            c->out[i]->wants_gradient = c->training && dtype_is_float(c->out[i]->dtype);
    return graph_append(g, c, g->region_open ? g->regions - 1 : -1) ? NULL : c;
}

Tensor *call_result(Call *c, int i)
{
    return c ? c->out[i] : NULL;
}

Tensor *call_output(Call *c, int i, Dtype dtype, int ndim, const int64_t dim[])
{
    return c->out[i] = graph_tensor(c->graph, TENSOR_TEMPORARY, dtype, ndim, dim);
}

Tensor *call_save(Call *c, int i, Dtype dtype, int ndim, const int64_t dim[])
{
    return c->save[i] = graph_tensor(c->graph, TENSOR_TEMPORARY, dtype, ndim, dim);
}

void graph_checkpoint_begin(Graph *g)
{
    assert(!g->region_open);
    g->region_open = true;
    g->regions++;
}

void graph_checkpoint_end(Graph *g)
{
    assert(g->region_open);
    g->region_open = false;
}

void graph_want_gradient(Graph *g, Tensor *x)
{
    (void)g;
    if (x)
        x->wants_gradient = true;
}

void call_visit(const Call *c, void (*visit)(void *what, Tensor *x, bool writes), void *what)
{
    const Op *op = c->op;
    const bool forward = c->pass == FORWARD;

    for (int i = 0; i < OP_INPUTS; i++)
        if (c->in[i] && (forward || op->reads_inputs >> i & 1))
            visit(what, c->in[i],
                  forward && ((op->scatters >> i & 1) || (c->gradient_early && !i)));
    for (int i = 0; i < OP_OUTPUTS; i++) {
        if (c->out[i] && (forward || op->reads_outputs >> i & 1))
            visit(what, c->out[i], forward);
        if (c->dout[i])
            visit(what, c->dout[i], false);
    }
    for (int i = 0; i < OP_SAVES; i++)
        if (c->save[i])
            visit(what, c->save[i], forward);
    for (int i = 0; i < OP_INPUTS; i++)
        if (c->din[i])
            visit(what, c->din[i], true);
}
