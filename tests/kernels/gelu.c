/* Tests kernels/gelu.c and the formulas of kernels/gelu.h. */
#include "kernels/ops.h"
#include "tests/check_op.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

static Tensor *build(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    (void)dtype;
    return op_gelu(g, in[0], *(const Activation *)context);
}

static Tensor *build_view(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    (void)dtype;
    return op_gelu(g, graph_columns(g, in[0], 2, 5), *(const Activation *)context);
}

static double gelu(Activation form, double x)
{
    return form == ACTIVATION_GELU
               ? 0.5 * x * erfc(-x / sqrt(2))
               : 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979) * (x + 0.044715 * x * x * x)));
}

static double slope(Activation form, double x)
{
    if (form == ACTIVATION_GELU)
        return 0.5 * erfc(-x / sqrt(2)) + x * exp(-x * x / 2) / sqrt(2 * 3.14159265358979);
    const double k = sqrt(2 / 3.14159265358979), t = tanh(k * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * k * (1 + 3 * 0.044715 * x * x);
}

enum { POINTS = 4001 };

/* Against double precision from -10 to 10, the tails relative to their own size. */
static void agrees_with_double_precision(void)
{
    static float x[POINTS];

    for (int i = 0; i < POINTS; i++)
        x[i] = (float)(i - POINTS / 2) / 200;
    const OpInput in[] = {{2, {1, POINTS}, .values = x, .wants_gradient = true}};
    for (Activation form = ACTIVATION_GELU; form <= ACTIVATION_GELU_TANH; form++) {
        OpRun r;
        double worst = 0, worst_tail = 0, worst_slope = 0;
        if (!op_run(build, &form, in, 1, (OpSetting){0}, &r))
            return;
        for (int i = 0; i < POINTS; i++) {
            const double y = gelu(form, (double)x[i]), seed = (double)(i * 7919 % 23) / 11 - 1;
            worst = fmax(worst, fabs((double)r.y[i] - y) / (1 + fabs(y)));
            if (x[i] < -1 && x[i] > -9 && form == ACTIVATION_GELU)
                worst_tail = fmax(worst_tail, fabs((double)r.y[i] / y - 1));
            worst_slope =
                fmax(worst_slope, fabs((double)r.dx[0][i] - seed * slope(form, (double)x[i])));
        }
        if (!CHECK(worst < 2e-7) || !CHECK(worst_tail < 1e-5) || !CHECK(worst_slope < 4e-7))
            printf("  form %d: value %.3g, tail %.3g, slope %.3g\n", (int)form, worst, worst_tail,
                   worst_slope);
        op_run_free(&r);
    }
}

static void hand_values(void)
{
    const float x[] = {0, 1, -1, 30, -30};
    const OpInput in[] = {{2, {1, 5}, .values = x, .wants_gradient = true}};
    const Activation form = ACTIVATION_GELU;
    OpRun r;

    if (!op_run(build, &form, in, 1, (OpSetting){0}, &r))
        return;
    CHECK(r.y[0] == 0 && r.y[3] == 30 && fabsf(r.y[4]) < 1e-30f);
    CHECK_NEAR(r.y[1], 0.8413447460685429, 1e-7);
    CHECK_NEAR(r.y[2], -0.15865525393145707, 1e-7);
    op_run_free(&r);
}

static void gradients_are_right(void)
{
    static const int64_t shape[][2] = {{0, 4}, {1, 1}, {3, 7}, {13, 29}};

    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (Activation form = ACTIVATION_GELU; form <= ACTIVATION_GELU_TANH; form++) {
            float *x = normal_values(shape[i][0] * shape[i][1], i);
            const OpInput in[] = {
                {2, {shape[i][0], shape[i][1]}, .values = x, .wants_gradient = true}};
            check_op(build, &form, in, 1, (OpCheck){0});
            free(x);
        }
}

static void takes_a_view_of_columns(void)
{
    const Activation form = ACTIVATION_GELU;
    float *x = normal_values(7 * 9, 4);
    const OpInput in[] = {{2, {7, 9}, .values = x, .wants_gradient = true}};

    check_op(build_view, &form, in, 1, (OpCheck){0});
    free(x);
}

static void refuses_integers(void)
{
    const Activation form = ACTIVATION_GELU;
    const int32_t places[2] = {0};
    const OpInput in[] = {{1, {2}, .places = places}};

    check_refused(build, &form, in, 1, E_DTYPE, "gelu: x is i32");
}

int main(void)
{
    RUN(hand_values);
    RUN(agrees_with_double_precision);
    RUN(gradients_are_right);
    RUN(takes_a_view_of_columns);
    RUN(refuses_integers);
    return test_result();
}
