/* early_loss.h - runs a loss as the root of a graph, whose logits nobody else reads, so that it
 * gives its gradient in the forward pass; for tests of losses. */
#ifndef TESTS_EARLY_LOSS_H
#define TESTS_EARLY_LOSS_H

#include "kernels/ops.h"
#include "tests/test.h"

#include <string.h>

/* Records the loss of logits. */
typedef Tensor *(*EarlyBuild)(Graph *g, Tensor *logits, const void *context);

/* x [N, V], in the storage type; seed: the loss scale. Writes *loss and dx of the type of x. */
static inline void early_loss(EarlyBuild build, const void *context, void *x, Dtype dtype,
                              int64_t N, int64_t V, float *seed, float *loss, void *dx)
{
    Device *d = NULL;
    Arena arena = {0};
    const size_t bytes = (size_t)(N * V) * dtype_size(dtype);
    float zeros[2048] = {0};

    if (!CHECK_OK(device_open("cpu", 2, &d)))
        return;
    Graph *g = graph_new(d, (GraphOptions){.training = true, .keep_all = true});
    Tensor *in = graph_state(g, "x", dtype, DIMS(N, V)), *scale = graph_state(g, "s", F32, DIMS(1));
    Tensor *zero = graph_state(g, "zero", dtype, DIMS(N, V));
    CHECK(bytes <= sizeof zeros);
    in->data = x, scale->data = seed, zero->data = zeros;
    graph_want_gradient(g, in);
    Tensor *root = build(g, op_add(g, in, zero), context);
    if (CHECK_OK(graph_backward(g, root, scale)) && CHECK_OK(graph_plan(g)) &&
        CHECK_OK(arena_open(&arena, d, graph_bytes(g))) && CHECK_OK(graph_compile(g, &arena))) {
        CHECK(graph_length(g) == 3); // add, the loss, add's backward: no backward of the loss
        memset(arena.data, 0xFF, arena.bytes);
        CHECK_OK(graph_run(g, NULL));
        *loss = *(float *)root->data;
        memcpy(dx, graph_gradient(g, in)->data, bytes);
    }
    graph_free(g);
    arena_close(&arena);
    device_close(d);
}

#endif
