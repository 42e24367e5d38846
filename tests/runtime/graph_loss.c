/* Tests runtime/graph_backward.c where a loss of two inputs gives its gradients early. */
#include "tests/graph_world.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = WORLD_ROWS, C = WORLD_COLUMNS };

/* loss = sum of a * b; can overwrite a by its gradient, seed * b, and write that of b. */
static Status dot_shape(Call *c)
{
    if (!tensor_same_shape(c->in[0], c->in[1]))
        return fail(E_SHAPE, "dot: a and b differ in shape");
    call_output(c, 0, F32, DIMS(1));
    return graph_status(c->graph);
}

static void dot_forward(Call *c)
{
    double sum = 0;
    const float seed = c->gradient_early && c->dout[0] ? *(float *)c->dout[0]->data : 1;

    for (int64_t n = 0; n < tensor_rows(c->in[0]); n++)
        for (int64_t i = 0; i < tensor_columns(c->in[0]); i++) {
            float *a = &row(c->in[0], n)[i];
            const float b = row(c->in[1], n)[i];
            sum += (double)*a * (double)b;
            if (c->din[1])
                put(c, 1, n, i, seed * *a);
            if (c->gradient_early)
                *a = seed * b;
        }
    *(float *)c->out[0]->data = (float)sum;
}

static void dot_backward(Call *c)
{
    const float seed = *(float *)c->dout[0]->data;

    for (int64_t n = 0; n < tensor_rows(c->in[0]); n++)
        for (int64_t i = 0; i < tensor_columns(c->in[0]); i++) {
            if (c->din[0])
                put(c, 0, n, i, seed * row(c->in[1], n)[i]);
            if (c->din[1])
                put(c, 1, n, i, seed * row(c->in[0], n)[i]);
        }
}

static const Op dot_op = {.name = "dot",
                          .shape = dot_shape,
                          .forward = {dot_forward},
                          .backward = {dot_backward},
                          .reads_inputs = 1u << 0 | 1u << 1,
                          .can_give_gradient_early = true};

static const Op late_dot_op = {.name = "late_dot",
                               .shape = dot_shape,
                               .forward = {dot_forward},
                               .backward = {dot_backward},
                               .reads_inputs = 1u << 0 | 1u << 1};

/* What the second input of a loss is: a parameter that others read too, a part of one, or calculated
 * from one. */
typedef enum { SHARED, PART, CALCULATED, OTHERS } Other;

/* Backward of a loss of two inputs in a checkpoint region. Gradients begin as 3. */
static void run_dot(World *k, GraphOptions o, const Op *loss, Other other, float *gradients)
{
    float scale = -2;

    o.training = true;
    Graph *g = graph_new(k->d, o);
    Tensor *seed = graph_state(g, "seed", F32, DIMS(1));
    seed->data = &scale;
    graph_checkpoint_begin(g);
    Tensor *a = apply(g, &mul_op, apply(g, &sine_op, k->w[0], NULL), k->w[1]);
    Tensor *b = other == CALCULATED ? apply(g, &sine_op, k->w[2], NULL)
                : other == SHARED   ? k->w[1]
                                    : graph_columns(g, k->w[2], 3, C / 2);
    if (other == PART)
        a = apply(g, &mul_op, graph_columns(g, a, 1, C / 2), graph_columns(g, k->w[2], 0, C / 2));
    Tensor *root = apply(g, loss, a, b);
    graph_checkpoint_end(g);
    CHECK_OK(graph_backward(g, root, seed));
    CHECK(graph_reaches(g, k->w[1]) && graph_reaches(g, k->w[2]) == (other != SHARED));
    if (loss == &dot_op && other == CALCULATED && o.recompute == RECOMPUTE_BLOCK)
        CHECK(graph_length(g) == 4 + 2 + 3); // b, which only the loss reads, is not made again
    for (int64_t i = 0; i < params_range(k->p).trained; i++)
        params_range(k->p).gradient[i] = 3;
    world_run(k, g);
    for (int i = 0; i < 3; i++)
        memcpy(gradients + i * N * C, k->w[i]->gradient->data, sizeof(float) * N * C);
    graph_free(g);
}

static void an_early_loss_writes_the_gradients_of_its_other_inputs(void)
{
    static const GraphOptions options[] = {
        {0}, {.accumulate_parameters = true}, {.recompute = RECOMPUTE_BLOCK}, {.hunt_nan = true}};
    World k;
    float early[3 * N * C], late[3 * N * C];

    world_open(&k);
    world_ready(&k, NULL);
    for (Other other = SHARED; other < OTHERS; other++)
        for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
            run_dot(&k, options[i], &dot_op, other, early);
            run_dot(&k, options[i], &late_dot_op, other, late);
            CHECK(memcmp(early, late, sizeof early) == 0);
        }
    run_dot(&k, (GraphOptions){0}, &dot_op, SHARED, early);
    for (int i = 0; i < N * C; i++) { // loss = sum of sin(w0) w1 w1
        const double w0 = ((float *)k.w[0]->data)[i], w1 = ((float *)k.w[1]->data)[i];
        CHECK_NEAR(early[i], -2 * cos(w0) * w1 * w1, 1e-5);
        CHECK_NEAR(early[N * C + i], -4 * sin(w0) * w1, 1e-5);
        CHECK(early[2 * N * C + i] == 3);
    }
    run_dot(&k, (GraphOptions){0}, &dot_op, PART, early);
    CHECK(early[2 * N * C + C - 1] == 0); // a column of w2 that the loss does not read
    world_close(&k);
}

/* loss = dot(sin(w0), w1), of a seed that is not finite. */
static void what_an_early_loss_writes_is_seen(void)
{
    World k;
    float scale = INFINITY;
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    world_open(&k);
    world_ready(&k, NULL);
    Graph *g = graph_new(k.d, (GraphOptions){.training = true, .hunt_nan = true});
    Tensor *seed = graph_state(g, "seed", F32, DIMS(1));
    seed->data = &scale;
    Tensor *root = apply(g, &dot_op, apply(g, &sine_op, k.w[0], NULL), k.w[1]);
    CHECK_OK(graph_backward(g, root, seed));
    CHECK_OK(graph_plan(g));
    CHECK_OK(arena_open(&k.arena, k.d, graph_bytes(g)));
    CHECK_OK(graph_compile(g, &k.arena));
    CHECK(graph_run(g, NULL) == E_DEVICE);
    CHECK_TEXT(status_text(), "instruction 1 (dot, forward): gradient of input 1 is not finite at "
                              "row 0, column 0");
    graph_print(g, f);
    fclose(f);
    const char *line = strstr(text, "dot"), *written = line ? strstr(line, "din=") : NULL;
    CHECK(written && written < strchr(line, '\n'));
    free(text);
    graph_free(g);
    world_close(&k);
}

int main(void)
{
    RUN(an_early_loss_writes_the_gradients_of_its_other_inputs);
    RUN(what_an_early_loss_writes_is_seen);
    return test_result();
}
