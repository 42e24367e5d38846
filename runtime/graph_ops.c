/* graph_ops.c - the few instructions of the runtime's own; they use the device's table alone, so
 * one body serves every device. */
#include "runtime/graph_parts.h"

#include <inttypes.h>

/* A failure here stays with the device, which graph_run() asks after each instruction. */
static void ignore(Status s)
{
    (void)s;
}

static Status no_shape(Call *c)
{
    (void)c;
    return OK;
}

void call_clear(const Call *c, const Tensor *x)
{
    const size_t size = dtype_size(x->dtype);

    ignore(c->device->table->fill_rows(c->device, c->stream, x->data, 0,
                                       (size_t)tensor_columns(x) * size, (size_t)x->stride * size,
                                       tensor_rows(x)));
}

static void clear_run(Call *c)
{
    call_clear(c, c->din[0]);
}

static Status one_shape(Call *c)
{
    call_output(c, 0, F32, DIMS(1));
    return graph_status(c->graph);
}

/* The bytes of 1.0F, 00 00 80 3F: a recorded graph must not come back to memory of the host. */
static void one_run(Call *c)
{
    const DeviceTable *t = c->device->table;
    char *to = c->out[0]->data;

    ignore(t->fill(c->device, c->stream, to, 0, sizeof(float)));
    ignore(t->fill(c->device, c->stream, to + 2, 0x80, 1));
    ignore(t->fill(c->device, c->stream, to + 3, 0x3F, 1));
}

static Status store_shape(Call *c)
{
    const Tensor *from = c->in[0], *to = c->in[1];

    if (!from || !to || from->dtype != to->dtype || tensor_size(from) != tensor_size(to) ||
        !tensor_contiguous(from) || !tensor_contiguous(to))
        return fail(E_SHAPE, "store: wants two contiguous tensors of one size and dtype");
    if (*(const bool *)c->args && from->dtype != F32)
        return fail(E_DTYPE, "store: adds F32 alone, not %s", dtype_name(from->dtype));
    return OK;
}

static void store_run(Call *c)
{
    const Tensor *from = c->in[0], *to = c->in[1];
    const DeviceTable *t = c->device->table;

    if (*(const bool *)c->args)
        ignore(t->add(c->device, c->stream, to->data, from->data, tensor_size(from)));
    else
        ignore(t->copy(c->device, c->stream, to->data, from->data, tensor_bytes(from), ON_DEVICE));
}

const Op clear_op = {
    .name = "clear",
    .shape = no_shape,
    .forward = {clear_run, clear_run},
    .backward = {clear_run, clear_run},
};

const Op one_op = {
    .name = "one",
    .shape = one_shape,
    .forward = {one_run, one_run},
};

const Op store_op = {
    .name = "store",
    .shape = store_shape,
    .forward = {store_run, store_run},
    .scatters = 1u << 1,
};

void graph_store(Graph *g, Tensor *to, Tensor *from, bool add)
{
    graph_record(g, &store_op, INPUTS(from, to), &add, sizeof add);
}
