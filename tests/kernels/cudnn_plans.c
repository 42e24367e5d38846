/* Tests that cuDNN itself, where it is installed, finds engines for the graphs of kernel.attention=cudnn
 * and compiles them: for an H100 that tests/cudnn/real_card.c describes to it. Nothing runs; the numbers are
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

static Status plan(Device *device, const AttentionCase *k)
{
    AttentionInputs in = attention_inputs_open(k, 0);
    Tensor *x[ATTENTION_INPUT_COUNT] = {NULL};
    Graph *g = graph_new(device, (GraphOptions){.training = true});
    for (int i = 0; i < ATTENTION_INPUT_COUNT; i++)
        if (in.in[i].ndim)
            x[i] =
                graph_state(g, "x", in.in[i].places ? I32 : k->dtype, in.in[i].ndim, in.in[i].dim);
    for (int i = 0; i < 1 + k->cross; i++)
        graph_want_gradient(g, x[i]);
    Tensor *y = attention_build(g, x, k->dtype, k);
    y = call_result(graph_record(g, &after_op, INPUTS(y), NULL, 0), 0);
    Status s = graph_backward(g, y, NULL);
    s = s ? s : graph_plan(g);
    graph_free(g);
    attention_inputs_close(&in);
    return s;
}

/* Full, causal, grouped, other keys; recorded for training, so both passes are planned. */
static void graphs_have_engines(void)
{
    static const AttentionCase CASES[] = {
        {2, {100, 37}, {0}, {0, 1}, 4, 4, 64, .dtype = BF16},
        {2, {100, 37}, {0}, {0, 1}, 4, 4, 64, .causal = true, .dtype = F16},
        {2, {100, 37}, {0}, {0, 1}, 4, 2, 128, .causal = true, .dtype = BF16},
        {2, {100, 37}, {50, 20}, {0, 1}, 4, 4, 32, .cross = true, .dtype = F16},
        {2, {100, 37}, {50, 90}, {0, 1}, 4, 2, 64, .cross = true, .causal = true, .dtype = BF16},
    };
    Device *device = NULL;

    if (!CHECK_OK(test_device_open(test_device(), 1, &device)))
        return;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        AttentionCase k = CASES[i];
        k.kernel = "cudnn";
        if (!CHECK_OK(plan(device, &k)))
            printf("  case %zu\n", i);
    }
    device_close(device);
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
