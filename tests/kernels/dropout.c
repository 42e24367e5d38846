/* Tests kernels/dropout.c. */
#include "kernels/ops.h"
#include "runtime/philox.h"
#include "tests/check_op.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

enum { X, SAMPLE, POSITION, STEP, INPUT_COUNT };

static Tensor *build(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const Rows rows = {.sample = in[SAMPLE], .position = in[POSITION]};

    (void)dtype;
    return op_dropout(g, in[X], &rows, in[STEP], *(const float *)context);
}

/* The second dropout of a graph, on columns of x. */
static Tensor *build_second(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const Rows rows = {.sample = in[SAMPLE], .position = in[POSITION]};

    (void)dtype;
    op_dropout(g, in[X], &rows, in[STEP], 0.5f);
    return op_dropout(g, graph_columns(g, in[X], 3, 6), &rows, in[STEP], *(const float *)context);
}

typedef struct Batch {
    OpInput in[INPUT_COUNT];
    int32_t step[STEP_INTEGERS];
    int32_t sample[512], position[512];
} Batch;

static void fill(Batch *b, int64_t N, int64_t C, const float *x)
{
    b->step[STEP_SEED] = (int32_t)philox_seed(42);
    b->step[STEP_UPDATE] = 7;
    for (int n = 0; n < N; n++) {
        b->sample[n] = n / 5;
        b->position[n] = n % 5;
    }
    b->in[X] = (OpInput){2, {N, C}, .values = x, .wants_gradient = true};
    b->in[SAMPLE] = (OpInput){1, {N}, .places = b->sample};
    b->in[POSITION] = (OpInput){1, {N}, .places = b->position};
    b->in[STEP] = (OpInput){1, {STEP_INTEGERS}, .places = b->step};
}

static bool kept(const Batch *b, uint32_t site, int n, int i, float p)
{
    const Philox r = philox(philox_seed(42), site * 65536u, (uint32_t)i / 4,
                            (uint32_t)b->position[n], (uint32_t)b->sample[n], 7);

    return r.word[i % 4] >= philox_threshold(p);
}

/* Element by element as runtime/philox.h says, in widths that leave a rest of every kind. */
static void draws_by_place(void)
{
    static const int64_t width[] = {1, 3, 4, 15, 16, 17, 64, 517, 1030};
    const float p = 0.3f;

    for (size_t k = 0; k < sizeof width / sizeof *width; k++) {
        const int64_t N = 11, C = width[k];
        float *x = normal_values(N * C, k);
        Batch b;
        OpRun r;
        fill(&b, N, C, x);
        if (op_run(build, &p, b.in, INPUT_COUNT, (OpSetting){0}, &r))
            for (int n = 0; n < N; n++)
                for (int i = 0; i < C; i++) {
                    const int64_t at = n * C + i;
                    const float m = kept(&b, 0, n, i, p) ? 1 / (1 - p) : 0;
                    const float seed = (float)(at * 7919 % 23) / 11 - 1;
                    if (!CHECK(r.y[at] == x[at] * m) || !CHECK(r.dx[X][at] == seed * m))
                        n = i = 1 << 20;
                }
        op_run_free(&r);
        free(x);
    }
}

static void keeps_the_share_it_should(void)
{
    enum { N = 400, C = 256 };
    float *x = normal_values(N * C, 1);
    Batch b;

    for (float p = 0.1f; p < 1; p += 0.4f) {
        OpRun r;
        int count = 0;
        fill(&b, N, C, x);
        if (op_run(build, &p, b.in, INPUT_COUNT, (OpSetting){0}, &r))
            for (int i = 0; i < N * C; i++)
                count += r.y[i] != 0;
        CHECK_NEAR((double)count / (N * C), 1 - (double)p, 5e-3);
        op_run_free(&r);
    }
    const float all = 1;
    OpRun r;
    if (op_run(build, &all, b.in, INPUT_COUNT, (OpSetting){0}, &r))
        for (int i = 0; i < N * C; i++)
            if (!CHECK(r.y[i] == 0 && r.dx[X][i] == 0))
                break;
    op_run_free(&r);
    free(x);
}

static void does_nothing_in_inference(void)
{
    const float p = 0.5f, x[] = {1, 2, 3, 4};
    Batch b;
    OpRun r;

    fill(&b, 2, 2, x);
    if (op_run(build, &p, b.in, INPUT_COUNT, (OpSetting){.inference = true}, &r))
        CHECK(r.y[0] == 1 && r.y[1] == 2 && r.y[2] == 3 && r.y[3] == 4);
    op_run_free(&r);
}

static void gradients_are_right(void)
{
    const float p = 0.4f;
    float *x = normal_values(11 * 13, 3);
    Batch b;

    fill(&b, 11, 13, x);
    check_op(build, &p, b.in, INPUT_COUNT, (OpCheck){.tolerance = 1e-2, .random = true});
    free(x);
}

/* A row keeps its mask wherever it stands in the batch. */
static void packing_does_not_matter(void)
{
    enum { N = 10, C = 33 };
    const float p = 0.5f;
    float *x = normal_values(N * C, 5), turned[N * C];
    Batch a, b;
    OpRun one = {0}, two = {0};

    fill(&a, N, C, x);
    for (int n = 0; n < N; n++)
        for (int i = 0; i < C; i++)
            turned[n * C + i] = x[(N - 1 - n) * C + i];
    fill(&b, N, C, turned);
    for (int n = 0; n < N; n++) {
        b.sample[n] = a.sample[N - 1 - n];
        b.position[n] = a.position[N - 1 - n];
    }
    if (op_run(build, &p, a.in, INPUT_COUNT, (OpSetting){0}, &one) &&
        op_run(build, &p, b.in, INPUT_COUNT, (OpSetting){0}, &two))
        for (int n = 0; n < N; n++)
            for (int i = 0; i < C; i++)
                CHECK(one.y[n * C + i] == two.y[(N - 1 - n) * C + i]);
    op_run_free(&one);
    op_run_free(&two);
    free(x);
}

static void the_call_site_counts(void)
{
    const float p = 0.5f;
    float *x = normal_values(5 * 11, 6);
    Batch b;
    OpRun r;

    fill(&b, 5, 11, x);
    if (op_run(build_second, &p, b.in, INPUT_COUNT, (OpSetting){0}, &r))
        for (int n = 0; n < 5; n++)
            for (int i = 0; i < 6; i++)
                CHECK(r.y[n * 6 + i] == (kept(&b, 1, n, i, p) ? x[n * 11 + 3 + i] * 2 : 0));
    op_run_free(&r);
    free(x);
}

/* Two sites on one x: the second to run backward adds to what the first wrote. */
static Tensor *build_both(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    Tensor *first = build(g, in, dtype, context);

    return op_add(g, first, build(g, in, dtype, context));
}

static void gradients_add_up(void)
{
    enum { N = 7, C = 37 };
    const float p = 0.5f;
    float *x = normal_values(N * C, 8);
    Batch b;

    fill(&b, N, C, x);
    for (Dtype dtype = F32; dtype <= F16; dtype++) {
        OpRun r;
        const double tolerance = dtype == F32 ? 0 : dtype == BF16 ? 1e-2 : 1e-3;
        if (op_run(build_both, &p, b.in, INPUT_COUNT, (OpSetting){.dtype = dtype}, &r))
            for (int i = 0; i < N * C; i++) {
                const int m = 2 * kept(&b, 0, i / C, i % C, p) + 2 * kept(&b, 1, i / C, i % C, p);
                CHECK_NEAR(r.dx[X][i], (double)((float)m * ((float)(i * 7919 % 23) / 11 - 1)),
                           tolerance);
            }
        op_run_free(&r);
    }
    free(x);
}

static void refuses_a_wrong_probability(void)
{
    const float x[4] = {0}, above = 1.5f, below = -0.1f, nothing = NAN, p = 0.5f;
    Batch b;

    fill(&b, 2, 2, x);
    check_refused(build, &above, b.in, INPUT_COUNT, E_CONFIG, "dropout: probability 1.5");
    check_refused(build, &below, b.in, INPUT_COUNT, E_CONFIG, "dropout: probability -0.1");
    check_refused(build, &nothing, b.in, INPUT_COUNT, E_CONFIG, "dropout: probability");
    b.in[SAMPLE].dim[0] = 1;
    check_refused(build, &p, b.in, INPUT_COUNT, E_SHAPE,
                  "dropout: sample has 1 elements, expected 2");
}

int main(void)
{
    RUN(draws_by_place);
    RUN(keeps_the_share_it_should);
    RUN(does_nothing_in_inference);
    RUN(gradients_are_right);
    RUN(packing_does_not_matter);
    RUN(the_call_site_counts);
    RUN(gradients_add_up);
    RUN(refuses_a_wrong_probability);
    return test_result();
}
