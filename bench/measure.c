/* measure.c - records a case on as many graphs as make its buffers exceed the cache, and times the
 * operator's own instructions in them by turns. */
#include "bench/formula.h"
#include "bench/parts.h"

#include "runtime/format.h"
#include "runtime/graph_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BUFFERS = 128 };

typedef struct Replica {
    Graph *g;
    Arena arena;
    Call *call[2]; // by Pass
    bool refused;  // by the kernel that is forced, when the graph was planned
} Replica;

/* Stands for what comes after the operator: [1] = 0, and its gradient is 0.75 or so in every
 * dtype. By the device's table alone, like the runtime's own instructions. */
static Status rest_shape(Call *c)
{
    call_output(c, 0, F32, DIMS(1));
    return graph_status(c->graph);
}

static void rest_forward(Call *c)
{
    Status s = c->device->table->fill(c->device, c->stream, c->out[0]->data, 0, sizeof(float));
    (void)s; // stays with the device, which graph_run() asks
}

static void rest_backward(Call *c)
{
    const Tensor *dx = c->din[0];
    const size_t size = dtype_size(dx->dtype);
    Status s = c->device->table->fill_rows(c->device, c->stream, dx->data, 0x3F,
                                           (size_t)tensor_columns(dx) * size,
                                           (size_t)dx->stride * size, tensor_rows(dx));
    (void)s;
}

static const Op rest_op = {.name = "rest",
                           .shape = rest_shape,
                           .forward = {rest_forward, rest_forward},
                           .backward = {rest_backward, rest_backward}};

static void find_calls(const BenchOp *o, Replica *r)
{
    for (int i = 0; i < graph_length(r->g); i++)
        if (r->g->call[i]->op == o->op)
            r->call[r->g->call[i]->pass] = r->g->call[i];
}

static Status replica_open(Bench *b, const BenchOp *o, const BenchShape *k, bool training,
                           Replica *r)
{
    Graph *g = graph_new(b->device, (GraphOptions){.training = training, .keep_all = true});

    if (!g)
        return fail(E_MEMORY, "no memory for a graph");
    b->graph = r->g = g;
    Tensor *y = o->build(b, g, k);
    if (training && y && (tensor_size(y) != 1 || y->dtype != F32))
        y = call_result(graph_record(g, &rest_op, INPUTS(y), NULL, 0), 0);
    Status s = training ? graph_backward(g, y, NULL) : graph_status(g);
    if (!s) {
        s = graph_plan(g);
        r->refused = s == E_DEVICE && device_forced_kernel(b->device, o->op->name);
    }
    if (!s)
        s = arena_open(&r->arena, b->device, graph_bytes(g) + ARENA_ALIGNMENT);
    if (!s)
        s = graph_compile(g, &r->arena);
    if (!s)
        s = graph_run(g, NULL);
    if (!s)
        s = b->device->table->synchronise(b->device, NULL);
    find_calls(o, r);
    return s;
}

static void replicas_close(Bench *b, Replica *r, int count)
{
    for (int i = 0; i < count; i++) {
        graph_free(r[i].g);
        arena_close(&r[i].arena);
    }
    free(r);
    b->graph = NULL;
    buffers_clear(b);
}

/* How many buffers of `bytes` exceed twice the cache, in half of the memory that is left. */
static int buffers_wanted(const Bench *b, double bytes, double each)
{
    size_t left = 0;
    double n = ceil(2 * (double)b->cache / fmax(bytes, 1));

    if (!b->device->table->memory(b->device, &left))
        n = fmin(n, floor((double)left / 2 / fmax(each, 1)));
    return (int)fmax(1, fmin(n, MOST_BUFFERS));
}

static double pass_bytes(const BenchOp *o, const BenchShape *k)
{
    double bytes = 0;
    Status s = formula_value(o->forward.bytes, k, &bytes);

    return s ? 0 : bytes;
}

/* Before anybody multiplies sizes in 64 bits. */
static Status check_size(const BenchOp *o, const BenchShape *k)
{
    char text[FORMAT_ROOM];
    const double bytes = pass_bytes(o, k);

    return bytes < 1e15
               ? OK
               : fail(E_MEMORY, "moves %s, more than any device has; take a smaller --shape",
                      format_bytes(text, bytes));
}

/* *count at least 1 where it is OK. */
static Status replicas_open(Bench *b, const BenchOp *o, const BenchShape *k, bool training,
                            Replica **out, int *count)
{
    Replica *r = calloc(MOST_BUFFERS, sizeof *r);

    *out = r;
    *count = 0;
    if (!r)
        return fail(E_MEMORY, "no memory for graphs");
    Status s = replica_open(b, o, k, training, &r[(*count)++]);
    const double each = (double)b->bytes + (double)r[0].arena.bytes;
    const int wanted = s ? 1 : buffers_wanted(b, pass_bytes(o, k), each);
    while (!s && *count < wanted)
        s = replica_open(b, o, k, training, &r[(*count)++]);
    return s;
}

static void run_call(void *context, Stream *stream)
{
    Call *c = context;

    c->stream = stream;
    c->run(c);
}

static Status time_pass(Bench *b, const BenchOp *o, Replica *r, int count, Pass pass, Measured *m)
{
    void *context[MOST_BUFFERS];
    const TimingOptions t = {b->options.clock, b->options.repeats, b->options.seconds};

    for (int i = 0; i < count; i++)
        context[i] = r[i].call[pass];
    Status s = timing_measure(b->device, run_call, context, count, t, &m->timing[pass]);
    if (s)
        return s;
    m->done[pass] = true;
    m->buffers[pass] = count;
    machine_clocks(b->device, &m->clocks[pass]);
    const Call *first = r[0].call[pass];
    const char *(*const chosen)(const Call *) = o->op->chosen[b->device->kind];
    snprintf(m->kernel[pass], sizeof m->kernel[pass], "%s", chosen ? chosen(first) : o->op->name);
    return OK;
}

Status measure_op(Bench *b, const BenchOp *o, const BenchShape *k, const bool pass[2],
                  Measured *out)
{
    const DeviceKind kind = b->device->kind;
    const bool training = o->backward.bytes && o->op->backward[kind];
    Replica *r = NULL;
    int count = 0;

    *out = (Measured){0};
    if (!o->op->forward[kind])
        return fail(E_DEVICE, "%s: this build has no kernel of it for device %s", o->op->name,
                    b->device->name);
    Status s = check_size(o, k);
    if (!s)
        s = replicas_open(b, o, k, training, &r, &count);
    for (Pass p = FORWARD; p <= BACKWARD && !s; p++)
        if (pass[p] && r[0].call[p])
            s = time_pass(b, o, r, count, p, out);
    out->refused = r && r[0].refused;
    if (r)
        replicas_close(b, r, count);
    return s ? fail_within(s, "%s", o->op->name) : OK;
}

Status measure_peer(Bench *b, const BenchPeer *peer, const BenchShape *k, Pass pass, double bytes,
                    Measured *out)
{
    const TimingOptions t = {b->options.clock, b->options.repeats, b->options.seconds};
    void *state[MOST_BUFFERS] = {0};
    Status s = OK;
    int n = 0;

    *out = (Measured){0};
    const int wanted = buffers_wanted(b, bytes, bytes);
    while (n < wanted && !s) {
        s = peer->open(b->device, k, pass, &state[n]);
        n += !s;
    }
    if (!s)
        s = timing_measure(b->device, peer->run, state, n, t, &out->timing[pass]);
    out->done[pass] = !s;
    out->buffers[pass] = n;
    machine_clocks(b->device, &out->clocks[pass]);
    snprintf(out->kernel[pass], sizeof out->kernel[pass], "%s", peer->name);
    while (n)
        peer->close(state[--n]);
    return s;
}
