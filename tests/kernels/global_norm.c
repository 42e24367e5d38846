/* Tests kernels/global_norm.c. */
#include "kernels/ops.h"
#include "tests/check_op.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct State {
    float training[TRAINING_SCALARS];
    int32_t counters[TRAINING_INTEGERS];
} State;

static Status norm(float *gradient, int64_t P, State *s, GlobalNormArgs args, int threads)
{
    Device *d;
    Arena arena = {0};
    Status status = device_open("cpu", threads, &d);

    if (status)
        return status;
    Graph *g = graph_new(d, (GraphOptions){0});
    Tensor *x = graph_state(g, "gradient", F32, DIMS(P));
    Tensor *training = graph_state(g, "training", F32, DIMS(TRAINING_SCALARS));
    Tensor *counters = graph_state(g, "counters", I32, DIMS(TRAINING_INTEGERS));
    x->data = gradient;
    training->data = s->training;
    counters->data = s->counters;
    op_global_norm(g, x, training, counters, args);
    status = graph_plan(g);
    if (!status)
        status = arena_open(&arena, d, graph_bytes(g) + ARENA_ALIGNMENT);
    if (!status)
        status = graph_compile(g, &arena);
    if (!status)
        status = graph_run(g, NULL);
    graph_free(g);
    arena_close(&arena);
    device_close(d);
    return status;
}

static void clips_to_the_norm(void)
{
    float gradient[] = {3, 4};
    State s = {.training = {1}};

    CHECK_OK(norm(gradient, 2, &s, (GlobalNormArgs){.max_norm = 1}, 1));
    CHECK(s.training[TRAINING_GRADIENT_NORM] == 5);
    CHECK_NEAR(s.training[TRAINING_GRADIENT_FACTOR], 1 / (5 + 1e-6), 1e-7);
    CHECK_OK(norm(gradient, 2, &s, (GlobalNormArgs){.max_norm = 6}, 1));
    CHECK(s.training[TRAINING_GRADIENT_FACTOR] == 1); // below it nothing is clipped
    CHECK_OK(norm(gradient, 2, &s, (GlobalNormArgs){0}, 1));
    CHECK(s.training[TRAINING_GRADIENT_FACTOR] == 1);
    CHECK(s.counters[TRAINING_APPLIED] == 3 && s.counters[TRAINING_SKIPPED] == 0);
}

static void a_gradient_that_is_not_finite_is_skipped(void)
{
    float gradient[] = {3, INFINITY, 1}, rubbish[] = {NAN};
    State s = {.training = {1}};

    CHECK_OK(norm(gradient, 3, &s, (GlobalNormArgs){.max_norm = 1}, 1));
    CHECK(s.training[TRAINING_GRADIENT_FACTOR] == 0 && s.counters[TRAINING_SKIPPED] == 1);
    CHECK_OK(norm(rubbish, 1, &s, (GlobalNormArgs){0}, 1));
    CHECK(s.training[TRAINING_GRADIENT_FACTOR] == 0 && s.counters[TRAINING_SKIPPED] == 2);
    CHECK(s.counters[TRAINING_APPLIED] == 0 && s.training[TRAINING_LOSS_SCALE] == 1);
}

static void the_loss_scale_adapts(void)
{
    float gradient[] = {3 * 1024, 4 * 1024}, bad[] = {INFINITY};
    State s = {.training = {1024}};
    const GlobalNormArgs args = {.max_norm = 1, .growth_interval = 2};

    CHECK_OK(norm(gradient, 2, &s, args, 1));
    CHECK(s.training[TRAINING_GRADIENT_NORM] == 5); // of the unscaled gradient
    CHECK_NEAR(s.training[TRAINING_GRADIENT_FACTOR] * 1024, 1 / (5 + 1e-6), 1e-6);
    CHECK(s.training[TRAINING_LOSS_SCALE] == 1024 && s.counters[TRAINING_GROWTH] == 1);
    CHECK_OK(norm(gradient, 2, &s, args, 1));
    CHECK(s.training[TRAINING_LOSS_SCALE] == 2048 && s.counters[TRAINING_GROWTH] == 0);
    CHECK_OK(norm(gradient, 2, &s, args, 1));
    CHECK_OK(norm(bad, 1, &s, args, 1));
    CHECK(s.training[TRAINING_LOSS_SCALE] == 1024 && s.counters[TRAINING_GROWTH] == 0);
}

static void same_bits_with_one_thread_and_two(void)
{
    enum { P = 500003 };
    float *gradient = normal_values(P, 1);
    State one = {.training = {1}}, two = {.training = {1}};
    double sum = 0;

    for (int i = 0; i < P; i++)
        sum += (double)gradient[i] * (double)gradient[i];
    CHECK_OK(norm(gradient, P, &one, (GlobalNormArgs){.max_norm = 1}, 1));
    CHECK_OK(norm(gradient, P, &two, (GlobalNormArgs){.max_norm = 1}, 2));
    CHECK(memcmp(&one, &two, sizeof one) == 0);
    CHECK_NEAR(one.training[TRAINING_GRADIENT_NORM], sqrt(sum), 1e-7);
    free(gradient);
}

static void no_gradient_has_norm_zero(void)
{
    float gradient[1];
    State s = {.training = {0}}; // a fresh arena: its scale becomes 1

    CHECK_OK(norm(gradient, 0, &s, (GlobalNormArgs){.max_norm = 1}, 2));
    CHECK(s.training[TRAINING_GRADIENT_NORM] == 0 && s.training[TRAINING_GRADIENT_FACTOR] == 1);
    CHECK(s.training[TRAINING_LOSS_SCALE] == 1);
}

static void refuses_a_negative_norm(void)
{
    float gradient[1] = {0};
    State s = {0};

    CHECK(norm(gradient, 1, &s, (GlobalNormArgs){.max_norm = -1}, 1) == E_CONFIG);
    CHECK_TEXT(status_text(), "global_norm: max_norm is -1, expected 0 (no clipping) or more");
}

int main(void)
{
    RUN(clips_to_the_norm);
    RUN(a_gradient_that_is_not_finite_is_skipped);
    RUN(the_loss_scale_adapts);
    RUN(same_bits_with_one_thread_and_two);
    RUN(no_gradient_has_norm_zero);
    RUN(refuses_a_negative_norm);
    return test_result();
}
