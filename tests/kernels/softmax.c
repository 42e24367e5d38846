/* Tests kernels/softmax.c. */
#include "kernels/ops.h"
#include "tests/check_op.h"
#include "tests/on_device.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

static Tensor *build(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    (void)dtype, (void)context;
    return op_softmax(g, in[0]);
}

static Tensor *build_view(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    (void)dtype, (void)context;
    return op_softmax(g, graph_columns(g, in[0], 1, 4));
}

static void hand_values(void)
{
    const float x[] = {0, 0, 0, 0.69314718f, 1000, -INFINITY, -1000, -1000};
    const OpInput in[] = {{2, {4, 2}, .values = x}};
    OpRun r;

    if (!op_run(build, NULL, in, 1, (OpSetting){.inference = true}, &r))
        return;
    CHECK(r.y[0] == 0.5f && r.y[1] == 0.5f);
    CHECK_NEAR(r.y[2], 1.0 / 3, 1e-7);
    CHECK_NEAR(r.y[3], 2.0 / 3, 1e-7);
    CHECK(r.y[4] == 1 && r.y[5] == 0); // no overflow, and -infinity counts for nothing
    CHECK(r.y[6] == 0.5f && r.y[7] == 0.5f);
    op_run_free(&r);
}

static void long_rows_sum_to_one(void)
{
    float *x = normal_values(3 * 30522, 5);
    const OpInput in[] = {{2, {3, 30522}, .values = x}};
    OpRun r;

    if (op_run(build, NULL, in, 1, (OpSetting){.inference = true}, &r))
        for (int n = 0; n < 3; n++) {
            double sum = 0, total = 0;
            for (int i = 0; i < 30522; i++) {
                sum += (double)r.y[n * 30522 + i];
                total += exp((double)x[n * 30522 + i]);
            }
            CHECK_NEAR(sum, 1, 1e-6);
            CHECK_NEAR(r.y[n * 30522 + 77] * 1e4, exp((double)x[n * 30522 + 77]) / total * 1e4,
                       1e-6);
        }
    op_run_free(&r);
    free(x);
}

static void gradients_are_right(void)
{
    static const int64_t shape[][2] = {{0, 4}, {1, 1}, {3, 7}, {2, 601}};

    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        float *x = normal_values(shape[i][0] * shape[i][1], i);
        const OpInput in[] = {{2, {shape[i][0], shape[i][1]}, .values = x, .wants_gradient = true}};
        check_op(build, NULL, in, 1, (OpCheck){.step = 1e-1, .tolerance = i == 3 ? 1e-4 : 5e-3});
        free(x);
    }
    float *x = normal_values(5 * 6, 9);
    const OpInput in[] = {{2, {5, 6}, .values = x, .wants_gradient = true}};
    check_op(build_view, NULL, in, 1, (OpCheck){0});
    free(x);
}

/* Widths on both sides of a device's teams, rows that begin anywhere, more rows than a block has. */
static void agrees_where_paths_change(void)
{
    static const int64_t shape[][2] = {{9, 1023}, {11, 1024}, {3, 1025}, {2, 8192}, {3, 8195}};

    if (test_on_cpu())
        return;
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        float *x = normal_values(shape[i][0] * shape[i][1], i);
        const OpInput in[] = {{2, {shape[i][0], shape[i][1]}, .values = x, .wants_gradient = true}};
        check_op(build, NULL, in, 1, (OpCheck){0});
        free(x);
    }
}

static void refuses_integers(void)
{
    const int32_t places[2] = {0};
    const OpInput in[] = {{1, {2}, .places = places}};

    check_refused(build, NULL, in, 1, E_DTYPE, "softmax: x is i32");
}

int main(void)
{
    RUN(hand_values);
    RUN(long_rows_sum_to_one);
    RUN(gradients_are_right);
    RUN(agrees_where_paths_change);
    RUN(refuses_integers);
    return test_result();
}
