/* early_loss.h - runs a loss as the root of a graph, whose logits nobody else reads, so that it
 * gives its gradient in the forward pass; for tests of losses. */
#ifndef TESTS_EARLY_LOSS_H
#define TESTS_EARLY_LOSS_H

#include "kernels/ops.h"
#include "tests/on_device.h"
#include "tests/test.h"

/* What the loss reads besides the logits, on the device of the tests until early_loss() ends. */
typedef struct EarlyInputs {
    Device *device;
    void *memory[8];
    size_t bytes[8];
    int count;
} EarlyInputs;

/* Gives a state tensor a copy of what lies at `from`. */
static inline void early_input(EarlyInputs *e, Tensor *x, const void *from)
{
    e->bytes[e->count] = tensor_bytes(x);
    x->data = e->memory[e->count++] = on_device(e->device, from, tensor_bytes(x));
}

/* Records the loss of logits. */
typedef Tensor *(*EarlyBuild)(Graph *g, Tensor *logits, const void *context, EarlyInputs *e);

/* x [N, V], in the storage type; seed: the loss scale. Writes *loss and dx of the type of x. */
static inline void early_loss(EarlyBuild build, const void *context, void *x, Dtype dtype,
                              int64_t N, int64_t V, float *seed, float *loss, void *dx)
{
    EarlyInputs e = {0};
    Arena arena = {0};
    const size_t bytes = (size_t)(N * V) * dtype_size(dtype);

    if (!CHECK_OK(test_device_open(test_device(), 2, &e.device)))
        return;
    Device *d = e.device;
    Graph *g = graph_new(d, (GraphOptions){.training = true, .keep_all = true});
    Tensor *in = graph_state(g, "x", dtype, DIMS(N, V)), *scale = graph_state(g, "s", F32, DIMS(1));
    Tensor *zero = graph_state(g, "zero", dtype, DIMS(N, V));
    early_input(&e, in, x);
    early_input(&e, scale, seed);
    early_input(&e, zero, NULL);
    graph_want_gradient(g, in);
    Tensor *root = build(g, op_add(g, in, zero), context, &e);
    if (CHECK_OK(graph_backward(g, root, scale)) && CHECK_OK(graph_plan(g)) &&
        CHECK_OK(arena_open(&arena, d, graph_bytes(g))) && CHECK_OK(graph_compile(g, &arena))) {
        CHECK(graph_length(g) == 3); // add, the loss, add's backward: no backward of the loss
        CHECK_OK(d->table->fill(d, NULL, arena.data, 0xFF, arena.bytes));
        CHECK_OK(graph_run(g, NULL));
        from_device(d, loss, root->data, sizeof *loss);
        from_device(d, dx, graph_gradient(g, in)->data, bytes);
    }
    graph_free(g);
    arena_close(&arena);
    for (int i = 0; i < e.count; i++)
        on_device_free(d, e.memory[i], e.bytes[i]);
    device_close(d);
}

#endif
