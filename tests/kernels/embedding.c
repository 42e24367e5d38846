/* Tests kernels/embedding.c and, with gather.c, kernels/scatter.c. */
#include "kernels/ops.h"
#include "tests/check_op.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

enum { OFFSETS, IDS, TABLE, IDS2, TABLE2, IDS3, TABLE3, INPUT_COUNT };

static Tensor *build(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const Rows rows = {.offsets = in[OFFSETS]};
    const int tables = *(const int *)context;

    return op_embedding(g, &rows, dtype, in[IDS], in[TABLE], tables > 1 ? in[IDS2] : NULL,
                        tables > 1 ? in[TABLE2] : NULL, tables > 2 ? in[IDS3] : NULL,
                        tables > 2 ? in[TABLE3] : NULL);
}

typedef struct Batch {
    OpInput in[INPUT_COUNT];
    int32_t offsets[4], ids[3][4096];
    float *table[3];
} Batch;

/* `count` true rows of N; the ids of the rest are rubbish. */
static void fill(Batch *b, int64_t N, int32_t count, int64_t C, const int64_t V[3])
{
    memcpy(b->offsets, (int32_t[]){0, count / 3, count, count}, sizeof b->offsets);
    b->in[OFFSETS] = (OpInput){1, {4}, .places = b->offsets};
    for (int t = 0; t < 3; t++) {
        for (int64_t n = 0; n < N; n++)
            b->ids[t][n] = n < count ? (int32_t)((n * 7919 + n * n * (t + 3)) % V[t])
                                     : (n % 2 ? -(1 << 30) : 1 << 30) + (int32_t)n;
        b->table[t] = normal_values(V[t] * C, (uint64_t)t + 1);
        b->in[IDS + 2 * t] = (OpInput){1, {N}, .places = b->ids[t]};
        b->in[TABLE + 2 * t] =
            (OpInput){2, {V[t], C}, .values = b->table[t], .wants_gradient = true};
    }
}

static void drop(Batch *b)
{
    for (int t = 0; t < 3; t++)
        free(b->table[t]);
}

static void hand_values(void)
{
    const float words[] = {1, 2, 10, 20, 100, 200}, places[] = {0.5f, 0.25f, 0.125f, 1};
    const int32_t ids[] = {2, 0, 2, 1}, ids2[] = {0, 1, 0, 77}, offsets[] = {0, 3};
    const OpInput in[] = {{1, {2}, .places = offsets},
                          {1, {4}, .places = ids},
                          {2, {3, 2}, .values = words, .wants_gradient = true},
                          {1, {4}, .places = ids2},
                          {2, {2, 2}, .values = places, .wants_gradient = true}};
    const float y[] = {100.5f, 200.25f, 1.125f, 3, 100.5f, 200.25f, 0, 0};
    const int tables = 2;
    double seed[8];
    OpRun r;

    if (!op_run(build, &tables, in, 5, (OpSetting){0}, &r))
        return;
    for (int i = 0; i < 8; i++) {
        CHECK(r.y[i] == y[i]);
        seed[i] = (double)(i * 7919 % 23) / 11 - 1;
    }
    CHECK_NEAR(r.dx[TABLE][0], seed[2], 1e-6);
    CHECK(r.dx[TABLE][2] == 0 &&
          r.dx[TABLE][3] == 0); // only the row beyond the true count has id 1
    CHECK_NEAR(r.dx[TABLE][5], seed[1] + seed[5], 1e-6);
    CHECK_NEAR(r.dx[TABLE2][0], seed[0] + seed[4], 1e-6);
    op_run_free(&r);
}

static void gradients_are_right(void)
{
    for (int tables = 1; tables <= 3; tables++) {
        Batch b;
        fill(&b, 13, 11, 5, (const int64_t[]){7, 11, 2});
        check_op(build, &tables, b.in, 1 + 2 * tables, (OpCheck){0});
        for (int t = 0; t < 3; t++)
            b.in[TABLE + 2 * t].keep_f32 = true; // F32 tables, rows of another dtype
        check_op(build, &tables, b.in, 1 + 2 * tables, (OpCheck){0});
        drop(&b);
    }
}

/* Many rows to few places, many places with few hits: against sums in double precision. */
static void sums_are_right_and_do_not_depend_on_threads(void)
{
    enum { N = 4000, COUNT = 3989, C = 150 };
    const int64_t V[3] = {5000, 512, 2};
    const int tables = 3;
    static Batch b;
    OpRun one = {0}, two = {0};

    fill(&b, N, COUNT, C, V);
    if (op_run(build, &tables, b.in, INPUT_COUNT, (OpSetting){.threads = 1}, &one) &&
        op_run(build, &tables, b.in, INPUT_COUNT, (OpSetting){.threads = 2}, &two)) {
        CHECK(memcmp(one.y, two.y, sizeof(float) * N * C) == 0);
        for (int t = 0; t < 3; t++) {
            const size_t size = (size_t)(V[t] * C);
            double *want = calloc(size, sizeof *want);
            CHECK(memcmp(one.dx[TABLE + 2 * t], two.dx[TABLE + 2 * t], size * sizeof(float)) == 0);
            for (int64_t i = 0; i < COUNT * C; i++)
                want[b.ids[t][i / C] * C + i % C] += (double)((float)(i * 7919 % 23) / 11 - 1);
            for (size_t i = 0; i < size; i++)
                if (!CHECK_NEAR(one.dx[TABLE + 2 * t][i], want[i], 5e-6))
                    break;
            free(want);
        }
    }
    op_run_free(&one);
    op_run_free(&two);
    drop(&b);
}

static void rubbish_beyond_the_count_changes_nothing(void)
{
    const int tables = 3;
    Batch a, b;
    OpRun one = {0}, two = {0};

    fill(&a, 40, 29, 9, (const int64_t[]){31, 40, 2});
    fill(&b, 40, 29, 9, (const int64_t[]){31, 40, 2});
    for (int t = 0; t < 3; t++)
        for (int n = 29; n < 40; n++)
            b.ids[t][n] = n % 2;
    if (op_run(build, &tables, a.in, INPUT_COUNT, (OpSetting){0}, &one) &&
        op_run(build, &tables, b.in, INPUT_COUNT, (OpSetting){0}, &two)) {
        CHECK(memcmp(one.y, two.y, sizeof(float) * 40 * 9) == 0);
        for (int i = 29 * 9; i < 40 * 9; i++)
            CHECK(one.y[i] == 0);
        CHECK(memcmp(one.dx[TABLE], two.dx[TABLE], sizeof(float) * 31 * 9) == 0);
        CHECK(memcmp(one.dx[TABLE3], two.dx[TABLE3], sizeof(float) * 2 * 9) == 0);
    }
    op_run_free(&one);
    op_run_free(&two);
    drop(&a);
    drop(&b);
}

static void an_empty_batch_is_zero(void)
{
    const int tables = 1;
    Batch b;
    OpRun r;

    fill(&b, 8, 0, 3, (const int64_t[]){5, 5, 5});
    if (op_run(build, &tables, b.in, 3, (OpSetting){0}, &r)) {
        for (int i = 0; i < 24; i++)
            CHECK(r.y[i] == 0);
        for (int i = 0; i < 15; i++)
            CHECK(r.dx[TABLE][i] == 0);
    }
    op_run_free(&r);
    drop(&b);
}

static void refuses_what_does_not_fit(void)
{
    const int tables = 2;
    Batch b;

    fill(&b, 8, 8, 3, (const int64_t[]){5, 5, 5});
    b.in[IDS2].dim[0] = 7;
    check_refused(build, &tables, b.in, 5, E_SHAPE, "embedding: ids has 7 elements, expected 8");
    b.in[IDS2].dim[0] = 8;
    b.in[TABLE2] = (OpInput){2, {4, 2}, .values = b.table[1]};
    check_refused(build, &tables, b.in, 5, E_SHAPE,
                  "embedding: table 2 has rows of 2, the first has rows of 3");
    b.in[IDS] = (OpInput){1, {8}, .values = b.table[0]};
    check_refused(build, &tables, b.in, 5, E_DTYPE, "embedding: ids is f32, expected i32");
    drop(&b);
}

int main(void)
{
    RUN(hand_values);
    RUN(gradients_are_right);
    RUN(sums_are_right_and_do_not_depend_on_threads);
    RUN(rubbish_beyond_the_count_changes_nothing);
    RUN(an_empty_batch_is_zero);
    RUN(refuses_what_does_not_fit);
    return test_result();
}
