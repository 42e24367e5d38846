/* graph_run.c - replays a compiled graph; where asked, checks every number it makes.
 *
 * On a device that captures, the first two runs are plain (libraries set themselves up), the third
 * is recorded, later ones replay the recording with one call. There a kernel's fault shows late: the
 * first run waits after each instruction, so that it can name the one at fault.
 */
#include "runtime/graph_parts.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS_BEFORE_CAPTURE = 2, SENTENCE = 1024 };

/* Views follow their base; state and parameters may have moved since the last run. */
static Status resolve_views(Graph *g)
{
    for (int i = 0; i < g->tensor_count; i++) {
        Tensor *x = g->tensor[i];
        if (x->base)
            x->data = x->base->data
                          ? (char *)x->base->data + (size_t)x->base_offset * dtype_size(x->dtype)
                          : NULL;
        else if (x->home == TENSOR_STATE && !x->data && tensor_size(x) > 0)
            return fail(E_MEMORY, "graph: state tensor %s has no memory",
                        x->name ? x->name : "(unnamed)");
    }
    return OK;
}

static Status name_instruction(const Graph *g, int i, Status s)
{
    return fail_within(s, "instruction %d of %d (%s, %s)", i, g->call_count, g->call[i]->op->name,
                       g->call[i]->pass == FORWARD ? "forward" : "backward");
}

static float element(const Tensor *x, const void *row, int64_t i)
{
    uint32_t bits;

    if (x->dtype == F32)
        return ((const float *)row)[i];
    if (x->dtype == F16) { // only NaN and infinity matter here
        const uint16_t h = ((const uint16_t *)row)[i];
        return (h & 0x7C00) == 0x7C00 ? NAN : 0;
    }
    bits = (uint32_t)((const uint16_t *)row)[i] << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static Status hunt_tensor(const Graph *g, int at, const char *what, int which, const Tensor *x,
                          Stream *s)
{
    if (!x || !dtype_is_float(x->dtype) || !x->data)
        return OK;
    const DeviceTable *t = g->device->table;
    const int64_t C = tensor_columns(x);
    const size_t bytes = (size_t)C * dtype_size(x->dtype);
    void *row = malloc(bytes + 1);
    Status status = row ? OK : fail(E_MEMORY, "no memory to look for NaN");

    for (int64_t n = 0; n < tensor_rows(x) && !status; n++) {
        status = t->copy(g->device, s, row, tensor_row(x, n), bytes, TO_HOST);
        if (!status)
            status = t->synchronise(g->device, s);
        for (int64_t i = 0; i < C && !status; i++)
            if (!isfinite(element(x, row, i)))
                status =
                    fail(E_DEVICE,
                         "instruction %d (%s, %s): %s %d is not finite at row %" PRId64
                         ", column %" PRId64,
                         at, g->call[at]->op->name,
                         g->call[at]->pass == FORWARD ? "forward" : "backward", what, which, n, i);
    }
    free(row);
    return status;
}

static Status hunt_nan(const Graph *g, int at, Stream *s)
{
    const Call *c = g->call[at];
    Status status = OK;

    for (int i = 0; i < OP_OUTPUTS && !status && c->pass == FORWARD; i++)
        status = hunt_tensor(g, at, "output", i, c->out[i], s);
    for (int i = 0; i < OP_INPUTS && !status; i++)
        status = hunt_tensor(g, at, "gradient of input", i, c->din[i], s);
    return status;
}

static Status replay(Graph *g, Stream *stream)
{
    const bool first = g->runs == 0;

    for (int i = 0; i < g->call_count; i++) {
        Call *c = g->call[i];
        c->stream = stream;
        c->run(c);
        Status s = g->device->table->check(g->device);
        if (!s && first && g->device->table->capture_begin)
            s = g->device->table->synchronise(g->device, stream);
        if (s)
            return name_instruction(g, i, s);
        s = g->options.hunt_nan ? hunt_nan(g, i, stream) : OK;
        if (s)
            return s;
    }
    return OK;
}

static Status record_capture(Graph *g, Stream *stream)
{
    const DeviceTable *t = g->device->table;
    Status s = t->capture_begin(g->device, stream);

    if (s)
        return s;
    char text[SENTENCE];
    Capture *recorded = NULL;
    s = replay(g, stream);
    snprintf(text, sizeof text, "%s", status_text());
    const Status end = t->capture_end(g->device, stream, &recorded);
    if (s) { // what was recorded is not whole
        t->capture_close(g->device, recorded);
        return fail(s, "%s", text);
    }
    if (end)
        return end;
    g->capture = recorded;
    return t->capture_run(g->device, g->capture, stream);
}

Status graph_run(Graph *g, Stream *stream)
{
    if (g->status)
        return graph_status(g);
    assert(g->bound);
    if (g->capture)
        return g->device->table->capture_run(g->device, g->capture, stream);
    Status s = resolve_views(g);
    if (s)
        return s;
    if (g->device->table->capture_begin && !g->options.hunt_nan && g->runs >= RUNS_BEFORE_CAPTURE)
        return record_capture(g, stream);
    s = replay(g, stream);
    g->runs++;
    return s;
}
