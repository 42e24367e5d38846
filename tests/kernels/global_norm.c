/* Tests kernels/global_norm.c. */
#include "kernels/ops.h"
#include "tests/check_op.h"
#include "tests/on_device.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct State {
    float training[TRAINING_SCALARS];
    int32_t counters[TRAINING_INTEGERS];
} State;

/* On the device under test, the gradient `shift` elements behind the start of its memory. */
static Status norm_at(int shift, float *gradient, int64_t P, State *s, GlobalNormArgs args,
                      int threads)
{
    Device *d;
    Arena arena = {0};
    Status status = test_device_open(test_device(), threads, &d);

    if (status)
        return status;
    const size_t bytes = (size_t)(P + shift) * sizeof *gradient;
    float *memory = on_device(d, NULL, bytes);
    State *state = on_device(d, s, sizeof *s);
    to_device(d, memory + shift, gradient, (size_t)P * sizeof *gradient);
    Graph *g = graph_new(d, (GraphOptions){0});
    Tensor *x = graph_state(g, "gradient", F32, DIMS(P));
    Tensor *training = graph_state(g, "training", F32, DIMS(TRAINING_SCALARS));
    Tensor *counters = graph_state(g, "counters", I32, DIMS(TRAINING_INTEGERS));
    x->data = memory + shift;
    training->data = state->training;
    counters->data = state->counters;
    op_global_norm(g, x, training, counters, args);
    status = graph_plan(g);
    if (!status)
        status = arena_open(&arena, d, graph_bytes(g) + ARENA_ALIGNMENT);
    if (!status)
        status = graph_compile(g, &arena);
    if (!status)
        status = graph_run(g, NULL);
    if (!status)
        status = d->table->synchronise(d, NULL);
    graph_free(g);
    from_device(d, s, state, sizeof *s);
    on_device_free(d, memory, bytes);
    on_device_free(d, state, sizeof *s);
    arena_close(&arena);
    device_close(d);
    return status;
}

static Status norm(float *gradient, int64_t P, State *s, GlobalNormArgs args, int threads)
{
    return norm_at(0, gradient, P, s, args, threads);
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
    enum { P = 4300003 }; // more slices than a block of the second kernel has threads
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

/* Lengths about a slice of either device and a block's stride, aligned and not; every element
 * counts once, the last one too. */
static void every_length_and_place_is_right(void)
{
    static const int64_t length[] = {1,     3,     4,     5,     1023,  1024,  1025,
                                     16383, 16384, 16385, 32771, 65535, 65536, 65537};

    for (size_t i = 0; i < sizeof length / sizeof *length; i++)
        for (int shift = 0; shift < 4; shift++) {
            float *gradient = normal_values(length[i], i);
            State s = {.training = {1}};
            double sum = 0;
            gradient[length[i] - 1] = 1000;
            for (int64_t k = 0; k < length[i]; k++)
                sum += (double)gradient[k] * (double)gradient[k];
            CHECK_OK(norm_at(shift, gradient, length[i], &s, (GlobalNormArgs){0}, 2));
            if (!CHECK(fabs((double)s.training[TRAINING_GRADIENT_NORM] / sqrt(sum) - 1) < 1e-7))
                printf("  length %d, shift %d: %.9g, expected %.9g\n", (int)length[i], shift,
                       (double)s.training[TRAINING_GRADIENT_NORM], sqrt(sum));
            free(gradient);
        }
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
    RUN(every_length_and_place_is_right);
    RUN(no_gradient_has_norm_zero);
    RUN(refuses_a_negative_norm);
    return test_result();
}
