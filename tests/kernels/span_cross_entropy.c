/* Tests kernels/span_cross_entropy.c. */
#include "kernels/ops.h"
#include "runtime/safetensors.h"
#include "tests/check_op.h"
#include "tests/early_loss.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* in: logits [N, K], targets [B, K], offsets, step scalars. */
static Tensor *build(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const Rows rows = {.offsets = in[2]};

    (void)dtype, (void)context;
    return op_span_cross_entropy(g, in[0], in[1], &rows, in[3]);
}

static Tensor *build_view(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    Tensor *const view[] = {graph_columns(g, in[0], 1, tensor_columns(in[0]) - 1), in[1], in[2],
                            in[3]};
    return build(g, view, dtype, context);
}

static void inputs(OpInput in[4], int64_t N, int64_t K, int64_t B, const float *x,
                   const int32_t *target, const int32_t *offsets, const float *scalars)
{
    in[0] = (OpInput){2, {N, K}, .values = x, .wants_gradient = true};
    in[1] = (OpInput){2, {B, K}, .places = target};
    in[2] = (OpInput){1, {B + 1}, .places = offsets};
    in[3] = (OpInput){1, {STEP_SCALARS}, .values = scalars, .keep_f32 = true};
}

static const float HALF[STEP_SCALARS] = {[STEP_TARGET_WEIGHT] = 0.5f};

static void hand_values(void)
{
    // start: p = 1/4, 3/4; end ignored; then a sequence of one row, certain; then a row of none
    const float x[] = {0, 7, 1.0986123f, 8, 3, 4, 1, 2};
    const int32_t target[] = {1, 2, 0, 0}, offsets[] = {0, 2, 3};
    OpInput in[4];
    OpRun r;

    inputs(in, 4, 2, 2, x, target, offsets, HALF);
    if (op_run(build, NULL, in, 4, (OpSetting){0}, &r)) {
        CHECK_NEAR(r.y[0], -0.5 / 2 * log(0.75), 1e-6);
        CHECK_NEAR(r.dx[0][0], -0.25 * 0.25, 1e-6); // the seed of the loss is -1
        CHECK_NEAR(r.dx[0][2], 0.25 * 0.25, 1e-6);
        for (int i = 1; i < 8; i += i == 1 ? 2 : 1)
            CHECK_NEAR(r.dx[0][i], 0, 1e-7);
        CHECK(r.dx[0][6] == 0 && r.dx[0][7] == 0);
    }
    op_run_free(&r);
}

static void passes_what_every_operator_must(void)
{
    static const struct {
        int64_t N, K, B;
        int32_t target[9], offsets[4];
    } cases[] = {
        {1, 1, 1, {0}, {0, 1}},
        {12, 2, 3, {1, 4, 0, 0, 2, -1}, {0, 5, 5, 11}}, // an empty sequence, a tail row
        {17, 3, 2, {12, 0, 13, 3, 2, 99}, {0, 13, 17}},
    };

    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const int64_t N = cases[k].N, K = cases[k].K;
        float *x = normal_values(N * (K + 1), k);
        OpInput in[4];

        inputs(in, N, K, cases[k].B, x, cases[k].target, cases[k].offsets, HALF);
        check_op(build, NULL, in, 4, (OpCheck){.tolerance = 1e-3});
        in[0].dim[1] = K + 1;
        check_op(build_view, NULL, in, 4, (OpCheck){.tolerance = 1e-3});
        free(x);
    }
}

static void agrees_with_pytorch(void)
{
    static const float third[STEP_SCALARS] = {[STEP_TARGET_WEIGHT] = 1 / 3.0f};
    static const int32_t offsets[] = {0, 5, 6, 15};
    Safetensors *file;
    OpInput in[4];
    OpRun r;

    if (!CHECK_OK(safetensors_open(
            test_source("tests/golden/kernels/span_cross_entropy.safetensors"), &file)))
        return;
    inputs(in, 15, 2, 3, safetensors_find(file, "x")->data, safetensors_find(file, "target")->data,
           offsets, third);
    if (op_run(build, NULL, in, 4, (OpSetting){0}, &r)) {
        const float *dx = safetensors_find(file, "dx")->data;
        CHECK_NEAR(r.y[0], *(const float *)safetensors_find(file, "loss")->data, 1e-6);
        for (int k = 0; k < 30; k++)
            CHECK_NEAR(r.dx[0][k], -dx[k], 1e-6);
    }
    op_run_free(&r);
    safetensors_close(file);
}

typedef struct Early {
    const int32_t *target, *offsets;
} Early;

enum { EARLY_N = 700, EARLY_B = 3 };

static Tensor *build_early(Graph *g, Tensor *logits, const void *context, EarlyInputs *inputs)
{
    const Early *e = context;
    Tensor *target = graph_state(g, "target", I32, DIMS(EARLY_B, 2));
    Tensor *offsets = graph_state(g, "offsets", I32, DIMS(EARLY_B + 1));
    Tensor *scalars = graph_state(g, "scalars", F32, DIMS(STEP_SCALARS));

    early_input(inputs, target, e->target);
    early_input(inputs, offsets, e->offsets);
    early_input(inputs, scalars, HALF);
    return op_span_cross_entropy(g, logits, target, &(Rows){.offsets = offsets}, scalars);
}

/* And garbage in rows that belong to no sequence changes nothing. */
static void gives_its_gradient_early(void)
{
    const int32_t target[] = {600, 30, 1, 1, 5, 0}, offsets[] = {0, 610, 611, 690};
    const Early e = {target, offsets};
    float *x = normal_values(EARLY_N * 2, 4), dx[EARLY_N * 2], loss = 0;
    OpInput in[4];
    OpRun r;

    inputs(in, EARLY_N, 2, EARLY_B, x, target, offsets, HALF);
    if (op_run(build, NULL, in, 4, (OpSetting){0}, &r)) {
        for (int64_t i = 2 * 690; i < 2 * EARLY_N; i++)
            x[i] = 3e38f;
        early_loss(build_early, &e, x, F32, EARLY_N, 2, &(float){-8}, &loss, dx);
        CHECK(loss == r.y[0]);
        for (int i = 0; i < EARLY_N * 2; i++)
            CHECK(dx[i] == 8 * r.dx[0][i]);
    }
    op_run_free(&r);
    free(x);
}

static void refuses_what_does_not_fit(void)
{
    const float x[6] = {0};
    const int32_t target[6] = {0}, offsets[] = {0, 3};
    OpInput in[4];

    inputs(in, 3, 2, 1, x, target, offsets, HALF);
    in[1].dim[0] = 2;
    check_refused(build, NULL, in, 4, E_SHAPE, "1 sequences and 2 columns");
    in[3].dim[0] = 1;
    check_refused(build, NULL, in, 4, E_SHAPE, "step scalars has 1 elements");
}

int main(void)
{
    RUN(hand_values);
    RUN(passes_what_every_operator_must);
    RUN(agrees_with_pytorch);
    RUN(gives_its_gradient_early);
    RUN(refuses_what_does_not_fit);
    return test_result();
}
