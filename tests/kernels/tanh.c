/* Tests kernels/tanh.c and vector_tanh(). */
#include "kernels/ops.h"
#include "tests/check_op.h"
#include "tests/on_device.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

static Tensor *build(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    (void)dtype, (void)context;
    return op_tanh(g, in[0]);
}

static Tensor *build_view(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    (void)dtype, (void)context;
    return op_tanh(g, graph_columns(g, in[0], 1, 4));
}

static void agrees_with_double_precision(void)
{
    static float x[4003];
    const OpInput in[] = {{2, {1, 4003}, .values = x}};
    OpRun r;
    double worst = 0;

    for (int i = 0; i < 4000; i++)
        x[i] = (float)(i - 2000) / 180;
    x[4000] = 1e30f, x[4001] = -1e30f, x[4002] = 1e-20f;
    if (!op_run(build, NULL, in, 1, (OpSetting){.inference = true}, &r))
        return;
    for (int i = 0; i < 4003; i++)
        if (i != 2000)
            worst = fmax(worst, fabs((double)r.y[i] / tanh((double)x[i]) - 1));
    CHECK(r.y[2000] == 0 && r.y[4000] == 1 && r.y[4001] == -1 && r.y[4002] == 1e-20f);
    // a card may be 2 ulps from the number nearest to it (CUDA programming guide), which is half of one off
    if (!CHECK(worst < (test_on_cpu() ? 2e-7 : 3.6e-7)))
        printf("  relative error %.3g\n", worst);
    op_run_free(&r);
}

static void gradients_are_right(void)
{
    static const int64_t shape[][2] = {{0, 4}, {1, 1}, {3, 7}, {13, 29}};

    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        float *x = normal_values(shape[i][0] * shape[i][1], i);
        const OpInput in[] = {{2, {shape[i][0], shape[i][1]}, .values = x, .wants_gradient = true}};
        check_op(build, NULL, in, 1, (OpCheck){0});
        free(x);
    }
    float *x = normal_values(5 * 6, 9);
    const OpInput in[] = {{2, {5, 6}, .values = x, .wants_gradient = true}};
    check_op(build_view, NULL, in, 1, (OpCheck){0});
    free(x);
}

static void refuses_integers(void)
{
    const int32_t places[2] = {0};
    const OpInput in[] = {{1, {2}, .places = places}};

    check_refused(build, NULL, in, 1, E_DTYPE, "tanh: x is i32");
}

int main(void)
{
    RUN(agrees_with_double_precision);
    RUN(gradients_are_right);
    RUN(refuses_integers);
    return test_result();
}
