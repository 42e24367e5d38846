/* An illegal address on a card: the first run of a graph names the instruction, in one sentence that
 * says what to do; and the device can be closed after it. */
#include "kernels/ops.h"
#include "runtime/graph.h"
#include "tests/faulty_op.h"
#include "tests/on_device.h"
#include "tests/test.h"

#include <string.h>

enum { N = 4, C = 8 };

static Status faulty_shape(Call *c)
{
    call_output(c, 0, F32, DIMS(N, C));
    return graph_status(c->graph);
}

static const Op faulty_op = {
    .name = "faulty",
    .shape = faulty_shape,
    .forward = {NULL, IF_CUDA(faulty_forward_cuda)},
};

static Status compile(Graph *g, Arena *arena)
{
    const Status s = graph_plan(g);

    if (s)
        return s;
    const Status opened = arena_open(arena, graph_device(g), graph_bytes(g) + ARENA_ALIGNMENT);
    return opened ? opened : graph_compile(g, arena);
}

static Status run_one_fault(Device *d, Tensor *x)
{
    Graph *g = graph_new(d, (GraphOptions){0});
    Arena arena = {0};
    Tensor *in = graph_state(g, "x", F32, DIMS(N, C));

    in->data = x->data;
    Tensor *a = op_add(g, in, in);
    Tensor *b = graph_record(g, &faulty_op, 1, &a, NULL, 0)->out[0];
    (void)op_add(g, b, b);
    Status s = compile(g, &arena);
    if (!CHECK_OK(s))
        return s;
    s = graph_run(g, NULL);
    char text[512];
    snprintf(text, sizeof text, "%s", status_text());
    graph_free(g);
    arena_close(&arena);
    CHECK_TEXT(status_text(), text); // what only lets go says nothing new
    return s;
}

static void the_instruction_is_named(void)
{
    Device *d = NULL;

    if (test_on_cpu()) {
        SKIP("the CPU's own addresses are the system's to guard");
        return;
    }
    if (!CHECK_OK(test_device_open(test_device(), 1, &d)))
        return;
    Tensor x = {.data = on_device(d, NULL, sizeof(float) * N * C)};
    const Status s = run_one_fault(d, &x);
    CHECK(s == E_DEVICE);
    CHECK(!strncmp(status_text(), "instruction 1 of 3 (faulty, forward): device ", 45));
    CHECK(strstr(status_text(), "illegal memory access"));
    if (strcmp(test_device(), "emulated") != 0)
        CHECK(strstr(status_text(), "cudaErrorIllegalAddress") &&
              strstr(status_text(), "please report it with the command"));
    on_device_free(d, x.data, sizeof(float) * N * C);
    device_close(d);
}

enum { RECORDED_RUN = 3 };

static const Op refusing_op = {
    .name = "refusing",
    .shape = faulty_shape,
    .forward = {NULL, IF_CUDA(refusing_forward_cuda)},
};

/* Runs of a graph whose recording fails: the next one records it again. */
static void half_a_recording_is_not_kept(void)
{
    const float one[N * C] = {1, 2, 3};
    float twice[N * C];
    int runs = 0;
    const RefusingArgs args = {&runs, RECORDED_RUN};
    Device *d = NULL;

    if (test_on_cpu()) {
        SKIP("the CPU records nothing");
        return;
    }
    if (!CHECK_OK(test_device_open(test_device(), 1, &d)))
        return;
    Graph *g = graph_new(d, (GraphOptions){0});
    Arena arena = {0};
    Tensor *x = graph_state(g, "x", F32, DIMS(N, C)), *sum = graph_state(g, "sum", F32, DIMS(N, C));
    void *in = on_device(d, one, sizeof one), *out = on_device(d, one, sizeof one);
    x->data = in;
    sum->data = out;
    (void)graph_record(g, &refusing_op, 1, &x, &args, sizeof args);
    graph_store(g, sum, op_add(g, x, x), false);
    Status s = compile(g, &arena);
    CHECK_OK(s);
    for (int i = 1; i <= RECORDED_RUN + 2 && !s; i++) {
        const Status ran = graph_run(g, NULL);
        CHECK(ran == (i == RECORDED_RUN ? E_DEVICE : OK));
        if (ran)
            CHECK(strstr(status_text(), "instruction 0 of 3 (refusing, forward)") &&
                  strstr(status_text(), "a library answers not now"));
        memset(twice, 0, sizeof twice);
        if (!ran) {
            from_device(d, twice, out, sizeof twice);
            CHECK(twice[0] == 2 && twice[2] == 6);
        }
        to_device(d, out, one, sizeof one);
    }
    graph_free(g);
    arena_close(&arena);
    on_device_free(d, in, sizeof one);
    on_device_free(d, out, sizeof one);
    device_close(d);
}

int main(void)
{
    RUN(the_instruction_is_named);
    RUN(half_a_recording_is_not_kept);
    return test_result();
}
