/* Tests that cuDNN itself, where it is installed, finds engines for the graphs of kernel.attention=cudnn
 * and compiles them: for an H100 that tests/cudnn/real.c describes to it. Nothing runs; the numbers are
 * the matter of tests/kernels/cudnn.c and, on a card, of the same test. */
#include "runtime/graph.h"
#include "tests/check_attention.h"
#include "tests/on_device.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

/* Stands for what comes after: never run. */
static Status after_shape(Call *c)
{
    call_output(c, 0, F32, DIMS(1));
    return graph_status(c->graph);
}

static void after_run(Call *c)
{
    (void)c;
}

static const Op after_op = {
    .name = "after",
    .shape = after_shape,
    .forward = {after_run, after_run},
    .backward = {after_run, after_run},
};

static Status plan(const AttentionCase *k, bool training)
{
    AttentionInputs in = attention_inputs_open(k, 0);
    Device *device = NULL;
    Tensor *x[ATTENTION_INPUT_COUNT] = {NULL};

    Status s = test_device_open(test_device(), 1, &device);
    if (s)
        return s;
    Graph *g = graph_new(device, (GraphOptions){.training = training});
    for (int i = 0; i < ATTENTION_INPUT_COUNT; i++)
        if (in.in[i].ndim)
            x[i] =
                graph_state(g, "x", in.in[i].places ? I32 : k->dtype, in.in[i].ndim, in.in[i].dim);
    for (int i = 0; i < 1 + k->cross && training; i++)
        graph_want_gradient(g, x[i]);
    Tensor *y = attention_build(g, x, k->dtype, k);
    y = call_result(graph_record(g, &after_op, INPUTS(y), NULL, 0), 0);
    s = training ? graph_backward(g, y, NULL) : graph_status(g);
    s = s ? s : graph_plan(g);
    graph_free(g);
    device_close(device);
    attention_inputs_close(&in);
    return s;
}

static void graphs_have_engines(void)
{
    static const AttentionCase CASES[] = {
        {2, {100, 37}, {0}, {0, 1}, 4, 4, 64},
        {2, {100, 37}, {0}, {0, 1}, 4, 4, 64, .causal = true},
        {2, {100, 37}, {0}, {0, 1}, 4, 2, 64},
        {2, {100, 37}, {0}, {0, 1}, 4, 2, 128, .causal = true},
        {2, {1000, 37}, {0}, {0, 1}, 4, 4, 32},
        {2, {100, 37}, {0}, {0, 1}, 4, 4, 80},
        {2, {100, 37}, {0}, {0, 1}, 4, 4, 256, .causal = true},
        {2, {100, 37}, {50, 20}, {0, 1}, 4, 4, 64, .cross = true},
        {2, {100, 37}, {50, 90}, {0, 1}, 4, 2, 64, .cross = true, .causal = true},
    };

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        for (Dtype dtype = BF16; dtype <= F16; dtype++)
            for (int training = 0; training < 2; training++) {
                AttentionCase k = CASES[i];
                k.kernel = "cudnn";
                k.dtype = dtype;
                if (!CHECK_OK(plan(&k, training)))
                    printf("  case %zu, %s, training %d\n", i, dtype_name(dtype), training);
            }
}

int main(void)
{
    if (!getenv("CAIRN_TEST_CUDNN_REAL")) {
        printf("skipped: cuDNN is not installed here, or this build has none of its headers\n");
        return 77;
    }
    RUN(graphs_have_engines);
    return test_result();
}
