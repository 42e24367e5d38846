/* Tests kernels/linear_cross_entropy.c. */
#include "kernels/ops.h"
#include "runtime/half.h"
#include "runtime/safetensors.h"
#include "tests/check_op.h"
#include "tests/on_device.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* in: x, weight, targets, offsets, step scalars. */
static Tensor *build(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const Rows rows = {.offsets = in[3]};

    (void)dtype;
    return op_linear_cross_entropy(g, in[0], in[1], in[2], &rows, in[4],
                                   *(const LinearCrossEntropyArgs *)context);
}

/* On columns of a wider tensor. */
static Tensor *build_view(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    Tensor *const view[] = {graph_columns(g, in[0], 1, tensor_columns(in[0]) - 1), in[1], in[2],
                            in[3], in[4]};
    return build(g, view, dtype, context);
}

static const float SCALARS[STEP_SCALARS] = {[STEP_TARGET_WEIGHT] = 0.25f};

static void inputs(OpInput in[5], int64_t N, int64_t C, int64_t V, const float *x, const float *w,
                   const int32_t *target, const int32_t offsets[2])
{
    in[0] = (OpInput){2, {N, C}, .values = x, .wants_gradient = true};
    in[1] = (OpInput){2, {V, C}, .values = w, .wants_gradient = true};
    in[2] = (OpInput){1, {N}, .places = target};
    in[3] = (OpInput){1, {2}, .places = offsets};
    in[4] = (OpInput){1, {STEP_SCALARS}, .values = SCALARS, .keep_f32 = true};
}

static void hand_values(void)
{
    // logits 0, log 3: p = 1/4, 3/4; then a row without a target, then one beyond the true count
    const float x[] = {1.0986123f, 5, 9}, w[] = {0, 1};
    const int32_t target[] = {1, -100, 0}, offsets[] = {0, 2};
    OpInput in[5];
    OpRun r;

    inputs(in, 3, 1, 2, x, w, target, offsets);
    if (op_run(build, &(LinearCrossEntropyArgs){.chunk = 2}, in, 5, (OpSetting){0}, &r)) {
        CHECK_NEAR(r.y[0], -0.25 * log(0.75), 1e-6);
        CHECK_NEAR(r.dx[0][0], -1 * 0.25 * (0.75 - 1), 1e-6); // the seed of the loss is -1
        CHECK(r.dx[0][1] == 0 && r.dx[0][2] == 0);
        CHECK_NEAR(r.dx[1][0], -1 * 0.25 * 0.25 * 1.0986123, 1e-6);
        CHECK_NEAR(r.dx[1][1], 1 * 0.25 * 0.25 * 1.0986123, 1e-6);
    }
    op_run_free(&r);
}

static void passes_what_every_operator_must(void)
{
    static const struct {
        int64_t N, C, V;
        LinearCrossEntropyArgs args;
    } cases[] = {
        {1, 1, 1, {0, 0, 0}},    {5, 3, 7, {0, 0, 2}},      {7, 5, 3, {0.1f, 0, 3}},
        {3, 2, 9, {0.2f, 5, 1}}, {6, 4, 67, {0.1f, 65, 6}}, {5, 3, 8, {0.1f, 0, 2}},
        {0, 3, 5, {0, 0, 0}},
    };

    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const int64_t N = cases[k].N, C = cases[k].C, V = cases[k].V;
        const int32_t offsets[] = {0, N > 5 ? (int32_t)N - 2 : (int32_t)N};
        float *x = normal_values(N * (C + 1), k), *w = normal_values(V * C, k + 50);
        int32_t target[8];
        OpInput in[5];

        for (int64_t n = 0; n < N; n++)
            target[n] = n == 3 ? -100 : n == 4 ? (int32_t)V : (int32_t)(n * 5 % V);
        inputs(in, N, C, V, x, w, target, offsets);
        check_op(build, &cases[k].args, in, 5, (OpCheck){.tolerance = 2e-3, .step = 5e-3});
        in[0].dim[1] = C + 1;
        check_op(build_view, &cases[k].args, in, 5, (OpCheck){.tolerance = 2e-3, .step = 5e-3});
        free(x);
        free(w);
    }
}

/* Rows of several stretches of a block, whole and odd. */
static void agrees_where_paths_change(void)
{
    static const int64_t V[] = {2048, 2052, 4097, 5004};
    enum { N = 3, C = 2 };
    const int32_t target[N] = {2000, -1, 7}, offsets[] = {0, N};

    if (test_on_cpu())
        return;
    for (size_t k = 0; k < sizeof V / sizeof *V; k++) {
        float *x = normal_values(N * C, k), *w = normal_values(V[k] * C, k + 9);
        OpInput in[5];

        inputs(in, N, C, V[k], x, w, target, offsets);
        check_op(build, &(LinearCrossEntropyArgs){0.1f, V[k] - 3, 2}, in, 5, (OpCheck){0});
        free(x);
        free(w);
    }
}

static void agrees_with_pytorch(void)
{
    enum { N = 6, C = 9, V = 11 };
    static const float smoothing[] = {0, 0.1f};
    static const char *const names[][3] = {{"loss0.0", "dx0.0", "dweight0.0"},
                                           {"loss0.1", "dx0.1", "dweight0.1"}};
    static const int32_t offsets[] = {0, N};
    Safetensors *file;
    OpInput in[5];

    if (!CHECK_OK(safetensors_open(
            test_source("tests/golden/kernels/linear_cross_entropy.safetensors"), &file)))
        return;
    inputs(in, N, C, V, safetensors_find(file, "x")->data, safetensors_find(file, "weight")->data,
           safetensors_find(file, "target")->data, offsets);
    for (int i = 0; i < 2; i++)
        for (int64_t chunk = 0; chunk < 5; chunk += 4) {
            const LinearCrossEntropyArgs args = {.label_smoothing = smoothing[i], .chunk = chunk};
            const float *dx = safetensors_find(file, names[i][1])->data;
            const float *dw = safetensors_find(file, names[i][2])->data;
            OpRun r;
            if (op_run(build, &args, in, 5, (OpSetting){0}, &r)) {
                CHECK_NEAR(r.y[0], *(const float *)safetensors_find(file, names[i][0])->data, 1e-6);
                for (int k = 0; k < N * C; k++)
                    CHECK_NEAR(r.dx[0][k], -dx[k], 1e-6);
                for (int k = 0; k < V * C; k++)
                    CHECK_NEAR(r.dx[1][k], -dw[k], 1e-6);
            }
            op_run_free(&r);
        }
    safetensors_close(file);
}

/* The two operators that it stands for, at a size that takes several chunks by default. */
static Tensor *build_apart(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const Rows rows = {.offsets = in[3]};
    const LinearCrossEntropyArgs *args = context;

    (void)dtype;
    return op_cross_entropy(g, op_linear(g, in[0], in[1], NULL, ACTIVATION_NONE), in[2], &rows,
                            in[4], (CrossEntropyArgs){args->label_smoothing, args->classes});
}

static void agrees_with_its_parts(void)
{
    if (test_briefly()) {
        SKIP("a matter of values");
        return;
    }
    enum { N = 150, C = 24, V = 150000 };
    const LinearCrossEntropyArgs args = {0.1f, V - 3, 0};
    float *x = normal_values(N * C, 1), *w = normal_values((int64_t)V * C, 2);
    int32_t target[N];
    const int32_t offsets[] = {0, N - 7};
    OpInput in[5];
    OpRun a, b;

    for (int n = 0; n < N; n++)
        target[n] = n % 9 == 4 ? -1 : n * 7919 % V;
    inputs(in, N, C, V, x, w, target, offsets);
    if (op_run(build, &args, in, 5, (OpSetting){0}, &a) &&
        op_run(build_apart, &args, in, 5, (OpSetting){0}, &b)) {
        double worst = 0;
        CHECK_NEAR(a.y[0] / b.y[0], 1, 1e-6);
        for (int i = 0; i < N * C; i++)
            worst = fmax(worst, fabs((double)(a.dx[0][i] - b.dx[0][i])));
        for (int i = 0; i < V * C; i++)
            worst = fmax(worst, fabs((double)(a.dx[1][i] - b.dx[1][i])));
        CHECK_NEAR(worst, 0, 2e-6);
        op_run_free(&b);
    }
    op_run_free(&a);
    free(x);
    free(w);
}

enum { EARLY_N = 7, EARLY_C = 5, EARLY_V = 19 };

/* The loss as the root of a graph, of x that nobody else reads: one pass. weight: a parameter of
 * this storage type with an F32 gradient, which is added to where `add`. */
typedef struct Early {
    Dtype dtype;
    bool add, frozen;
    float seed;
    float loss, dw[EARLY_V * EARLY_C];
    float dx[EARLY_N * EARLY_C];
} Early;

static void store(void *to, Dtype dtype, const float *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (dtype == F32)
            ((float *)to)[i] = from[i];
        else
            ((uint16_t *)to)[i] =
                dtype == BF16 ? bf16_from_float(from[i]) : f16_from_float(from[i]);
}

enum { EARLY_X = EARLY_N * EARLY_C, EARLY_W = EARLY_V * EARLY_C };

/* A graph of its own on the device of the tests, with the weight as a parameter and the tensors that
 * the loss reads besides x. */
typedef struct Run {
    Device *device;
    Graph *g;
    Arena arena;
    Tensor weight, dw;
    Tensor *target, *offsets, *scalars;
    void *memory[8];
    size_t bytes[8];
    int count;
} Run;

static void *run_memory(Run *r, const void *from, size_t bytes)
{
    r->bytes[r->count] = bytes;
    return r->memory[r->count++] = on_device(r->device, from, bytes);
}

static Tensor *run_state(Run *r, Dtype dtype, int ndim, const int64_t dim[], const void *from)
{
    Tensor *x = graph_state(r->g, "input", dtype, ndim, dim);

    x->data = run_memory(r, from, tensor_bytes(x));
    return x;
}

static bool run_open(Run *r, GraphOptions o, Dtype dtype, const void *w, const float *dw,
                     const OpInput in[5])
{
    *r = (Run){0};
    if (!CHECK_OK(test_device_open(test_device(), 2, &r->device)))
        return false;
    o.training = true;
    r->g = graph_new(r->device, o);
    r->dw = (Tensor){.dim = {EARLY_V, EARLY_C},
                     .ndim = 2,
                     .stride = EARLY_C,
                     .home = TENSOR_PARAMETER,
                     .id = -1};
    r->weight = r->dw;
    r->weight.dtype = dtype, r->weight.name = "weight";
    r->weight.wants_gradient = true, r->weight.gradient = &r->dw;
    r->weight.data = run_memory(r, w, EARLY_W * dtype_size(dtype));
    r->dw.data = run_memory(r, dw, EARLY_W * sizeof *dw);
    r->target = run_state(r, I32, DIMS(EARLY_N), in[2].places);
    r->offsets = run_state(r, I32, DIMS(2), in[3].places);
    r->scalars = run_state(r, F32, DIMS(STEP_SCALARS), in[4].values);
    return true;
}

static Tensor *run_loss(Run *r, Tensor *x, LinearCrossEntropyArgs args)
{
    Tensor *const in[] = {x, &r->weight, r->target, r->offsets, r->scalars};

    return build(r->g, in, F32, &args);
}

/* root is the loss itself, or made from it. */
static bool run_graph(Run *r, Tensor *root, Tensor *seed, float *dw)
{
    const DeviceTable *t = r->device->table;
    const bool good = CHECK_OK(graph_backward(r->g, root, seed)) && CHECK_OK(graph_plan(r->g)) &&
                      CHECK_OK(arena_open(&r->arena, r->device, graph_bytes(r->g))) &&
                      CHECK_OK(graph_compile(r->g, &r->arena)) &&
                      CHECK_OK(t->fill(r->device, NULL, r->arena.data, 0xFF, r->arena.bytes)) &&
                      CHECK_OK(graph_run(r->g, NULL));

    if (good)
        from_device(r->device, dw, r->dw.data, EARLY_W * sizeof *dw);
    return good;
}

static void run_close(Run *r)
{
    graph_free(r->g);
    arena_close(&r->arena);
    for (int i = 0; i < r->count; i++)
        on_device_free(r->device, r->memory[i], r->bytes[i]);
    device_close(r->device);
}

static void widen(float *to, Dtype dtype, const void *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = dtype == F32    ? ((const float *)from)[i]
                : dtype == BF16 ? float_from_bf16(((const uint16_t *)from)[i])
                                : float_from_f16(((const uint16_t *)from)[i]);
}

static void run_early(Early *e, const OpInput in[5], LinearCrossEntropyArgs args)
{
    float x[EARLY_X], w[EARLY_W];
    const GraphOptions options = {.keep_all = true, .accumulate_parameters = e->add};
    Run r;

    store(x, e->dtype, in[0].values, EARLY_X);
    store(w, e->dtype, in[1].values, EARLY_W);
    if (!run_open(&r, options, e->dtype, w, e->dw, in))
        return;
    r.weight.wants_gradient = !e->frozen;
    Tensor *state = run_state(&r, e->dtype, DIMS(EARLY_N, EARLY_C), x);
    Tensor *zero = run_state(&r, e->dtype, DIMS(EARLY_N, EARLY_C), NULL);
    Tensor *scale = run_state(&r, F32, DIMS(1), &e->seed);
    graph_want_gradient(r.g, state);
    Tensor *root = run_loss(&r, op_add(r.g, state, zero), args);
    if (run_graph(&r, root, scale, e->dw)) {
        CHECK(graph_length(r.g) == 3); // add, the loss, add's backward: no backward of the loss
        CHECK(graph_reaches(r.g, &r.weight) == !e->frozen);
        from_device(r.device, &e->loss, root->data, sizeof e->loss);
        from_device(r.device, x, graph_gradient(r.g, state)->data, EARLY_X * dtype_size(e->dtype));
        widen(e->dx, e->dtype, x, EARLY_X);
    }
    run_close(&r);
}

static void gives_its_gradients_early(void)
{
    const int32_t target[] = {3, -1, 0, 18, 2, 7, 7}, offsets[] = {0, 6};
    const LinearCrossEntropyArgs args = {0.1f, 18, 3};
    float *x = normal_values(EARLY_N * EARLY_C, 4), *w = normal_values(EARLY_V * EARLY_C, 5);
    OpInput in[5];
    OpRun r;

    inputs(in, EARLY_N, EARLY_C, EARLY_V, x, w, target, offsets);
    for (Dtype dtype = F32; dtype <= F16; dtype++)
        for (int form = 0; form < 4; form++) { // frozen, added
            Early e = {.dtype = dtype, .add = form & 1, .frozen = form & 2, .seed = -4};
            const double tolerance = dtype == F32 ? 1e-6 : dtype == BF16 ? 2e-2 : 2e-3;

            for (int i = 0; i < EARLY_V * EARLY_C; i++)
                e.dw[i] = form & 1 ? (float)(i % 7) : NAN;
            if (!op_run(build, &args, in, 5, (OpSetting){.dtype = dtype}, &r))
                continue;
            run_early(&e, in, args);
            CHECK(e.loss == r.y[0]); // the seed is the gradient's alone
            for (int i = 0; i < EARLY_N * EARLY_C; i++)
                CHECK_NEAR(e.dx[i], 4 * (double)r.dx[0][i], tolerance);
            for (int i = 0; i < EARLY_V * EARLY_C && !e.frozen; i++)
                CHECK_NEAR(e.dw[i], 4 * (double)r.dx[1][i] + (form & 1 ? i % 7 : 0), tolerance);
            for (int i = 0; i < EARLY_V * EARLY_C && e.frozen; i++)
                CHECK(form & 1 ? e.dw[i] == (float)(i % 7) : isnan(e.dw[i]));
            op_run_free(&r);
        }
    free(x);
    free(w);
}

/* dw where the weight is the embedding too: the loss in one pass, or (apart) in two. */
static void run_tied(bool apart, const int32_t *ids, const OpInput in[5], float *dw)
{
    Run r;

    if (!run_open(&r, (GraphOptions){0}, F32, in[1].values, dw, in))
        return;
    Tensor *id = run_state(&r, I32, DIMS(EARLY_N), ids);
    Tensor *zero = run_state(&r, F32, DIMS(1), NULL);
    const Rows rows = {.offsets = r.offsets};
    Tensor *x = op_embedding(r.g, &rows, F32, id, &r.weight, NULL, NULL, NULL, NULL);
    Tensor *loss = run_loss(&r, x, (LinearCrossEntropyArgs){.chunk = 3});
    run_graph(&r, apart ? op_add(r.g, loss, zero) : loss, NULL, dw);
    run_close(&r);
}

static void shares_its_weight(void)
{
    const int32_t ids[] = {3, 0, 3, 18, 2, 7, 7}, target[] = {0, 3, 18, 2, 7, 7, 1};
    const int32_t offsets[] = {0, EARLY_N};
    float *w = normal_values(EARLY_W, 8), one[EARLY_W], two[EARLY_W];
    OpInput in[5];

    inputs(in, EARLY_N, EARLY_C, EARLY_V, w, w, target, offsets);
    memset(one, 0xFF, sizeof one);
    memset(two, 0xFF, sizeof two);
    run_tied(false, ids, in, one);
    run_tied(true, ids, in, two);
    for (int i = 0; i < EARLY_W; i++)
        CHECK_NEAR(one[i], two[i], 1e-6);
    free(w);
}

/* What lies in rows beyond the true count, or has no target, changes no bit. */
static void tail_rows_do_not_count(void)
{
    enum { N = 9, C = 4, V = 6, TRUE_N = 5 };
    const int32_t offsets[] = {0, TRUE_N};
    float *x = normal_values(N * C, 6), *w = normal_values(V * C, 7);
    int32_t target[N] = {1, 2, 3, 4, 5, 99, -7, 1 << 30, 0};
    OpInput in[5];
    OpRun a, b;

    inputs(in, N, C, V, x, w, target, offsets);
    if (op_run(build, &(LinearCrossEntropyArgs){.chunk = 4}, in, 5, (OpSetting){0}, &a)) {
        for (int i = TRUE_N; i < N; i++) {
            target[i] = i * 31 - 200;
            for (int k = 0; k < C; k++)
                x[i * C + k] = 1e4f;
        }
        if (op_run(build, &(LinearCrossEntropyArgs){.chunk = 4}, in, 5, (OpSetting){0}, &b)) {
            CHECK(a.y[0] == b.y[0]);
            CHECK(memcmp(a.dx[0], b.dx[0], TRUE_N * C * sizeof(float)) == 0);
            for (int i = TRUE_N * C; i < N * C; i++)
                CHECK(b.dx[0][i] == 0);
            CHECK(memcmp(a.dx[1], b.dx[1], V * C * sizeof(float)) == 0);
        }
        op_run_free(&b);
    }
    op_run_free(&a);
    free(x);
    free(w);
}

static void refuses_what_does_not_fit(void)
{
    const float x[12] = {0};
    const int32_t target[3] = {0}, offsets[] = {0, 3};
    OpInput in[5];

    inputs(in, 3, 2, 4, x, x, target, offsets);
    in[2].dim[0] = 2;
    check_refused(build, &(LinearCrossEntropyArgs){0}, in, 5, E_SHAPE, "targets has 2 elements");
    in[2].dim[0] = 3;
    check_refused(build, &(LinearCrossEntropyArgs){.classes = 5}, in, 5, E_SHAPE,
                  "linear_cross_entropy: 5 classes in rows of 4");
    check_refused(build, &(LinearCrossEntropyArgs){.label_smoothing = -1}, in, 5, E_SHAPE,
                  "label smoothing is -1");
    check_refused(build, &(LinearCrossEntropyArgs){.chunk = -2}, in, 5, E_SHAPE,
                  "chunks of -2 rows");
    in[1].dim[1] = 3;
    check_refused(build, &(LinearCrossEntropyArgs){0}, in, 5, E_SHAPE,
                  "x is [3, 2], weight [4, 3], expected [V, 2]");
}

int main(void)
{
    RUN(hand_values);
    RUN(passes_what_every_operator_must);
    RUN(agrees_where_paths_change);
    RUN(agrees_with_pytorch);
    RUN(agrees_with_its_parts);
    RUN(gives_its_gradients_early);
    RUN(shares_its_weight);
    RUN(tail_rows_do_not_count);
    RUN(refuses_what_does_not_fit);
    return test_result();
}
