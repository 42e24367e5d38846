/* Tests kernels/adamw.c. */
#include "kernels/ops.h"
#include "runtime/half.h"
#include "tests/check_op.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The arrays of one run of updates. */
typedef struct Run {
    float *w, *gradient, *m, *v;
    uint16_t *copy;
    float scalars[STEP_SCALARS], training[TRAINING_SCALARS];
    int32_t counters[TRAINING_INTEGERS];
    int64_t P;
    Dtype copy_dtype;
} Run;

static void run_open(Run *r, int64_t P)
{
    *r = (Run){.P = P, .copy_dtype = BF16};
    r->w = normal_values(P, 1);
    r->gradient = normal_values(P, 2);
    r->m = calloc((size_t)P + 1, sizeof(float));
    r->v = calloc((size_t)P + 1, sizeof(float));
    r->copy = calloc((size_t)P + 1, sizeof(float));
    r->scalars[STEP_LEARNING_RATE] = 0.01f;
    r->training[TRAINING_GRADIENT_FACTOR] = 1;
}

static void run_close(Run *r)
{
    free(r->w), free(r->gradient), free(r->m), free(r->v), free(r->copy);
}

static Tensor *give(Graph *g, const char *name, Dtype dtype, int64_t n, void *data)
{
    Tensor *x = graph_state(g, name, dtype, DIMS(n));

    if (x)
        x->data = data;
    return x;
}

static Status update(Run *r, AdamwArgs args, int threads, int times)
{
    Device *d;
    Arena arena = {0};
    Status s = device_open("cpu", threads, &d);

    if (s)
        return s;
    Graph *g = graph_new(d, (GraphOptions){0});
    op_adamw(g, give(g, "master", F32, r->P, r->w), give(g, "gradient", F32, r->P, r->gradient),
             give(g, "m", F32, r->P, r->m), give(g, "v", F32, r->P, r->v),
             r->copy ? give(g, "copy", r->copy_dtype, r->P, r->copy) : NULL,
             give(g, "scalars", F32, STEP_SCALARS, r->scalars),
             give(g, "training", F32, TRAINING_SCALARS, r->training),
             give(g, "counters", I32, TRAINING_INTEGERS, r->counters), args);
    s = arena_open(&arena, d, ARENA_ALIGNMENT);
    if (!s)
        s = graph_compile(g, &arena);
    for (int i = 0; i < times && !s; i++) {
        r->counters[TRAINING_APPLIED]++; // op_global_norm's part
        s = graph_run(g, NULL);
    }
    graph_free(g);
    arena_close(&arena);
    device_close(d);
    return s;
}

static void first_update_by_hand(void)
{
    const AdamwArgs args = {0.9f, 0.999f, 1e-8f, 0.1f, true, 1};
    Run r;

    run_open(&r, 2);
    r.w[0] = 1, r.w[1] = 2;
    r.gradient[0] = 0.5f, r.gradient[1] = -3;
    if (CHECK_OK(update(&r, args, 1, 1))) {
        // corrected, the first step is the gradient's sign; only the first element decays
        CHECK_NEAR(r.w[0], 1 - 0.01 * (1 + 0.1 * 1), 1e-6);
        CHECK_NEAR(r.w[1], 2 + 0.01, 1e-6);
        CHECK_NEAR(r.m[0], 0.05, 1e-6);
        CHECK_NEAR(r.v[1], 0.009, 1e-6);
        CHECK(r.copy[0] == bf16_from_float(r.w[0]) && r.copy[1] == bf16_from_float(r.w[1]));
    }
    run_close(&r);
}

/* The formula in double precision, for a range that ends in a rest of every kind. */
static void agrees_with_double_precision(bool correct)
{
    enum { P = 9001, STEPS = 5 };
    const AdamwArgs args = {0.9f, 0.98f, 1e-6f, 0.05f, correct, 4999};
    Run r, start;
    double worst = 0;

    run_open(&r, P);
    run_open(&start, P);
    r.training[TRAINING_GRADIENT_FACTOR] = 0.25f;
    if (CHECK_OK(update(&r, args, 2, STEPS)))
        for (int i = 0; i < P; i++) {
            double w = (double)start.w[i], m = 0, v = 0;
            const double g = 0.25 * (double)start.gradient[i];
            for (int t = 1; t <= STEPS; t++) {
                m = 0.9 * m + 0.1 * g;
                v = 0.98 * v + 0.02 * g * g;
                const double a = correct ? m / (1 - pow(0.9, t)) : m;
                const double b = correct ? v / (1 - pow(0.98, t)) : v;
                w -= 0.01 * (a / (sqrt(b) + 1e-6) + (i < 4999 ? 0.05 : 0) * w);
            }
            worst = fmax(worst, fabs((double)r.w[i] - w) / (1 + fabs(w)));
        }
    if (!CHECK(worst < 1e-6))
        printf("  error %.3g\n", worst);
    run_close(&r);
    run_close(&start);
}

static void with_bias_correction(void)
{
    agrees_with_double_precision(true);
}

static void without_bias_correction(void)
{
    agrees_with_double_precision(false);
}

static void a_skipped_update_changes_nothing(void)
{
    const AdamwArgs args = {0.9f, 0.999f, 1e-8f, 0.1f, true, 50};
    Run r, start;

    run_open(&r, 100);
    run_open(&start, 100);
    r.training[TRAINING_GRADIENT_FACTOR] = 0;
    r.gradient[3] = NAN;
    CHECK_OK(update(&r, args, 2, 1));
    CHECK(memcmp(r.w, start.w, 400) == 0 && memcmp(r.m, start.m, 400) == 0);
    CHECK(memcmp(r.v, start.v, 400) == 0 && memcmp(r.copy, start.copy, 200) == 0);
    run_close(&r);
    run_close(&start);
}

static void same_bits_with_one_thread_and_two(void)
{
    enum { P = 100003 };
    const AdamwArgs args = {0.9f, 0.999f, 1e-8f, 0.1f, true, 60001};
    Run one, two;

    run_open(&one, P);
    run_open(&two, P);
    one.copy_dtype = two.copy_dtype = F16;
    CHECK_OK(update(&one, args, 1, 3));
    CHECK_OK(update(&two, args, 2, 3));
    CHECK(memcmp(one.w, two.w, P * 4) == 0 && memcmp(one.v, two.v, P * 4) == 0);
    CHECK(memcmp(one.copy, two.copy, P * 2) == 0);
    for (int i = 0; i < P; i++)
        if (!CHECK(one.copy[i] == f16_from_float(one.w[i])))
            break;
    run_close(&one);
    run_close(&two);
}

static void refuses_lengths_that_differ(void)
{
    Device *d;

    if (!CHECK_OK(device_open("cpu", 1, &d)))
        return;
    Graph *g = graph_new(d, (GraphOptions){0});
    float x[16] = {0};
    op_adamw(g, give(g, "w", F32, 8, x), give(g, "g", F32, 9, x), give(g, "m", F32, 8, x),
             give(g, "v", F32, 8, x), NULL, give(g, "s", F32, STEP_SCALARS, x),
             give(g, "t", F32, TRAINING_SCALARS, x), NULL, (AdamwArgs){0});
    CHECK(graph_status(g) == E_SHAPE);
    CHECK_TEXT(status_text(), "adamw: gradient has 9 elements, master has 8");
    graph_free(g);
    device_close(d);
}

int main(void)
{
    RUN(first_update_by_hand);
    RUN(with_bias_correction);
    RUN(without_bias_correction);
    RUN(a_skipped_update_changes_nothing);
    RUN(same_bits_with_one_thread_and_two);
    RUN(refuses_lengths_that_differ);
    return test_result();
}
