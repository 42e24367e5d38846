/* Tests kernels/cross_entropy.c. */
#include "kernels/ops.h"
#include "runtime/safetensors.h"
#include "tests/check_op.h"
#include "tests/early_loss.h"
#include "tests/on_device.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

/* in: logits, targets, offsets, step scalars. */
static Tensor *build(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const Rows rows = {.offsets = in[2]};

    (void)dtype;
    return op_cross_entropy(g, in[0], in[1], &rows, in[3], *(const CrossEntropyArgs *)context);
}

/* On columns of a wider tensor. */
static Tensor *build_view(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    Tensor *const view[] = {graph_columns(g, in[0], 1, tensor_columns(in[0]) - 1), in[1], in[2],
                            in[3]};
    return build(g, view, dtype, context);
}

static const float SCALARS[STEP_SCALARS] = {[STEP_TARGET_WEIGHT] = 0.25f};

static void inputs(OpInput in[4], int64_t N, int64_t V, const float *x, const int32_t *target,
                   const int32_t offsets[2])
{
    in[0] = (OpInput){2, {N, V}, .values = x, .wants_gradient = true};
    in[1] = (OpInput){1, {N}, .places = target};
    in[2] = (OpInput){1, {2}, .places = offsets};
    in[3] = (OpInput){1, {STEP_SCALARS}, .values = SCALARS, .keep_f32 = true};
}

static void hand_values(void)
{
    // p = 1/4, 3/4, then a row without a target, then one beyond the true count
    const float x[] = {0, 1.0986123f, 5, 5, 9, 1};
    const int32_t target[] = {1, -100, 0}, offsets[] = {0, 2};
    OpInput in[4];
    OpRun r;

    inputs(in, 3, 2, x, target, offsets);
    if (op_run(build, &(CrossEntropyArgs){0}, in, 4, (OpSetting){0}, &r)) {
        CHECK_NEAR(r.y[0], -0.25 * log(0.75), 1e-6);
        CHECK_NEAR(r.dx[0][0], -1 * 0.25 * 0.25, 1e-6); // the seed of the first element is -1
        CHECK_NEAR(r.dx[0][1], -1 * 0.25 * (0.75 - 1), 1e-6);
        for (int i = 2; i < 6; i++)
            CHECK(r.dx[0][i] == 0);
    }
    op_run_free(&r);
}

static void passes_what_every_operator_must(void)
{
    static const struct {
        int64_t N, V;
        CrossEntropyArgs args;
    } cases[] = {
        {1, 1, {0, 0}}, {5, 7, {0, 0}}, {7, 3, {0.1f, 0}}, {3, 9, {0.2f, 5}}, {2, 601, {0.1f, 599}},
    };

    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const int64_t N = cases[k].N, V = cases[k].V;
        const int32_t offsets[] = {0, N > 5 ? (int32_t)N - 2 : (int32_t)N};
        float *x = normal_values(N * (V + 1), k);
        int32_t target[8];
        OpInput in[4];

        for (int64_t n = 0; n < N; n++)
            target[n] = n == 3 ? -100 : n == 4 ? (int32_t)V : (int32_t)(n * 5 % V);
        inputs(in, N, V, x, target, offsets);
        check_op(build, &cases[k].args, in, 4, (OpCheck){.tolerance = 1e-3});
        in[0].dim[1] = V + 1;
        check_op(build_view, &cases[k].args, in, 4, (OpCheck){.tolerance = 1e-3});
        free(x);
    }
}

/* Widths on both sides of a device's teams, odd ones and a padded vocabulary, more rows than a block
 * has. */
static void agrees_where_paths_change(void)
{
    static const struct {
        int64_t V;
        CrossEntropyArgs args;
    } cases[] = {{1024, {0, 1021}}, {1025, {0.1f, 0}}, {8192, {0.1f, 8190}}, {8195, {0, 0}}};
    enum { N = 11 };

    if (test_on_cpu())
        return;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const int64_t V = cases[k].V;
        const int32_t offsets[] = {0, N - 1};
        float *x = normal_values(N * (V + 1), k);
        int32_t target[N];
        OpInput in[4];

        for (int64_t n = 0; n < N; n++)
            target[n] = n == 3 ? -100 : (int32_t)(n * 997 % (V - 4));
        inputs(in, N, V, x, target, offsets);
        check_op(build, &cases[k].args, in, 4, (OpCheck){0});
        in[0].dim[1] = V + 1;
        check_op(build_view, &cases[k].args, in, 4, (OpCheck){0});
        free(x);
    }
}

static void agrees_with_pytorch(void)
{
    static const float smoothing[] = {0, 0.1f};
    static const char *const names[][2] = {{"loss0.0", "dx0.0"}, {"loss0.1", "dx0.1"}};
    static const int32_t offsets[] = {0, 6};
    Safetensors *file;
    OpInput in[4];

    if (!CHECK_OK(
            safetensors_open(test_source("tests/golden/kernels/cross_entropy.safetensors"), &file)))
        return;
    inputs(in, 6, 11, safetensors_find(file, "x")->data, safetensors_find(file, "target")->data,
           offsets);
    for (int i = 0; i < 2; i++) {
        const CrossEntropyArgs args = {.label_smoothing = smoothing[i]};
        const float *dx = safetensors_find(file, names[i][1])->data;
        OpRun r;
        if (op_run(build, &args, in, 4, (OpSetting){0}, &r)) {
            CHECK_NEAR(r.y[0], *(const float *)safetensors_find(file, names[i][0])->data, 1e-6);
            for (int k = 0; k < 66; k++)
                CHECK_NEAR(r.dx[0][k], -dx[k], 1e-6);
        }
        op_run_free(&r);
    }
    safetensors_close(file);
}

/* Large logits do not overflow, and a vocabulary of a model's size sums as double precision does. */
static void long_rows(void)
{
    enum { N = 3, V = 50257 };
    float *x = normal_values(N * V, 3);
    const int32_t target[] = {7, V - 1, 100}, offsets[] = {0, N};
    double want = 0;
    OpInput in[4];
    OpRun r;

    for (int64_t i = 0; i < V; i++)
        x[V + i] += 3e4f;
    inputs(in, N, V, x, target, offsets);
    for (int n = 0; n < N; n++) {
        double sum = 0;
        for (int i = 0; i < V; i++)
            sum += exp((double)x[n * V + i] - (n == 1 ? 3e4 : 0));
        want += 0.25 * (log(sum) + (n == 1 ? 3e4 : 0) - (double)x[n * V + target[n]]);
    }
    if (op_run(build, &(CrossEntropyArgs){0}, in, 4, (OpSetting){0}, &r))
        CHECK_NEAR(r.y[0], want, 1e-4); // 3e4 itself is stored to 2e-3
    op_run_free(&r);
    free(x);
}

typedef struct Early {
    const int32_t *target, *offsets;
    int64_t N;
    CrossEntropyArgs args;
} Early;

static Tensor *build_early(Graph *g, Tensor *logits, const void *context, EarlyInputs *inputs)
{
    const Early *e = context;
    Tensor *target = graph_state(g, "target", I32, DIMS(e->N));
    Tensor *offsets = graph_state(g, "offsets", I32, DIMS(2));
    Tensor *scalars = graph_state(g, "scalars", F32, DIMS(STEP_SCALARS));

    early_input(inputs, target, e->target);
    early_input(inputs, offsets, e->offsets);
    early_input(inputs, scalars, SCALARS);
    return op_cross_entropy(g, logits, target, &(Rows){.offsets = offsets}, scalars, e->args);
}

static void gives_its_gradient_early(void)
{
    enum { N = 5, V = 37 };
    const int32_t target[] = {3, -1, 0, 36, 2}, offsets[] = {0, 4};
    const Early e = {target, offsets, N, {0.1f, 37}};
    float *x = normal_values(N * V, 4), dx[N * V], loss = 0;
    OpInput in[4];
    OpRun r;

    inputs(in, N, V, x, target, offsets);
    if (op_run(build, &e.args, in, 4, (OpSetting){0}, &r)) {
        early_loss(build_early, &e, x, F32, N, V, &(float){-1}, &loss, dx); // op_run()'s seed
        CHECK(loss == r.y[0]);
        for (int i = 0; i < N * V; i++)
            CHECK(dx[i] == r.dx[0][i]);
        early_loss(build_early, &e, x, F32, N, V, &(float){-1024}, &loss, dx);
        CHECK(loss == r.y[0]); // the scale is the gradient's alone
        for (int i = 0; i < N * V; i++)
            CHECK(dx[i] == 1024 * r.dx[0][i]);
    }
    op_run_free(&r);
    free(x);
}

static void refuses_what_does_not_fit(void)
{
    const float x[6] = {0};
    const int32_t target[3] = {0}, offsets[] = {0, 3};
    OpInput in[4];

    inputs(in, 3, 2, x, target, offsets);
    in[1].dim[0] = 2;
    check_refused(build, &(CrossEntropyArgs){0}, in, 4, E_SHAPE, "targets has 2 elements");
    in[1].dim[0] = 3;
    check_refused(build, &(CrossEntropyArgs){.classes = 4}, in, 4, E_SHAPE, "4 classes in rows");
    check_refused(build, &(CrossEntropyArgs){.label_smoothing = 2}, in, 4, E_SHAPE,
                  "label smoothing is 2");
}

int main(void)
{
    RUN(hand_values);
    RUN(passes_what_every_operator_must);
    RUN(agrees_where_paths_change);
    RUN(agrees_with_pytorch);
    RUN(long_rows);
    RUN(gives_its_gradient_early);
    RUN(refuses_what_does_not_fit);
    return test_result();
}
