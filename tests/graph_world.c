/* graph_world.c - small operators, and parameters to try them on. */
#include "tests/graph_world.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

float *row(const Tensor *x, int64_t n)
{
    return tensor_row(x, n);
}

void put(Call *c, int i, int64_t n, int64_t k, float value)
{
    float *at = row(c->din[i], n) + k;

    *at = c->accumulate >> i & 1 ? *at + value : value;
}

static Status mul_shape(Call *c)
{
    const Tensor *a = c->in[0];

    if (!a || !c->in[1] || !tensor_same_shape(a, c->in[1]))
        return fail(E_SHAPE, "mul: a and b differ in shape");
    call_output(c, 0, F32, a->ndim, a->dim);
    if (c->training)
        call_save(c, 0, F32, a->ndim, a->dim);
    return graph_status(c->graph);
}

static void mul_forward(Call *c)
{
    for (int64_t n = 0; n < tensor_rows(c->in[0]); n++)
        for (int64_t i = 0; i < tensor_columns(c->in[0]); i++) {
            row(c->out[0], n)[i] = row(c->in[0], n)[i] * row(c->in[1], n)[i];
            if (c->training)
                row(c->save[0], n)[i] = row(c->in[0], n)[i];
        }
}

static void mul_backward(Call *c)
{
    for (int64_t n = 0; n < tensor_rows(c->dout[0]); n++)
        for (int64_t i = 0; i < tensor_columns(c->dout[0]); i++) {
            const float dy = row(c->dout[0], n)[i];
            if (c->din[0])
                put(c, 0, n, i, dy * row(c->in[1], n)[i]);
            if (c->din[1])
                put(c, 1, n, i, dy * row(c->save[0], n)[i]);
        }
}

const Op mul_op = {.name = "mul",
                   .shape = mul_shape,
                   .forward = {mul_forward},
                   .backward = {mul_backward},
                   .reads_inputs = 1u << 1};

static Status sine_shape(Call *c)
{
    call_output(c, 0, F32, c->in[0]->ndim, c->in[0]->dim);
    return graph_status(c->graph);
}

static void sine_forward(Call *c)
{
    for (int64_t n = 0; n < tensor_rows(c->in[0]); n++)
        for (int64_t i = 0; i < tensor_columns(c->in[0]); i++)
            row(c->out[0], n)[i] = sinf(row(c->in[0], n)[i]);
}

static void sine_backward(Call *c)
{
    for (int64_t n = 0; n < tensor_rows(c->in[0]); n++)
        for (int64_t i = 0; i < tensor_columns(c->in[0]); i++)
            put(c, 0, n, i, row(c->dout[0], n)[i] * cosf(row(c->in[0], n)[i]));
}

const Op sine_op = {.name = "sine",
                    .shape = sine_shape,
                    .forward = {sine_forward},
                    .backward = {sine_backward},
                    .reads_inputs = 1u,
                    .backward_in_place = 1u,
                    .in_place = 1u,
                    .cheap = true};

static Status square_shape(Call *c)
{
    call_output(c, 0, F32, DIMS(1));
    return graph_status(c->graph);
}

static void square_forward(Call *c)
{
    double sum = 0;
    const float seed = c->gradient_early && c->dout[0] ? *(float *)c->dout[0]->data : 1;

    for (int64_t n = 0; n < tensor_rows(c->in[0]); n++)
        for (int64_t i = 0; i < tensor_columns(c->in[0]); i++) {
            float *x = &row(c->in[0], n)[i];
            sum += (double)*x * (double)*x / 2;
            if (c->gradient_early)
                *x *= seed;
        }
    *(float *)c->out[0]->data = (float)sum;
}

static void square_backward(Call *c)
{
    for (int64_t n = 0; n < tensor_rows(c->in[0]); n++)
        for (int64_t i = 0; i < tensor_columns(c->in[0]); i++)
            put(c, 0, n, i, *(float *)c->dout[0]->data * row(c->in[0], n)[i]);
}

const Op square_op = {.name = "square",
                      .shape = square_shape,
                      .forward = {square_forward},
                      .backward = {square_backward},
                      .reads_inputs = 1u,
                      .can_give_gradient_early = true};

const Op late_square_op = {.name = "late_square",
                           .shape = square_shape,
                           .forward = {square_forward},
                           .backward = {square_backward},
                           .reads_inputs = 1u};

Tensor *apply(Graph *g, const Op *op, Tensor *a, Tensor *b)
{
    return call_result(graph_record(g, op, b ? 2 : 1, (Tensor *[]){a, b}, NULL, 0), 0);
}

void world_open(World *k)
{
    *k = (World){0};
    CHECK_OK(device_open("cpu", 1, &k->d));
    k->p = params_new(k->d, F32);
    for (int i = 0; i < WORLD_WEIGHTS; i++)
        k->w[i] = params_add(k->p, NORMAL(1), DIMS(WORLD_ROWS, WORLD_COLUMNS), "w%d", i);
}

void world_ready(World *k, const Graph *probe)
{
    CHECK_OK(params_layout(k->p, probe, false));
    CHECK_OK(params_initialise(k->p, 7));
}

void world_close(World *k)
{
    arena_close(&k->arena);
    params_free(k->p);
    device_close(k->d);
}

void world_run(World *k, Graph *g)
{
    arena_close(&k->arena);
    CHECK_OK(graph_plan(g));
    CHECK_OK(arena_open(&k->arena, k->d, graph_bytes(g)));
    memset(k->arena.data, 0xFF, k->arena.bytes);
    CHECK_OK(graph_compile(g, &k->arena));
    CHECK_OK(graph_run(g, NULL));
}
