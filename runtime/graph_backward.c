/* graph_backward.c - appends recomputation and backward to the recorded list.
 *
 * The forward calls are walked from the last to the first. A call whose outputs have a gradient
 * gets a backward call, which writes the gradients of its inputs. Before the first backward call of
 * a checkpoint region those of its forward calls are appended again whose results backward reads.
 *
 * Who overwrites and who adds is decided at the end, tensor by tensor, from the list of writes to
 * its gradient in the order of the instructions:
 *   the first write covers the whole tensor      it overwrites, all later ones add
 *   the distinct parts are disjoint and cover it the first write of each part overwrites
 *   otherwise                                    one clear goes before the first write, all add
 */
#include "runtime/graph_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef struct Part {
    int64_t row0, row1, column0, column1;
    bool odd; // not a rectangle of the base
} Part;

typedef struct Write {
    Call *call;
    int operand;
    const Tensor *base; // whose gradient
    Part part;
} Write;

typedef struct Walk {
    Graph *g;
    int forward_count; // calls
    int known;         // tensors
    Tensor **clone;    // of each forward tensor by id, in the region at hand
    bool *needed;
    bool *again; // of each forward call
    Write *write;
    int write_count, write_room;
} Walk;

static Part part_of(const Tensor *x)
{
    const Tensor *base = tensor_base(x);
    const int64_t columns = tensor_columns(base), rows = tensor_rows(base);

    if (base->stride != columns || tensor_size(base) == 0)
        return (Part){.odd = true};
    if (tensor_size(x) == tensor_size(base))
        return (Part){0, rows, 0, columns, false};
    const int64_t row = x->base_offset / columns, column = x->base_offset % columns;
    if (x->stride == columns)
        return (Part){row, row + tensor_rows(x), column, column + tensor_columns(x), false};
    if (tensor_contiguous(x) && column == 0 && tensor_size(x) % columns == 0)
        return (Part){row, row + tensor_size(x) / columns, 0, columns, false};
    return (Part){.odd = true};
}

static bool note_write(Walk *w, Call *c, int operand, const Tensor *x)
{
    if (w->write_count == w->write_room) {
        const int room = w->write_room ? 2 * w->write_room : 256;
        Write *more = realloc(w->write, (size_t)room * sizeof *more);
        if (!more)
            return false;
        w->write = more;
        w->write_room = room;
    }
    w->write[w->write_count++] = (Write){c, operand, tensor_base(x), part_of(x)};
    return true;
}

static void note_reached(Graph *g, const Tensor *parameter)
{
    if (graph_reaches(g, parameter))
        return;
    if (g->reached_count == g->reached_room) {
        const int room = g->reached_room ? 2 * g->reached_room : 64;
        const Tensor **more = realloc(g->reached, (size_t)room * sizeof *more);
        if (!more) {
            graph_fail(g, fail(E_MEMORY, "no memory to record a graph"));
            return;
        }
        g->reached = more;
        g->reached_room = room;
    }
    g->reached[g->reached_count++] = parameter;
}

/* The gradient of forward tensor x: made when first asked for. */
static Tensor *gradient_of(Walk *w, Tensor *x)
{
    Tensor *base = x->base ? x->base : x, *whole;
    Graph *g = w->g;

    if (base->home == TENSOR_PARAMETER) {
        whole = base->gradient;
        note_reached(g, base);
    } else {
        if (!g->gradient[base->id])
            g->gradient[base->id] =
                graph_tensor(g, TENSOR_TEMPORARY, base->dtype, base->ndim, base->dim);
        whole = g->gradient[base->id];
    }
    if (!whole || whole->base || x == base)
        return whole;
    Tensor *view = graph_view(g, whole, x->base_offset, x->ndim, x->dim);
    if (view)
        view->stride = x->stride;
    return view;
}

/* What stands for forward tensor x while its region is run again. */
static Tensor *stand_in(Walk *w, Tensor *x)
{
    Tensor *base = x ? (x->base ? x->base : x) : NULL;

    if (!base || base->id < 0 || base->id >= w->known || !w->clone[base->id])
        return x;
    if (x == base)
        return w->clone[base->id];
    Tensor *view = graph_view(w->g, w->clone[base->id], x->base_offset, x->ndim, x->dim);
    if (view)
        view->stride = x->stride;
    return view;
}

static void mark_needed(void *what, Tensor *x, bool writes)
{
    Walk *w = what;
    const Tensor *base = tensor_base(x);

    (void)writes;
    if (base->id >= 0 && base->id < w->known)
        w->needed[base->id] = true;
}

static bool makes_needed(const Walk *w, const Call *c)
{
    for (int i = 0; i < OP_OUTPUTS; i++)
        if (c->out[i] && w->needed[c->out[i]->id])
            return true;
    for (int i = 0; i < OP_SAVES; i++)
        if (c->save[i] && w->needed[c->save[i]->id])
            return true;
    return false;
}

static Tensor *fresh_like(Walk *w, const Tensor *x)
{
    if (!x)
        return NULL;
    return w->clone[x->id] = graph_tensor(w->g, TENSOR_TEMPORARY, x->dtype, x->ndim, x->dim);
}

static Status run_again(Walk *w, const Call *old)
{
    Call *c = graph_allocate(w->g, sizeof *c);

    if (!c)
        return graph_status(w->g);
    *c = *old;
    c->plan = NULL;
    for (int i = 0; i < OP_INPUTS; i++)
        c->in[i] = stand_in(w, old->in[i]);
    for (int i = 0; i < OP_OUTPUTS; i++)
        c->out[i] = fresh_like(w, old->out[i]);
    for (int i = 0; i < OP_SAVES; i++)
        c->save[i] = fresh_like(w, old->save[i]);
    return graph_append(w->g, c, -1);
}

/* Appends again what backward of the region [first, last] reads, as the policy says. */
static Status region_again(Walk *w, int first, int last)
{
    const Recompute policy = w->g->options.recompute;

    memset(w->clone, 0, (size_t)w->known * sizeof *w->clone);
    if (policy == RECOMPUTE_NONE)
        return OK;
    memset(w->needed, 0, (size_t)w->known * sizeof *w->needed);
    for (int i = first; i <= last; i++) {
        Call read = *w->g->call[i]; // as its backward call will read
        read.pass = BACKWARD;
        if (read.training && !read.gradient_early)
            call_visit(&read, mark_needed, w);
    }
    for (int i = last; i >= first; i--) {
        const Call *c = w->g->call[i];
        w->again[i] = (policy == RECOMPUTE_BLOCK || c->op->cheap) && !c->op->scatters &&
                      !c->gradient_early && makes_needed(w, c);
        for (int k = 0; k < c->in_count && w->again[i]; k++)
            if (c->in[k])
                mark_needed(w, c->in[k], false);
    }
    Status s = OK;
    for (int i = first; i <= last && !s; i++)
        if (w->again[i])
            s = run_again(w, w->g->call[i]);
    return s;
}

/* Gives c the gradients that it writes, of the inputs of `forward` from number `first` on. */
static Status write_gradients(Walk *w, Call *c, int first, const Call *forward)
{
    for (int i = first; i < forward->in_count; i++) {
        Tensor *x = forward->in[i];
        if (!x || !x->wants_gradient)
            continue;
        c->din[i] = gradient_of(w, x);
        if (!c->din[i] || !note_write(w, c, i, x)) {
            graph_fail(w->g, fail(E_MEMORY, "no memory to record a graph"));
            return graph_status(w->g);
        }
    }
    return OK;
}

static Status append_backward(Walk *w, const Call *forward)
{
    Graph *g = w->g;
    bool any = false;
    Call *c = graph_allocate(g, sizeof *c);

    if (!c)
        return graph_status(g);
    *c = *forward;
    c->pass = BACKWARD;
    c->plan = NULL;
    for (int i = 0; i < OP_OUTPUTS; i++) {
        c->dout[i] = forward->out[i] ? g->gradient[forward->out[i]->id] : NULL;
        any = any || c->dout[i];
    }
    if (!any)
        return OK;
    for (int i = 0; i < OP_INPUTS; i++)
        c->in[i] = stand_in(w, forward->in[i]);
    for (int i = 0; i < OP_OUTPUTS; i++)
        c->out[i] = stand_in(w, forward->out[i]);
    for (int i = 0; i < OP_SAVES; i++)
        c->save[i] = stand_in(w, forward->save[i]);
    Status s = write_gradients(w, c, 0, forward);
    return s ? s : graph_append(g, c, -1);
}

static bool overlap(const Part *a, const Part *b)
{
    return a->row0 < b->row1 && b->row0 < a->row1 && a->column0 < b->column1 &&
           b->column0 < a->column1;
}

static bool same_part(const Part *a, const Part *b)
{
    return a->row0 == b->row0 && a->row1 == b->row1 && a->column0 == b->column0 &&
           a->column1 == b->column1;
}

static int64_t area(const Part *a)
{
    return (a->row1 - a->row0) * (a->column1 - a->column0);
}

/* Whether the distinct parts among the writes from `first` on of the same base are disjoint and
 * cover it. Sets the accumulate bit of every write that is not the first of its part. */
static bool parts_tile(Walk *w, int first)
{
    const Tensor *base = w->write[first].base;
    int64_t covered = 0;
    bool tiles = true;

    for (int i = first; i < w->write_count; i++) {
        Write *a = &w->write[i];
        bool seen = false;
        if (a->base != base)
            continue;
        for (int j = first; j < i; j++) {
            const Write *b = &w->write[j];
            if (b->base != base || !overlap(&a->part, &b->part))
                continue;
            seen = true;
            tiles = tiles && same_part(&a->part, &b->part);
        }
        tiles = tiles && !a->part.odd;
        if (seen)
            a->call->accumulate |= 1u << a->operand;
        else
            covered += area(&a->part);
    }
    return tiles && covered == tensor_size(base);
}

static Status insert_clear(Walk *w, const Write *first)
{
    Graph *g = w->g;
    Call *c = graph_allocate(g, sizeof *c);
    int at = 0;

    if (!c)
        return graph_status(g);
    *c = (Call){.op = &clear_op, .pass = BACKWARD};
    c->din[0] = first->base->home == TENSOR_PARAMETER ? first->base->gradient
                                                      : g->gradient[first->base->id];
    Status s = graph_append(g, c, -1);
    while (g->call[at] != first->call)
        at++;
    memmove(g->call + at + 1, g->call + at, (size_t)(g->call_count - 1 - at) * sizeof *g->call);
    memmove(g->region + at + 1, g->region + at,
            (size_t)(g->call_count - 1 - at) * sizeof *g->region);
    g->call[at] = c;
    g->region[at] = -1;
    return s;
}

static void all_add(Walk *w, int first, bool with_first)
{
    for (int i = first; i < w->write_count; i++)
        if (w->write[i].base == w->write[first].base && (i > first || with_first))
            w->write[i].call->accumulate |= 1u << w->write[i].operand;
}

static Status decide_writers(Walk *w)
{
    Status s = OK;

    for (int i = 0; i < w->write_count && !s; i++) {
        const Tensor *base = w->write[i].base;
        bool first = true;
        for (int j = 0; j < i && first; j++)
            first = w->write[j].base != base;
        if (!first)
            continue;
        if (base->home == TENSOR_PARAMETER && w->g->options.accumulate_parameters) {
            all_add(w, i, true);
        } else if (!w->write[i].part.odd && area(&w->write[i].part) == tensor_size(base)) {
            all_add(w, i, false);
        } else if (!parts_tile(w, i)) {
            all_add(w, i, true);
            s = insert_clear(w, &w->write[i]);
        }
    }
    return s;
}

/* The call that makes root, where it can give its gradient at once; see graph.h. */
static Call *early_loss(const Graph *g, const Tensor *root)
{
    Call *loss = NULL;

    for (int i = 0; i < g->call_count; i++)
        if (g->call[i]->out[0] == root)
            loss = g->call[i];
    if (!loss || !loss->op->can_give_gradient_early || !loss->training)
        return NULL;
    const Tensor *x = loss->in[0];
    if (x->base || x->home != TENSOR_TEMPORARY || !x->wants_gradient)
        return NULL;
    for (int i = 0; i < g->call_count; i++) {
        const Call *c = g->call[i];
        for (int k = 0; k < c->in_count; k++)
            if (c->in[k] && tensor_base(c->in[k]) == x && (c != loss || k > 0))
                return NULL;
        for (int k = 0; k < OP_OUTPUTS; k++)
            if (c->out[k] == x && (c->op->reads_outputs >> k & 1))
                return NULL;
    }
    return loss;
}

static Status start_from(Walk *w, Tensor *root, Tensor *seed)
{
    Graph *g = w->g;
    Call *loss = early_loss(g, root);

    if (loss) {
        Tensor *x = loss->in[0];
        loss->gradient_early = true;
        loss->dout[0] = seed;
        g->gradient[x->id] = graph_view(g, x, 0, x->ndim, x->dim);
        return write_gradients(w, loss, 1, loss);
    } else if (seed) {
        g->gradient[root->id] = seed;
    } else {
        g->gradient[root->id] = call_result(graph_record(g, &one_op, 0, NULL, NULL, 0), 0);
    }
    return graph_status(g);
}

static Status walk(Walk *w, Tensor *root, Tensor *seed)
{
    Graph *g = w->g;
    int region = -1;
    Status s = start_from(w, root, seed);

    for (int i = w->forward_count - 1; i >= 0 && !s; i--) {
        const Call *c = g->call[i];
        if (g->region[i] != region) {
            int first = i;
            region = g->region[i];
            memset(w->clone, 0, (size_t)w->known * sizeof *w->clone);
            while (region >= 0 && first > 0 && g->region[first - 1] == region)
                first--;
            if (region >= 0)
                s = region_again(w, first, i);
        }
        if (!s && c->training && !c->gradient_early)
            s = append_backward(w, c);
    }
    return s ? s : decide_writers(w);
}

Status graph_backward(Graph *g, Tensor *root, Tensor *seed)
{
    if (g->status)
        return graph_status(g);
    assert(!g->backward_done && !g->planned && !g->region_open);
    if (!root || root->dtype != F32 || tensor_size(root) != 1 || !root->wants_gradient) {
        graph_fail(g, fail(E_SHAPE, "backward wants one F32 number that depends on a trainable "
                                    "parameter"));
        return graph_status(g);
    }
    const size_t n = (size_t)g->tensor_count, calls = (size_t)g->call_count;
    Walk w = {.g = g, .forward_count = g->call_count, .known = g->tensor_count};
    w.clone = calloc(n, sizeof *w.clone);
    w.needed = calloc(n, sizeof *w.needed);
    w.again = calloc(calls, sizeof *w.again);
    g->gradient = calloc(n, sizeof *g->gradient);
    g->backward_done = true;
    Status s = w.clone && w.needed && w.again && g->gradient
                   ? walk(&w, root, seed)
                   : fail(E_MEMORY, "no memory to record a graph");
    if (s)
        graph_fail(g, s);
    free(w.clone);
    free(w.needed);
    free(w.again);
    free(w.write);
    return s;
}

bool graph_reaches(const Graph *g, const Tensor *parameter)
{
    for (int i = 0; i < g->reached_count; i++)
        if (g->reached[i] == parameter)
            return true;
    return false;
}

Tensor *graph_gradient(const Graph *g, const Tensor *x)
{
    if (!x || !g->backward_done)
        return NULL;
    return x->home == TENSOR_PARAMETER ? x->gradient : g->gradient[tensor_base(x)->id];
}
