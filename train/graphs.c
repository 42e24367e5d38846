/* graphs.c - a small cache of compiled graphs. */
#include "train/graphs.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef struct Kind {
    const char *name;
    GraphOptions options;
    BatchShape capacity;
    GraphRecord record;
    void *state;
} Kind;

typedef struct Entry {
    int kind;
    BatchShape bucket;
    Graph *graph;
    uint64_t used;
} Entry;

struct Graphs {
    Device *device;
    BatchBuffers *buffers;
    Kind kind[GRAPH_KINDS];
    int kinds;
    Arena arena;
    Entry entry[GRAPHS_KEPT];
    int entries;
    uint64_t clock;
};

Status graphs_open(Device *d, BatchBuffers *b, Graphs **out)
{
    Graphs *c = calloc(1, sizeof *c);

    if (!c)
        return fail(E_MEMORY, "no memory for the cache of graphs");
    c->device = d;
    c->buffers = b;
    *out = c;
    return OK;
}

void graphs_close(Graphs *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->entries; i++)
        graph_free(c->entry[i].graph);
    arena_close(&c->arena);
    free(c);
}

int graphs_add_kind(Graphs *c, const char *name, GraphOptions o, BatchShape capacity,
                    GraphRecord record, void *state)
{
    assert(c->kinds < GRAPH_KINDS && !c->arena.data);
    c->kind[c->kinds] = (Kind){name, o, capacity, record, state};
    return c->kinds++;
}

static Status record(Graphs *c, const Kind *k, BatchShape bucket, Graph **out)
{
    Graph *g = graph_new(c->device, k->options);
    BatchTensors in;

    if (!g)
        return fail(E_MEMORY, "no memory to record a graph (%s)", k->name);
    batch_record(c->buffers, g, bucket, &in);
    Status s = graph_status(g);
    if (!s)
        s = k->record(k->state, g, &in);
    if (!s)
        s = graph_plan(g);
    if (s)
        graph_free(g);
    else
        *out = g;
    return s;
}

Status graphs_plan(Graphs *c, size_t *bytes)
{
    Status s = OK;

    *bytes = 0;
    for (int i = 0; i < c->kinds && !s; i++) {
        Graph *g = NULL;
        s = record(c, &c->kind[i], c->kind[i].capacity, &g);
        if (!s && graph_bytes(g) > *bytes)
            *bytes = graph_bytes(g);
        graph_free(g);
    }
    /* A smaller bucket can be packed a little worse than the largest. */
    *bytes = arena_round(*bytes + *bytes / 64 + 4096 * (size_t)ARENA_ALIGNMENT);
    return s;
}

Status graphs_reserve(Graphs *c)
{
    size_t bytes = 0, room = 0;
    Status s = graphs_plan(c, &bytes);

    if (!s)
        s = arena_room(c->device, &room);
    const size_t all = c->device->taken + bytes;
    if (!s && all > room)
        s = fail(E_MEMORY, "the model and its batches want %.0f MiB, and device %s has %.0f MiB",
                 (double)all / 1048576, c->device->name, (double)room / 1048576);
    return s ? s : arena_open(&c->arena, c->device, bytes);
}

const Arena *graphs_arena(const Graphs *c)
{
    return &c->arena;
}

static bool same_bucket(BatchShape a, BatchShape b)
{
    return a.rows == b.rows && a.sequences == b.sequences && a.longest == b.longest;
}

static Entry *room_for_one(Graphs *c)
{
    Entry *oldest = &c->entry[0];

    if (c->entries < GRAPHS_KEPT)
        return &c->entry[c->entries++];
    for (int i = 1; i < c->entries; i++)
        if (c->entry[i].used < oldest->used)
            oldest = &c->entry[i];
    graph_free(oldest->graph);
    return oldest;
}

Status graphs_get(Graphs *c, int kind, BatchShape used, Graph **g, BatchShape *bucket)
{
    const Kind *k = &c->kind[kind];

    *bucket = batch_bucket(used, k->capacity);
    for (int i = 0; i < c->entries; i++)
        if (c->entry[i].kind == kind && same_bucket(c->entry[i].bucket, *bucket)) {
            c->entry[i].used = ++c->clock;
            *g = c->entry[i].graph;
            return OK;
        }
    Graph *fresh = NULL;
    Status s = record(c, k, *bucket, &fresh);
    if (!s)
        s = graph_compile(fresh, &c->arena);
    if (s) {
        graph_free(fresh);
        return fail_within(s, "graph of %s", k->name);
    }
    *room_for_one(c) = (Entry){kind, *bucket, fresh, ++c->clock};
    *g = fresh;
    return OK;
}
