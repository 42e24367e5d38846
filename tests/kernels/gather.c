/* Tests kernels/gather.c. */
#include "kernels/ops.h"
#include "tests/check_op.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

static Tensor *build(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    (void)dtype, (void)context;
    return op_gather(g, in[0], in[1]);
}

static Tensor *build_view(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    (void)dtype, (void)context;
    return op_gather(g, graph_columns(g, in[0], 1, 3), in[1]);
}

static void hand_values(void)
{
    const float x[] = {1, 2, 3, 4, 5, 6}, y[] = {5, 6, 0, 0, 1, 2, 5, 6, 0, 0};
    const int32_t index[] = {2, -1, 0, 2, 3}; // none, and one beyond
    const OpInput in[] = {{2, {3, 2}, .values = x, .wants_gradient = true},
                          {1, {5}, .places = index}};
    double seed[10];
    OpRun r;

    if (!op_run(build, NULL, in, 2, (OpSetting){0}, &r))
        return;
    for (int i = 0; i < 10; i++) {
        CHECK(r.y[i] == y[i]);
        seed[i] = (double)(i * 7919 % 23) / 11 - 1;
    }
    CHECK_NEAR(r.dx[0][0], seed[4], 1e-6);
    CHECK(r.dx[0][2] == 0 && r.dx[0][3] == 0);
    CHECK_NEAR(r.dx[0][5], seed[1] + seed[7], 1e-6);
    op_run_free(&r);
}

static void gradients_are_right(void)
{
    static const int64_t shape[][3] = {{1, 1, 1}, {7, 5, 11}, {13, 7, 3}}; // N, C, M

    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        const int64_t N = shape[i][0], C = shape[i][1], M = shape[i][2];
        int32_t index[11];
        float *x = normal_values(N * C, i);
        for (int k = 0; k < M; k++)
            index[k] = (int32_t)(k * k % N) - (k == 4);
        const OpInput in[] = {{2, {N, C}, .values = x, .wants_gradient = true},
                              {1, {M}, .places = index}};
        check_op(build, NULL, in, 2, (OpCheck){0});
        if (C >= 5)
            check_op(build_view, NULL, in, 2, (OpCheck){0});
        free(x);
    }
}

/* More places than two bytes count, more rows than one block sorts, places with 0, 1, 32, 33 and
 * hundreds of rows: the same bits as one addition after another, 32 at a time and then those. */
static void many_rows_are_summed_in_the_stated_order(void)
{
    enum { N = 70001, M = 4501, RUN_ROWS = 32 };
    static int32_t index[M];
    static float total[N], part[N];
    static int count[N];
    float *x = normal_values(N, 1);
    const OpInput in[] = {{2, {N, 1}, .values = x, .wants_gradient = true},
                          {1, {M}, .places = index}};
    OpRun r;

    for (int i = 0; i < M; i++)
        index[i] = i % 3 == 0   ? N - 1
                   : i % 3 == 1 ? (int)((int64_t)i * 7919 % N)
                   : i < 3 * 32 ? 65536
                   : i < 3 * 65 ? 255
                   : i % 5 == 0 ? -i
                   : i % 5 == 1 ? N + i
                                : 256 + i % 7;
    if (!op_run(build, NULL, in, 2, (OpSetting){0}, &r))
        return;
    for (int i = 0; i < M; i++) {
        const int p = index[i];
        const float dy = (float)(i * 7919 % 23) / 11 - 1;
        if (p < 0 || p >= N)
            continue;
        part[p] = count[p] % RUN_ROWS ? part[p] + dy : dy;
        count[p]++;
        if (count[p] % RUN_ROWS == 0)
            total[p] = count[p] == RUN_ROWS ? part[p] : total[p] + part[p];
    }
    for (int p = 0; p < N; p++) {
        const float rest = count[p] % RUN_ROWS ? part[p] : 0;
        const float want = count[p] < RUN_ROWS ? rest : total[p] + rest;
        if (!CHECK(r.dx[0][p] == want)) {
            printf("  place %d of %d rows: %.9g, expected %.9g\n", p, count[p], (double)r.dx[0][p],
                   (double)want);
            break;
        }
    }
    op_run_free(&r);
    free(x);
}

static void nothing_gathered_gives_no_gradient(void)
{
    const float x[6] = {1};
    const OpInput in[] = {{2, {3, 2}, .values = x, .wants_gradient = true},
                          {1, {0}, .places = (const int32_t[1]){0}}};
    OpRun r;

    if (op_run(build, NULL, in, 2, (OpSetting){0}, &r))
        for (int i = 0; i < 6; i++)
            CHECK(r.dx[0][i] == 0);
    op_run_free(&r);
}

static void refuses_an_index_of_numbers(void)
{
    const float x[6] = {0};
    const OpInput in[] = {{2, {3, 2}, .values = x}, {1, {3}, .values = x}};

    check_refused(build, NULL, in, 2, E_DTYPE, "gather: index is f32, expected i32");
}

int main(void)
{
    RUN(hand_values);
    RUN(gradients_are_right);
    RUN(many_rows_are_summed_in_the_stated_order);
    RUN(nothing_gathered_gives_no_gradient);
    RUN(refuses_an_index_of_numbers);
    return test_result();
}
