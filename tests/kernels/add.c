/* Tests kernels/add.c. */
#include "kernels/ops.h"
#include "tests/check_op.h"
#include "tests/test.h"

#include <stdlib.h>

static Tensor *build(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    (void)dtype, (void)context;
    return op_add(g, in[0], in[1]);
}

/* Of two halves of the columns of one tensor: both inputs and their gradients are strided. */
static Tensor *build_halves(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const int64_t half = in[0]->dim[1] / 2;

    (void)dtype, (void)context;
    return op_add(g, graph_columns(g, in[0], 0, half), graph_columns(g, in[0], half, half));
}

static void adds_element_by_element(void)
{
    const float a[] = {1, 2, 3, -4}, b[] = {10, 20, 30, 4};
    const OpInput in[] = {{2, {2, 2}, .values = a, .wants_gradient = true},
                          {2, {2, 2}, .values = b, .wants_gradient = true}};
    OpRun r;

    if (!op_run(build, NULL, in, 2, (OpSetting){0}, &r))
        return;
    CHECK(r.y[0] == 11 && r.y[1] == 22 && r.y[2] == 33 && r.y[3] == 0);
    CHECK(r.dx[0][0] == -1 && r.dx[1][0] == -1); // the seed's first element
    op_run_free(&r);
}

static void gradients_are_right(void)
{
    static const int64_t shape[][2] = {{0, 4}, {1, 1}, {3, 7}, {5, 517}, {67, 601}};

    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        float *a = normal_values(shape[i][0] * shape[i][1], 1);
        float *b = normal_values(shape[i][0] * shape[i][1], 2);
        const OpInput in[] = {{2, {shape[i][0], shape[i][1]}, .values = a, .wants_gradient = i < 3},
                              {2, {shape[i][0], shape[i][1]}, .values = b, .wants_gradient = true}};
        if (i < 3)
            check_op(build, NULL, in, 2, (OpCheck){0});
        OpRun one = {0}, two = {0};
        if (op_run(build, NULL, in, 2, (OpSetting){.threads = 1}, &one) &&
            op_run(build, NULL, in, 2, (OpSetting){.threads = 2}, &two))
            for (int64_t k = 0; k < one.y_count; k++)
                if (!CHECK(one.y[k] == two.y[k] && one.y[k] == a[k] + b[k]))
                    break;
        op_run_free(&one);
        op_run_free(&two);
        free(a);
        free(b);
    }
}

static void takes_views_of_columns(void)
{
    float *x = normal_values(5 * 14, 3);
    const OpInput in[] = {{2, {5, 14}, .values = x, .wants_gradient = true}};

    check_op(build_halves, NULL, in, 1, (OpCheck){0});
    free(x);
}

static void refuses_inputs_that_differ(void)
{
    const float x[6] = {0};
    const int32_t places[6] = {0};
    OpInput in[] = {{2, {2, 3}, .values = x}, {2, {3, 2}, .values = x}};

    check_refused(build, NULL, in, 2, E_SHAPE,
                  "add: inputs are [2, 3] and [3, 2], expected one shape");
    in[1] = (OpInput){2, {2, 3}, .places = places};
    check_refused(build, NULL, in, 2, E_DTYPE, "add: b is i32, expected f32, bf16 or f16");
}

int main(void)
{
    RUN(adds_element_by_element);
    RUN(gradients_are_right);
    RUN(takes_views_of_columns);
    RUN(refuses_inputs_that_differ);
    return test_result();
}
