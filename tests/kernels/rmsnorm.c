/* Tests kernels/rmsnorm.c, add_rmsnorm.c and the rows that they share. */
#include "kernels/ops.h"
#include "runtime/safetensors.h"
#include "tests/check_op.h"
#include "tests/on_device.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const RmsnormArgs ARGS = {.epsilon = 1e-5f};

/* What is recorded: plain, or with a residual in in[2], whose sum may be read too. */
typedef enum { PLAIN, COLUMNS, ADDED, ADDED_COLUMNS, ADDED_AND_READ, RESIDUAL_READ, ONLY_SUM } Form;

static Tensor *build(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const Form form = *(const Form *)context;
    Tensor *sum = NULL, *x = in[0];

    (void)dtype;
    if (form == COLUMNS || form == ADDED_COLUMNS)
        x = graph_columns(g, x, 2, tensor_size(in[1]));
    if (form == PLAIN || form == COLUMNS)
        return op_rmsnorm(g, x, in[1], ARGS);
    if (form == ADDED || form == ADDED_COLUMNS)
        return op_add_rmsnorm(g, x, in[2], in[1], ARGS, NULL);
    if (form == RESIDUAL_READ) // its gradient is added to, that of x overwrites
        return op_add(g, op_add_rmsnorm(g, x, in[2], in[1], ARGS, NULL), in[2]);
    Tensor *y = op_add_rmsnorm(g, x, in[2], in[1], ARGS, &sum);
    return form == ONLY_SUM ? sum : op_add(g, y, sum);
}

typedef struct Inputs {
    float *values[3];
    OpInput in[3];
} Inputs;

static Inputs inputs_open(int64_t N, int64_t C, int64_t W, uint64_t seed)
{
    const int64_t size[] = {N * W, C, N * C};
    Inputs p;

    for (int i = 0; i < 3; i++)
        p.values[i] = normal_values(size[i], seed + (uint64_t)i);
    p.in[0] = (OpInput){2, {N, W}, .values = p.values[0], .wants_gradient = true};
    p.in[1] = (OpInput){1, {C}, .values = p.values[1], .wants_gradient = true, .keep_f32 = true};
    p.in[2] = (OpInput){2, {N, C}, .values = p.values[2], .wants_gradient = true};
    return p;
}

static void inputs_close(Inputs *p)
{
    for (int i = 0; i < 3; i++)
        free(p->values[i]);
}

static void hand_values(void)
{
    const float x[] = {1, -2, 3, 4, 0, 0, 0, 0}, w[] = {1, 1, 1, 2};
    const float residual[] = {0, 0, 0, 0, 1, -2, 3, 4};
    const OpInput in[] = {{2, {2, 4}, .values = x, .wants_gradient = true},
                          {1, {4}, .values = w, .wants_gradient = true},
                          {2, {2, 4}, .values = residual}};
    const double r = 1 / sqrt(7.5 + 1e-5);
    OpRun run;

    if (op_run(build, &(Form){PLAIN}, in, 2, (OpSetting){0}, &run)) {
        CHECK_NEAR(run.y[0], r, 1e-6);
        CHECK_NEAR(run.y[1], -2 * r, 1e-6);
        CHECK_NEAR(run.y[3], 8 * r, 1e-6);
        CHECK(run.y[4] == 0); // a row of zeros divides by sqrt(epsilon), not by zero
        // dy = -1, -9/11, -7/11, -5/11, ...: dw is dy z, of the first row alone
        CHECK_NEAR(run.dx[1][0], -r, 1e-6);
    }
    op_run_free(&run);
    if (op_run(build, &(Form){ADDED}, in, 3, (OpSetting){.inference = true}, &run)) {
        CHECK_NEAR(run.y[3], 8 * r, 1e-6);
        CHECK_NEAR(run.y[6], 3 * r, 1e-6); // 1, -2, 3, 4 again
    }
    op_run_free(&run);
}

static void passes_what_every_operator_must(void)
{
    static const int64_t shape[][2] = {{1, 1}, {3, 5}, {2, 33}, {67, 3}, {0, 4}};

    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (Form form = PLAIN; form <= ONLY_SUM; form++) {
            const int64_t N = shape[i][0], C = shape[i][1];
            const bool columns = form == COLUMNS || form == ADDED_COLUMNS;
            Inputs p = inputs_open(N, C, columns ? C + 3 : C, i);

            if (form == ONLY_SUM) // then nothing reaches the weight but zeros
                p.in[1].wants_gradient = false;
            check_op(build, &form, p.in, form < ADDED ? 2 : 3,
                     (OpCheck){.tolerance = C < 4 ? 2e-2 : 0,
                               .step = C < 4 ? 2e-3 : 0,
                               .bf16_tolerance = C < 4 ? 2e-1 : 5e-2,
                               .f16_tolerance = C < 4 ? 4e-2 : 1e-2,
                               .device_tolerance = C == 1 ? 1e-2 : 0}); // dx is rounding alone
            inputs_close(&p);
        }
}

/* On both sides of every width at which a device takes another path, odd and even, in views whose
 * rows begin anywhere, with more rows than a block or a slice has. */
static void agrees_where_paths_change(void)
{
    static const int64_t shape[][2] = {
        {19, 255}, {600, 256}, {9, 257},  {17, 768}, {9, 776},  {9, 1024}, {9, 1032},  {3, 2048},
        {3, 2056}, {9, 4096},  {9, 4097}, {9, 4104}, {3, 8192}, {3, 8200}, {2, 16384}, {2, 16392}};

    if (test_on_cpu())
        return;
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (Form form = PLAIN; form <= ADDED; form++) {
            const int64_t N = shape[i][0], C = shape[i][1];
            const bool wide = test_briefly() && C > 2048;
            if (test_briefly() && (i % 2 == 0 || form != i / 2 % 3)) // one of each path
                continue;
            Inputs p = inputs_open(N, C, form == COLUMNS ? C + 3 : C, i);

            check_op(build, &form, p.in, form < ADDED ? 2 : 3,
                     (OpCheck){.random = wide, .bf16_tolerance = wide ? -1 : 0}); // or F32 once
            inputs_close(&p);
        }
}

/* Against double precision, at the widths of models and with more rows than slices. */
static void agrees_with_the_definition(void)
{
    static const int64_t width[] = {576, 1000, 4096};

    for (size_t k = 0; k < (test_briefly() ? 1 : sizeof width / sizeof *width); k++) {
        const int64_t N = test_briefly() ? 300 : 1111, C = width[k];
        Inputs p = inputs_open(N, C, C, k);
        double *dweight = calloc((size_t)C, sizeof *dweight), worst = 0, most = 0;
        OpRun r;

        if (op_run(build, &(Form){PLAIN}, p.in, 2, (OpSetting){0}, &r)) {
            for (int64_t n = 0; n < N; n++) {
                double square = 0;
                for (int64_t i = 0; i < C; i++)
                    square += pow((double)p.values[0][n * C + i], 2) / (double)C;
                for (int64_t i = 0; i < C; i++) {
                    const int64_t e = n * C + i;
                    const double z = (double)p.values[0][e] / sqrt(square + 1e-5);
                    const double y = z * (double)p.values[1][i];
                    worst = fmax(worst, fabs((double)r.y[e] - y) / (1 + fabs(y)));
                    dweight[i] += z * (double)((float)(e * 7919 % 23) / 11 - 1);
                }
            }
            CHECK_NEAR(worst, 0, 3e-6); // C squares may be added in one chain
            for (int64_t i = 0; i < C; i++)
                most = fmax(most, fabs((double)r.dx[1][i] - dweight[i]));
            CHECK_NEAR(most, 0, 5e-5);
        }
        op_run_free(&r);
        free(dweight);
        inputs_close(&p);
    }
}

static void agrees_with_pytorch(void)
{
    static const char *const names[] = {"x", "weight", "residual"};
    static const char *const wanted[] = {"dx", "dweight", "dresidual"};
    Inputs p = inputs_open(5, 37, 37, 0);
    Safetensors *file;
    OpRun r;

    if (!CHECK_OK(safetensors_open(test_source("tests/golden/kernels/rmsnorm.safetensors"), &file)))
        return;
    for (int i = 0; i < 3; i++)
        memcpy(p.values[i], safetensors_find(file, names[i])->data,
               (size_t)(i == 1 ? 37 : 5 * 37) * sizeof(float));
    if (op_run(build, &(Form){ADDED_AND_READ}, p.in, 3, (OpSetting){0}, &r)) {
        const float *y = safetensors_find(file, "y")->data;
        for (int64_t k = 0; k < r.y_count; k++)
            CHECK_NEAR(r.y[k], y[k], 2e-6);
        for (int i = 0; i < 3; i++) {
            const float *d = safetensors_find(file, wanted[i])->data;
            for (int64_t k = 0; k < (i == 1 ? 37 : 5 * 37); k++)
                CHECK_NEAR(r.dx[i][k], d[k], 5e-6);
        }
    }
    op_run_free(&r);
    safetensors_close(file);
    inputs_close(&p);
}

static void refuses_what_does_not_fit(void)
{
    const float x[16] = {0};
    const int32_t n[8] = {0};
    OpInput in[] = {{2, {2, 8}, .values = x}, {1, {7}, .values = x}, {2, {4, 4}, .values = x}};

    check_refused(build, &(Form){PLAIN}, in, 2, E_SHAPE, "rmsnorm: rows of 8, weight of 7");
    in[1].dim[0] = 8;
    check_refused(build, &(Form){ADDED}, in, 3, E_SHAPE, "[2, 8] and [4, 4]");
    in[1] = (OpInput){1, {8}, .places = n};
    check_refused(build, &(Form){PLAIN}, in, 2, E_DTYPE, "weight is i32");
}

int main(void)
{
    RUN(hand_values);
    RUN(passes_what_every_operator_must);
    RUN(agrees_where_paths_change);
    RUN(agrees_with_the_definition);
    RUN(agrees_with_pytorch);
    RUN(refuses_what_does_not_fit);
    return test_result();
}
