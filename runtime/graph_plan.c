/* graph_plan.c - prepares every instruction, finds the lifetime of every temporary over the one
 * list, and places them in one arena.
 *
 * Placing: largest first, at the lowest offset where nothing that lives at the same time lies. The
 * lower bound that graph_bytes_least() reports is the largest sum of live bytes at an instruction.
 */
#include "runtime/graph_parts.h"

#include <stdlib.h>

typedef struct Scan {
    Graph *g;
    int at;
} Scan;

static Status prepare_calls(Graph *g)
{
    for (int i = 0; i < g->call_count; i++) {
        Call *c = g->call[i];
        Status (*prepare)(Call *) = c->op->prepare[g->device->kind];
        Status s = prepare ? prepare(c) : OK;
        if (s)
            return fail_within(s, "instruction %d (%s)", i, c->op->name);
    }
    return OK;
}

static void note_use(void *what, Tensor *x, bool writes)
{
    const Scan *scan = what;
    const Tensor *base = tensor_base(x);

    (void)writes;
    if (base->home != TENSOR_TEMPORARY)
        return;
    Place *p = &scan->g->place[base->id];
    if (p->first < 0) {
        p->first = scan->at;
        p->bytes = arena_round(tensor_bytes(base));
    }
    p->last = scan->at;
}

static void find_lifetimes(Graph *g)
{
    for (int i = 0; i < g->place_count; i++)
        g->place[i] = (Place){.first = -1, .last = -1, .merged = -1};
    for (int i = 0; i < g->call_count; i++) {
        Scan scan = {g, i};
        call_visit(g->call[i], note_use, &scan);
        if (g->call[i]->scratch_bytes)
            g->place[g->tensor_count + i] =
                (Place){i, i, arena_round(g->call[i]->scratch_bytes), 0, -1};
    }
    for (int i = 0; i < g->place_count && g->options.keep_all; i++)
        if (g->place[i].first >= 0 && i < g->tensor_count) {
            g->place[i].first = 0;
            g->place[i].last = g->call_count - 1;
        }
}

static int place_of(const Graph *g, int id)
{
    while (g->place[id].merged >= 0)
        id = g->place[id].merged;
    return id;
}

/* `to`, first written by instruction `at`, takes over the memory of `from`, last used there. */
static void merge_in_place(Graph *g, int at, const Tensor *from, const Tensor *to)
{
    if (!from || !to || from->base || to->base || from->home != TENSOR_TEMPORARY ||
        to->home != TENSOR_TEMPORARY || tensor_bytes(from) != tensor_bytes(to))
        return;
    const int a = place_of(g, from->id);
    Place *old = &g->place[a], *fresh = &g->place[to->id];

    if (a == to->id || fresh->merged >= 0 || old->last != at || fresh->first != at)
        return;
    old->last = fresh->last;
    fresh->merged = a;
}

static void share_in_place(Graph *g)
{
    for (int at = 0; at < g->call_count && !g->options.keep_all; at++) {
        const Call *c = g->call[at];
        for (int i = 0; i < OP_OUTPUTS; i++) {
            if (c->pass == FORWARD && (c->op->in_place >> i & 1))
                merge_in_place(g, at, c->in[i], c->out[i]);
            if (c->pass == BACKWARD && (c->op->backward_in_place >> i & 1) &&
                !(c->accumulate >> i & 1))
                merge_in_place(g, at, c->dout[i], c->din[i]);
        }
    }
}

typedef struct Order {
    size_t bytes;
    int place;
} Order;

static int larger_first(const void *a, const void *b)
{
    const Order *x = a, *y = b;

    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->place - y->place;
}

static int lower_first(const void *a, const void *b)
{
    const Order *x = a, *y = b;

    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* The lowest offset for p among the `count` places already set. near: room for them. */
static size_t lowest_gap(const Graph *g, const Place *p, const Order *set, int count, Order *near)
{
    size_t offset = 0;
    int n = 0;

    for (int i = 0; i < count; i++) {
        const Place *q = &g->place[set[i].place];
        if (q->first <= p->last && p->first <= q->last)
            near[n++] = (Order){q->offset, set[i].place};
    }
    qsort(near, (size_t)n, sizeof *near, lower_first);
    for (int i = 0; i < n; i++) {
        const Place *q = &g->place[near[i].place];
        if (q->offset >= offset + p->bytes)
            break;
        if (q->offset + q->bytes > offset)
            offset = q->offset + q->bytes;
    }
    return offset;
}

static Status place_all(Graph *g)
{
    Order *order = calloc(2 * (size_t)g->place_count + 1, sizeof *order);
    size_t *live = calloc((size_t)g->call_count + 1, sizeof *live);
    int count = 0;

    if (!order || !live) {
        free(order);
        free(live);
        return fail(E_MEMORY, "no memory to plan a graph");
    }
    for (int i = 0; i < g->place_count; i++)
        if (g->place[i].first >= 0 && g->place[i].merged < 0)
            order[count++] = (Order){g->place[i].bytes, i};
    qsort(order, (size_t)count, sizeof *order, larger_first);
    g->bytes = g->bytes_least = 0;
    for (int i = 0; i < count; i++) {
        Place *p = &g->place[order[i].place];
        p->offset = lowest_gap(g, p, order, i, order + g->place_count);
        if (p->offset + p->bytes > g->bytes)
            g->bytes = p->offset + p->bytes;
        for (int at = p->first; at <= p->last; at++)
            live[at] += p->bytes;
    }
    for (int i = 0; i < g->call_count; i++)
        if (live[i] > g->bytes_least)
            g->bytes_least = live[i];
    free(order);
    free(live);
    return OK;
}

Status graph_plan(Graph *g)
{
    if (g->status)
        return graph_status(g);
    if (g->planned)
        return OK;
    Status s = prepare_calls(g);
    g->place_count = g->tensor_count + g->call_count;
    g->place = calloc((size_t)g->place_count + 1, sizeof *g->place);
    if (!s && !g->place)
        s = fail(E_MEMORY, "no memory to plan a graph");
    if (!s) {
        find_lifetimes(g);
        share_in_place(g);
        s = place_all(g);
    }
    if (s)
        graph_fail(g, s);
    g->planned = !s;
    return s;
}

size_t graph_bytes(const Graph *g)
{
    return g->bytes;
}

size_t graph_bytes_least(const Graph *g)
{
    return g->bytes_least;
}

static void bind_temporary(Graph *g, Tensor *x)
{
    if (x->base || x->home != TENSOR_TEMPORARY)
        return;
    const Place *p = &g->place[place_of(g, x->id)];
    x->data = p->first >= 0 ? g->arena.data + p->offset : NULL;
}

Status graph_compile(Graph *g, const Arena *arena)
{
    Status s = graph_plan(g);

    if (s)
        return s;
    if (arena->bytes < g->bytes)
        return fail(E_MEMORY, "a graph wants %.1f MiB of activations, the arena has %.1f",
                    (double)g->bytes / 1048576, (double)arena->bytes / 1048576);
    g->arena = *arena;
    for (int i = 0; i < g->tensor_count; i++)
        bind_temporary(g, g->tensor[i]);
    for (int i = 0; i < g->call_count; i++) {
        Call *c = g->call[i];
        c->scratch = c->scratch_bytes ? arena->data + g->place[g->tensor_count + i].offset : NULL;
    }
    g->bound = true;
    return OK;
}
