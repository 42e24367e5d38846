/* Tests train/optimizer.c: whole updates as the loop runs them, against the formulas in double
 * precision. */
#include "train/optimizer.h"

#include "runtime/half.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

enum { ROWS = 7, COLUMNS = 5, MATRIX = ROWS * COLUMNS, VECTOR = 6, UPDATES = 4 };

typedef struct Bench {
    Device *device;
    Params *params;
    Optimizer *optimizer;
    Graph *graph;
    Arena arena;
    float scalars[STEP_SCALARS];
} Bench;

/* A matrix that decays, a vector that does not, a matrix that is frozen. */
static bool bench_open(Bench *b, Dtype dtype, OptimizerOptions o)
{
    *b = (Bench){0};
    if (!CHECK_OK(device_open("cpu", 1, &b->device)))
        return false;
    b->params = params_new(b->device, dtype);
    params_add(b->params, NORMAL(1), DIMS(ROWS, COLUMNS), "matrix");
    params_add(b->params, NORMAL(1), DIMS(VECTOR), "vector");
    params_add(b->params, NORMAL(1), DIMS(3, 3), "frozen");
    params_set_decay(b->params, 1, false);
    params_freeze(b->params, 2);
    if (!CHECK_OK(params_layout(b->params, NULL, false)) ||
        !CHECK_OK(params_initialise(b->params, 5)) ||
        !CHECK_OK(optimizer_new(b->device, b->params, o, &b->optimizer)))
        return false;
    b->graph = graph_new(b->device, (GraphOptions){0});
    Tensor *scalars = graph_state(b->graph, "scalars", F32, DIMS(STEP_SCALARS));
    scalars->data = b->scalars;
    optimizer_record(b->optimizer, b->graph, scalars);
    return CHECK_OK(graph_plan(b->graph)) &&
           CHECK_OK(arena_open(&b->arena, b->device, graph_bytes(b->graph) + ARENA_ALIGNMENT)) &&
           CHECK_OK(graph_compile(b->graph, &b->arena));
}

static void bench_close(Bench *b)
{
    graph_free(b->graph);
    arena_close(&b->arena);
    optimizer_free(b->optimizer);
    params_free(b->params);
    device_close(b->device);
}

static float *gradient_of(const Bench *b, int param)
{
    return params_range(b->params).gradient + params_offset(b->params, param);
}

static float gradient_at(int param, int i, int update)
{
    return sinf((float)(1 + i + 50 * param + 7 * update)) * 2;
}

static double give_gradients(Bench *b, int update)
{
    double square = 0;

    for (int param = 0; param < 2; param++)
        for (int i = 0; i < (param ? VECTOR : MATRIX); i++) {
            const float g = gradient_at(param, i, update);
            gradient_of(b, param)[i] = g;
            square += (double)g * (double)g;
        }
    return sqrt(square);
}

static void check_parameter(const Bench *b, OptimizerOptions o, int param, const float *start,
                            const double *factor)
{
    const int n = param ? VECTOR : MATRIX;
    const double beta1 = (double)o.beta1, beta2 = (double)o.beta2;
    float got[MATRIX];

    if (!CHECK_OK(params_read(b->params, param, got)))
        return;
    for (int i = 0; i < n; i++) {
        double w = (double)start[i], m = 0, v = 0;
        for (int t = 1; t <= UPDATES; t++) {
            const double g = factor[t - 1] * (double)gradient_at(param, i, t);
            m = beta1 * m + (1 - beta1) * g;
            v = beta2 * v + (1 - beta2) * g * g;
            const double a = o.bias_correction ? m / (1 - pow(beta1, t)) : m;
            const double c = o.bias_correction ? v / (1 - pow(beta2, t)) : v;
            const double decay = param ? 0 : (double)o.weight_decay;
            w -= 0.01 * t * (a / (sqrt(c) + (double)o.epsilon) + decay * w);
        }
        CHECK_NEAR((double)got[i], w, 2e-6);
    }
}

static void updates_follow_the_formula(OptimizerOptions o)
{
    Bench b;
    float start[2][MATRIX], frozen[9], after[9];
    double factor[UPDATES];

    if (!bench_open(&b, F32, o))
        return;
    CHECK_OK(params_read(b.params, 0, start[0]));
    CHECK_OK(params_read(b.params, 1, start[1]));
    CHECK_OK(params_read(b.params, 2, frozen));
    for (int t = 1; t <= UPDATES; t++) {
        const double norm = give_gradients(&b, t), most = (double)o.max_grad_norm;
        factor[t - 1] = most > 0 && norm > most ? most / (norm + 1e-6) : 1;
        b.scalars[STEP_LEARNING_RATE] = 0.01f * (float)t;
        CHECK_OK(graph_run(b.graph, NULL));
        CHECK_NEAR(optimizer_state(b.optimizer).scalars[TRAINING_GRADIENT_NORM], norm, 1e-6);
    }
    check_parameter(&b, o, 0, start[0], factor);
    check_parameter(&b, o, 1, start[1], factor);
    CHECK_OK(params_read(b.params, 2, after));
    CHECK(!memcmp(frozen, after, sizeof after));
    CHECK(optimizer_state(b.optimizer).counters[TRAINING_APPLIED] == UPDATES);
    bench_close(&b);
}

static const OptimizerOptions ADAMW = {
    .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .bias_correction = true};

static void adamw(void)
{
    updates_follow_the_formula(ADAMW);
}

static void adamw_with_decay_and_clipping(void)
{
    OptimizerOptions o = ADAMW;

    o.weight_decay = 0.1f;
    o.max_grad_norm = 1;
    updates_follow_the_formula(o);
    o.max_grad_norm = 1e6f; // far above: no clipping
    updates_follow_the_formula(o);
}

static void bert_adam(void)
{
    updates_follow_the_formula((OptimizerOptions){.beta1 = 0.9f,
                                                  .beta2 = 0.999f,
                                                  .epsilon = 1e-6f,
                                                  .weight_decay = 0.01f,
                                                  .max_grad_norm = 1});
}

/* An update whose gradient is not finite changes nothing, and bias correction does not count it. */
static void a_gradient_that_is_not_finite_is_skipped(void)
{
    Bench b, clean;

    if (!bench_open(&b, F32, ADAMW) || !bench_open(&clean, F32, ADAMW))
        return;
    b.scalars[STEP_LEARNING_RATE] = clean.scalars[STEP_LEARNING_RATE] = 0.1f;
    give_gradients(&b, 1);
    give_gradients(&clean, 1);
    CHECK_OK(graph_run(b.graph, NULL));
    CHECK_OK(graph_run(clean.graph, NULL));
    give_gradients(&b, 2);
    gradient_of(&b, 1)[2] = NAN;
    CHECK_OK(graph_run(b.graph, NULL));
    give_gradients(&b, 3);
    gradient_of(&b, 0)[4] = -INFINITY;
    CHECK_OK(graph_run(b.graph, NULL));
    const OptimizerState o = optimizer_state(b.optimizer);
    const ParamsRange got = params_range(b.params), want = params_range(clean.params);
    CHECK(!isfinite(o.scalars[TRAINING_GRADIENT_NORM]));
    CHECK(o.counters[TRAINING_APPLIED] == 1 && o.counters[TRAINING_SKIPPED] == 2);
    CHECK(!memcmp(got.master, want.master, (size_t)got.total * sizeof(float)));
    give_gradients(&b, 2);
    give_gradients(&clean, 2);
    CHECK_OK(graph_run(b.graph, NULL));
    CHECK_OK(graph_run(clean.graph, NULL));
    CHECK(!memcmp(got.master, want.master, (size_t)got.total * sizeof(float)));
    CHECK(!memcmp(o.m, optimizer_state(clean.optimizer).m, (size_t)o.count * sizeof(float)));
    bench_close(&b);
    bench_close(&clean);
}

static void copies_are_renewed(void)
{
    Bench b;

    if (!bench_open(&b, BF16, ADAMW))
        return;
    b.scalars[STEP_LEARNING_RATE] = 0.1f;
    give_gradients(&b, 1);
    CHECK_OK(graph_run(b.graph, NULL));
    const float *master = params_master(b.params, 0)->data;
    const uint16_t *copy = params_value(b.params, 0)->data;
    CHECK(params_value(b.params, 0)->dtype == BF16 && params_value(b.params, 1)->dtype == F32);
    for (int i = 0; i < MATRIX; i++)
        CHECK(copy[i] == bf16_from_float(master[i]));
    bench_close(&b);
}

/* F16: the seed of backward is the loss scale, and a gradient that overflows halves it. */
static void loss_scale_falls_on_overflow(void)
{
    OptimizerOptions o = ADAMW;
    Bench b;

    o.loss_scaling = true;
    if (!bench_open(&b, F16, o))
        return;
    float *scale = optimizer_loss_scale(b.optimizer, b.graph)->data;
    CHECK(*scale == 65536);
    give_gradients(&b, 1);
    gradient_of(&b, 0)[0] = INFINITY;
    CHECK_OK(graph_run(b.graph, NULL));
    CHECK(*scale == 32768);
    const double norm = give_gradients(&b, 1);
    CHECK_OK(graph_run(b.graph, NULL));
    CHECK(*scale == 32768);
    CHECK_NEAR(optimizer_state(b.optimizer).scalars[TRAINING_GRADIENT_NORM], norm / 32768, 1e-6);
    bench_close(&b);
}

int main(void)
{
    RUN(adamw);
    RUN(adamw_with_decay_and_clipping);
    RUN(bert_adam);
    RUN(a_gradient_that_is_not_finite_is_skipped);
    RUN(copies_are_renewed);
    RUN(loss_scale_falls_on_overflow);
    return test_result();
}
