/* Runs operators one after another in a graph that shares memory, where outputs take the place of
 * inputs and gradients that of gradients, and in one where every tensor has its own: the parameters'
 * gradients must have the same bits. */
#include "kernels/ops.h"
#include "runtime/graph_parts.h"
#include "tests/check_op.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

enum { N = 37, C = 40, O = 56, V = 31, PARAMETERS = 5 };

static const int64_t SHAPE[PARAMETERS][2] = {{V, C}, {O, C}, {1, O}, {C, O}, {1, C}};

/* Parameters as tensors of the test, each with an F32 gradient. */
typedef struct Model {
    Tensor value[PARAMETERS], gradient[PARAMETERS];
    int32_t offsets[2], ids[N], index[N], step[STEP_INTEGERS];
} Model;

static void model_open(Model *m, Dtype dtype)
{
    *m = (Model){.offsets = {0, N - 4}, .step = {77, 3}};
    for (int i = 0; i < N; i++) {
        m->ids[i] = i * 17 % V;
        m->index[i] = i * 5 % N;
    }
    for (int i = 0; i < PARAMETERS; i++) {
        const bool vector = SHAPE[i][0] == 1;
        const int64_t size = SHAPE[i][0] * SHAPE[i][1];
        Tensor x = {.ndim = vector ? 1 : 2,
                    .stride = SHAPE[i][1],
                    .home = TENSOR_PARAMETER,
                    .id = -1,
                    .wants_gradient = true};
        x.dim[0] = vector ? SHAPE[i][1] : SHAPE[i][0];
        x.dim[1] = vector ? 0 : SHAPE[i][1];
        m->gradient[i] = x;
        m->gradient[i].data = calloc((size_t)size, sizeof(float));
        x.dtype = vector ? F32 : dtype;
        x.data = normal_values(size, (uint64_t)i);
        if (x.dtype != F32)
            for (int64_t k = 0; k < size; k++)
                ((uint16_t *)x.data)[k] = (uint16_t)(((uint32_t *)x.data)[k] >> 16);
        x.gradient = &m->gradient[i];
        m->value[i] = x;
    }
}

static void model_close(Model *m)
{
    for (int i = 0; i < PARAMETERS; i++) {
        free(m->value[i].data);
        free(m->gradient[i].data);
    }
}

static Tensor *places(Graph *g, int64_t count, int32_t *data)
{
    Tensor *x = graph_state(g, "places", I32, DIMS(count));

    x->data = data;
    return x;
}

static Status total_shape(Call *c)
{
    call_output(c, 0, F32, DIMS(1));
    return graph_status(c->graph);
}

static void total_forward(Call *c)
{
    *(float *)c->out[0]->data = 1;
}

static void total_backward(Call *c)
{
    for (int64_t i = 0; i < tensor_size(c->din[0]); i++)
        if (c->din[0]->dtype == F32)
            ((float *)c->din[0]->data)[i] = (float)(i % 13) / 8;
        else
            ((uint16_t *)c->din[0]->data)[i] = (uint16_t)(0x3F80 + i % 13);
}

static const Op total_op = {.name = "total",
                            .shape = total_shape,
                            .forward = {total_forward},
                            .backward = {total_backward}};

static Tensor *record(Graph *g, Model *m, Dtype dtype)
{
    const Rows rows = {.offsets = places(g, 2, m->offsets),
                       .sample = places(g, N, m->ids),
                       .position = places(g, N, m->index)};
    Tensor *step = places(g, STEP_INTEGERS, m->step);
    Tensor *x =
        op_embedding(g, &rows, dtype, places(g, N, m->ids), &m->value[0], NULL, NULL, NULL, NULL);

    graph_checkpoint_begin(g);
    Tensor *y = op_linear(g, op_dropout(g, x, &rows, step, 0.2f), &m->value[1], &m->value[2],
                          ACTIVATION_GELU);
    y = op_dropout(g, op_tanh(g, op_gelu(g, y, ACTIVATION_GELU_TANH)), &rows, step, 0.1f);
    y = op_add(g, op_linear(g, y, &m->value[3], &m->value[4], ACTIVATION_NONE), x);
    graph_checkpoint_end(g);
    y = op_softmax(g, op_gather(g, y, places(g, N, m->index)));
    return call_result(graph_record(g, &total_op, INPUTS(y), NULL, 0), 0);
}

static bool run(Model *m, Dtype dtype, GraphOptions o, size_t *bytes, int *shared)
{
    Device *d;
    Arena arena = {0};

    if (!CHECK_OK(device_open("cpu", 2, &d)))
        return false;
    o.training = true;
    Graph *g = graph_new(d, o);
    Status s = graph_backward(g, record(g, m, dtype), NULL);
    if (!s)
        s = graph_plan(g);
    if (!s)
        s = arena_open(&arena, d, graph_bytes(g) + ARENA_ALIGNMENT);
    if (!s)
        s = graph_compile(g, &arena);
    if (!s) {
        memset(arena.data, 0xFF, arena.bytes);
        s = graph_run(g, NULL);
    }
    const bool good = CHECK_OK(s);
    *bytes = graph_bytes(g);
    *shared = 0;
    for (int i = 0; i < g->place_count; i++)
        *shared += g->place[i].merged >= 0;
    graph_free(g);
    arena_close(&arena);
    device_close(d);
    return good;
}

static void check_same(const Model *a, const Model *b)
{
    for (int i = 0; i < PARAMETERS; i++)
        CHECK(memcmp(a->gradient[i].data, b->gradient[i].data,
                     (size_t)(SHAPE[i][0] * SHAPE[i][1]) * sizeof(float)) == 0);
    CHECK(((float *)a->gradient[1].data)[5] != 0);
}

static void shared_memory_changes_no_bits(void)
{
    for (Dtype dtype = F32; dtype <= BF16; dtype++) {
        Model own, shared;
        size_t own_bytes, shared_bytes;
        int none, some;
        model_open(&own, dtype);
        model_open(&shared, dtype);
        if (run(&own, dtype, (GraphOptions){.keep_all = true}, &own_bytes, &none) &&
            run(&shared, dtype, (GraphOptions){0}, &shared_bytes, &some)) {
            check_same(&own, &shared);
            CHECK(shared_bytes < own_bytes && none == 0);
            CHECK(some >= 4); // or this test shows nothing
        }
        model_close(&own);
        model_close(&shared);
    }
}

static void recomputation_changes_no_bits(void)
{
    for (Recompute policy = RECOMPUTE_CHEAP; policy <= RECOMPUTE_BLOCK; policy++) {
        Model plain, again;
        size_t bytes;
        int count;
        model_open(&plain, F32);
        model_open(&again, F32);
        if (run(&plain, F32, (GraphOptions){0}, &bytes, &count) &&
            run(&again, F32, (GraphOptions){.recompute = policy}, &bytes, &count))
            check_same(&plain, &again);
        model_close(&plain);
        model_close(&again);
    }
}

/* A second micro-batch doubles the gradients. */
static void parameters_accumulate(void)
{
    Model m;
    size_t bytes;
    int count;

    model_open(&m, F32);
    if (run(&m, F32, (GraphOptions){0}, &bytes, &count)) {
        float first[PARAMETERS];
        for (int i = 0; i < PARAMETERS; i++)
            first[i] = ((float *)m.gradient[i].data)[3];
        CHECK(run(&m, F32, (GraphOptions){.accumulate_parameters = true}, &bytes, &count));
        for (int i = 0; i < PARAMETERS; i++)
            CHECK_NEAR(((float *)m.gradient[i].data)[3], 2 * (double)first[i], 1e-6);
    }
    model_close(&m);
}

int main(void)
{
    RUN(shared_memory_changes_no_bits);
    RUN(recomputation_changes_no_bits);
    RUN(parameters_accumulate);
    return test_result();
}
