/* Tests kernels/linear.c and, through it, kernels/gemm.c where BF16 goes to the processor as it is;
 * tests/kernels/gemm.c forces the other way. */
#include "kernels/ops.h"
#include "tests/check_op.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Case {
    int64_t N, C, O;
    Activation act;
    bool bias;
} Case;

static Tensor *build(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const Case *k = context;

    (void)dtype;
    return op_linear(g, in[0], in[1], k->bias ? in[2] : NULL, k->act);
}

/* On columns of a wider tensor. */
static Tensor *build_view(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const Case *k = context;

    (void)dtype;
    return op_linear(g, graph_columns(g, in[0], 2, k->C), in[1], in[2], k->act);
}

static double activation(Activation act, double u)
{
    return act == ACTIVATION_NONE ? u
           : act == ACTIVATION_GELU
               ? 0.5 * u * erfc(-u / sqrt(2))
               : 0.5 * u * (1 + tanh(0.7978845608 * (u + 0.044715 * u * u * u)));
}

static void hand_values(void)
{
    const float x[] = {1, 2, 3, 4}, w[] = {1, 0, 0, 1, 1, -1}, b[] = {10, 20, 30};
    const OpInput in[] = {{2, {2, 2}, .values = x, .wants_gradient = true},
                          {2, {3, 2}, .values = w, .wants_gradient = true},
                          {1, {3}, .values = b, .wants_gradient = true}};
    const Case k = {2, 2, 3, ACTIVATION_NONE, true};
    const float y[] = {11, 22, 29, 13, 24, 29};
    OpRun r;

    if (!op_run(build, &k, in, 3, (OpSetting){0}, &r))
        return;
    double seed[6];
    for (int i = 0; i < 6; i++) {
        CHECK(r.y[i] == y[i]);
        seed[i] = (double)(i * 7919 % 23) / 11 - 1;
    }
    CHECK_NEAR(r.dx[0][0], seed[0] + seed[2], 1e-6);
    CHECK_NEAR(r.dx[0][1], seed[1] - seed[2], 1e-6);
    CHECK_NEAR(r.dx[1][5], seed[2] * 2 + seed[5] * 4, 1e-6);
    CHECK_NEAR(r.dx[2][1], seed[1] + seed[4], 1e-6);
    op_run_free(&r);
}

static void inputs_of(const Case *k, OpInput in[3], int64_t columns)
{
    in[0] = (OpInput){2, {k->N, columns}, normal_values(k->N * columns, 1), .wants_gradient = true};
    in[1] = (OpInput){2, {k->O, k->C}, normal_values(k->O * k->C, 2), .wants_gradient = true};
    in[2] = (OpInput){1, {k->O}, normal_values(k->O, 3), .wants_gradient = k->bias};
}

static void free_inputs(OpInput in[3])
{
    for (int i = 0; i < 3; i++)
        free((void *)(uintptr_t)in[i].values);
}

static void gradients_are_right(void)
{
    static const Case list[] = {
        {1, 1, 1, ACTIVATION_NONE, true},   {7, 5, 3, ACTIVATION_NONE, false},
        {3, 17, 11, ACTIVATION_GELU, true}, {13, 3, 2, ACTIVATION_GELU_TANH, true},
        {5, 4, 7, ACTIVATION_GELU, false},
    };

    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        OpInput in[3];
        inputs_of(&list[i], in, list[i].C);
        check_op(build, &list[i], in, list[i].bias ? 3 : 2, (OpCheck){.tolerance = 1e-2});
        for (int k = 1; k < 3; k++) // BF16 rows times an F32 weight
            in[k].keep_f32 = true;
        check_op(build, &list[i], in, list[i].bias ? 3 : 2, (OpCheck){.tolerance = 1e-2});
        free_inputs(in);
    }
}

static void takes_a_view_of_columns(void)
{
    const Case k = {6, 5, 4, ACTIVATION_GELU, true};
    OpInput in[3];

    inputs_of(&k, in, 9);
    check_op(build_view, &k, in, 3, (OpCheck){.tolerance = 1e-2});
    free_inputs(in);
}

/* y against sums in double precision, over several blocks of rows and a rest. */
static void check_forward(const Case *k, const OpInput in[], bool inference, double tolerance,
                          Dtype dtype)
{
    OpRun r;
    double worst = 0;

    if (!op_run(build, k, in, 3, (OpSetting){.dtype = dtype, .inference = inference}, &r))
        return;
    for (int64_t n = 0; n < k->N; n += 5)
        for (int64_t o = 0; o < k->O; o++) {
            double u = (double)in[2].values[o];
            for (int64_t i = 0; i < k->C; i++)
                u += (double)in[0].values[n * k->C + i] * (double)in[1].values[o * k->C + i];
            worst = fmax(worst, fabs((double)r.y[n * k->O + o] - activation(k->act, u)));
        }
    if (!CHECK(worst < tolerance))
        printf("  error %.3g, tolerance %.3g\n", worst, tolerance);
    op_run_free(&r);
}

static void large_products_agree_with_double_precision(void)
{
    for (Activation act = ACTIVATION_NONE; act <= ACTIVATION_GELU_TANH; act++) {
        const Case k = {601, 97, 131, act, true};
        OpInput in[3];
        inputs_of(&k, in, k.C);
        check_forward(&k, in, false, 2e-5, F32);
        check_forward(&k, in, true, 2e-5, F32);
        check_forward(&k, in, false, 0.5, BF16); // numbers of up to 40, 8 bits
        check_forward(&k, in, true, 0.5, BF16);
        free_inputs(in);
    }
}

static void same_bits_with_one_thread_and_two(void)
{
    static const Case list[] = {{601, 97, 131, ACTIVATION_GELU, true},
                                {300, 64, 2, ACTIVATION_NONE, true},
                                {777, 128, 256, ACTIVATION_NONE, true}};

    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        for (Dtype dtype = F32; dtype <= F16; dtype++) {
            OpInput in[3];
            OpRun one = {0}, two = {0};
            inputs_of(&list[i], in, list[i].C);
            if (op_run(build, &list[i], in, 3, (OpSetting){.threads = 1, .dtype = dtype}, &one) &&
                op_run(build, &list[i], in, 3, (OpSetting){.threads = 2, .dtype = dtype}, &two)) {
                CHECK(memcmp(one.y, two.y, (size_t)one.y_count * 4) == 0);
                CHECK(memcmp(one.dx[0], two.dx[0], (size_t)(list[i].N * list[i].C) * 4) == 0);
                CHECK(memcmp(one.dx[1], two.dx[1], (size_t)(list[i].O * list[i].C) * 4) == 0);
                CHECK(memcmp(one.dx[2], two.dx[2], (size_t)list[i].O * 4) == 0);
            }
            op_run_free(&one);
            op_run_free(&two);
            free_inputs(in);
        }
}

static void no_rows_give_no_gradient(void)
{
    const Case k = {0, 3, 2, ACTIVATION_GELU, true};
    OpInput in[3];
    OpRun r;

    inputs_of(&k, in, k.C);
    if (op_run(build, &k, in, 3, (OpSetting){0}, &r)) {
        for (int i = 0; i < 6; i++)
            CHECK(r.dx[1][i] == 0);
        CHECK(r.dx[2][0] == 0 && r.dx[2][1] == 0);
    }
    op_run_free(&r);
    free_inputs(in);
}

static void refuses_what_does_not_fit(void)
{
    const float x[12] = {0};
    const int32_t places[6] = {0};
    const Case k = {.bias = true};
    OpInput in[] = {{2, {2, 3}, .values = x}, {2, {3, 4}, .values = x}, {1, {3}, .values = x}};

    check_refused(build, &k, in, 3, E_SHAPE, "linear: x is [2, 3], weight [3, 4], expected [O, 3]");
    in[1] = (OpInput){2, {4, 3}, .values = x};
    check_refused(build, &k, in, 3, E_SHAPE, "linear: bias has 3 elements, weight gives 4");
    in[1] = (OpInput){2, {2, 3}, .places = places};
    check_refused(build, &k, in, 3, E_DTYPE, "linear: weight is i32");
}

int main(void)
{
    RUN(hand_values);
    RUN(gradients_are_right);
    RUN(takes_a_view_of_columns);
    RUN(large_products_agree_with_double_precision);
    RUN(same_bits_with_one_thread_and_two);
    RUN(no_rows_give_no_gradient);
    RUN(refuses_what_does_not_fit);
    return test_result();
}
