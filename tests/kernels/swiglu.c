/* Tests kernels/swiglu.c. */
#include "kernels/ops.h"
#include "runtime/safetensors.h"
#include "tests/check_op.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

/* What is recorded: gate and up apart, packed, and views that lie the other way round. */
typedef enum { APART, PACKED, UP_FIRST } Form;

static Tensor *build(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const Form form = *(const Form *)context;
    const int64_t F = in[0] ? tensor_columns(in[0]) / 2 : 0;

    (void)dtype;
    if (form == UP_FIRST)
        return op_swiglu(g, graph_columns(g, in[0], F, F), graph_columns(g, in[0], 0, F));
    return op_swiglu(g, in[0], form == APART ? in[1] : NULL);
}

static void hand_values(void)
{
    const float packed[] = {0, 1.0986123f, -1000, 1000, 5, 4, 3, 2};
    const OpInput in = {2, {1, 8}, .values = packed, .wants_gradient = true};
    OpRun r;

    if (op_run(build, &(Form){PACKED}, &in, 1, (OpSetting){0}, &r)) {
        CHECK(r.y[0] == 0);
        CHECK_NEAR(r.y[1], 4 * 1.0986123 * 0.75, 1e-6); // log 3: s is 3/4
        CHECK(r.y[2] == 0);
        CHECK(r.y[3] == 2000);
        CHECK_NEAR(r.dx[0][0], -1 * 5 * 0.5, 1e-6); // the seed of the first element is -1
        CHECK(r.dx[0][4] == 0);
        CHECK(r.dx[0][2] == 0 && r.dx[0][6] == 0); // not NaN far out
    }
    op_run_free(&r);
}

static void passes_what_every_operator_must(void)
{
    static const int64_t shape[][2] = {{1, 1}, {3, 5}, {2, 513}, {67, 3}, {5, 64}, {0, 4}};

    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (Form form = APART; form <= UP_FIRST; form++) {
            const int64_t N = shape[i][0], F = shape[i][1], W = form == APART ? F : 2 * F;
            float *a = normal_values(N * W, i), *b = normal_values(N * W, i + 9);
            const OpInput in[] = {{2, {N, W}, .values = a, .wants_gradient = true},
                                  {2, {N, W}, .values = b, .wants_gradient = true}};

            check_op(build, &form, in, form == APART ? 2 : 1, (OpCheck){0});
            free(a);
            free(b);
        }
}

static void agrees_with_pytorch(void)
{
    Safetensors *file;
    OpRun r;

    if (!CHECK_OK(safetensors_open(test_source("tests/golden/kernels/swiglu.safetensors"), &file)))
        return;
    const float *y = safetensors_find(file, "y")->data;
    const float *d[] = {safetensors_find(file, "dgate")->data, safetensors_find(file, "dup")->data};
    const OpInput in[] = {
        {2, {7, 19}, .values = safetensors_find(file, "gate")->data, .wants_gradient = true},
        {2, {7, 19}, .values = safetensors_find(file, "up")->data, .wants_gradient = true}};
    if (op_run(build, &(Form){APART}, in, 2, (OpSetting){0}, &r))
        for (int k = 0; k < 7 * 19; k++) {
            CHECK_NEAR(r.y[k], y[k], 1e-6);
            CHECK_NEAR(r.dx[0][k], d[0][k], 1e-6);
            CHECK_NEAR(r.dx[1][k], d[1][k], 1e-6);
        }
    op_run_free(&r);
    safetensors_close(file);
}

static void refuses_what_does_not_fit(void)
{
    const float x[16] = {0};
    OpInput in[] = {{2, {2, 7}, .values = x}, {2, {2, 6}, .values = x}};

    check_refused(build, &(Form){APART}, in, 2, E_SHAPE, "[2, 7] and [2, 6]");
    check_refused(build, &(Form){PACKED}, in, 1, E_SHAPE, "swiglu: rows of 7 do not halve");
}

int main(void)
{
    RUN(hand_values);
    RUN(passes_what_every_operator_must);
    RUN(agrees_with_pytorch);
    RUN(refuses_what_does_not_fit);
    return test_result();
}
