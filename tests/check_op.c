/* check_op.c - runs an operator in small graphs and compares what must agree. */
#include "tests/check_op.h"

#include "runtime/half.h"
#include "runtime/philox.h"
#include "tests/check_op_device.h"
#include "tests/on_device.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static float load(const Tensor *x, int64_t row, int64_t i)
{
    const void *p = tensor_row(x, row);

    return x->dtype == F32    ? ((const float *)p)[i]
           : x->dtype == BF16 ? float_from_bf16(((const uint16_t *)p)[i])
                              : float_from_f16(((const uint16_t *)p)[i]);
}

static void put(const Tensor *x, int64_t row, int64_t i, float value)
{
    void *p = tensor_row(x, row);

    if (x->dtype == F32)
        ((float *)p)[i] = value;
    else
        ((uint16_t *)p)[i] = x->dtype == BF16 ? bf16_from_float(value) : f16_from_float(value);
}

/* out [1] = sum over elements of y * seed; stands for whatever comes after the operator. */
static Status weigh_shape(Call *c)
{
    call_output(c, 0, F32, DIMS(1));
    return graph_status(c->graph);
}

static void weigh_forward(Call *c)
{
    const Tensor *y = c->in[0];
    const float *seed = c->in[1]->data;
    double sum = 0;

    for (int64_t n = 0; n < tensor_rows(y); n++)
        for (int64_t i = 0; i < tensor_columns(y); i++)
            sum += (double)load(y, n, i) * (double)*seed++;
    *(float *)c->out[0]->data = (float)sum;
}

static void weigh_backward(Call *c)
{
    const Tensor *dy = c->din[0];
    const float *seed = c->in[1]->data, scale = *(const float *)c->dout[0]->data;

    for (int64_t n = 0; n < tensor_rows(dy); n++)
        for (int64_t i = 0; i < tensor_columns(dy); i++) {
            const float before = c->accumulate & 1 ? load(dy, n, i) : 0;
            put(dy, n, i, before + scale * *seed++);
        }
}

static const Op weigh_op = {
    .name = "weigh",
    .shape = weigh_shape,
    .forward = {weigh_forward, IF_CUDA(weigh_forward_cuda)},
    .backward = {weigh_backward, IF_CUDA(weigh_backward_cuda)},
    .reads_inputs = 1u << 1,
};

static Status total_shape(Call *c)
{
    call_output(c, 0, F32, DIMS(1));
    return graph_status(c->graph);
}

static void total_forward(Call *c)
{
    *(float *)c->out[0]->data = *(float *)c->in[0]->data + *(float *)c->in[1]->data;
}

static void total_backward(Call *c)
{
    for (int i = 0; i < 2; i++)
        *(float *)c->din[i]->data = *(float *)c->dout[0]->data;
}

static const Op total_op = {
    .name = "total",
    .shape = total_shape,
    .forward = {total_forward, IF_CUDA(total_forward_cuda)},
    .backward = {total_backward, IF_CUDA(total_backward_cuda)},
};

typedef struct Bench {
    Device *device;
    Graph *g;
    Arena arena;
    Tensor *in[CHECK_INPUTS], *y, *seed[2];
} Bench;

static size_t bytes_of(const Tensor *x)
{
    return (size_t)tensor_size(x) * dtype_size(x->dtype);
}

static Tensor *give_input(Bench *b, const OpInput *in, Dtype dtype)
{
    const Dtype kept = in->places ? I32 : in->keep_f32 ? F32 : dtype;
    Tensor *x = graph_state(b->g, "input", kept, in->ndim, in->dim);
    const int64_t n = tensor_size(x);
    void *host = calloc((size_t)n + 1, dtype_size(kept));

    for (int64_t i = 0; i < n; i++)
        if (in->places)
            ((int32_t *)host)[i] = in->places[i];
        else
            put(&(Tensor){.data = host, .dtype = kept}, 0, i, in->values[i]);
    x->data = on_device(b->device, host, bytes_of(x));
    free(host);
    return x;
}

static float seed_at(int64_t i)
{
    return (float)(i * 7919 % 23) / 11 - 1;
}

static Tensor *weigh(Bench *b, Tensor *y, Tensor **kept)
{
    Tensor *seed = y ? graph_state(b->g, "seed", F32, DIMS(tensor_size(y))) : NULL;

    if (!seed)
        return NULL;
    float *host = malloc(bytes_of(seed) + 1);
    for (int64_t i = 0; i < tensor_size(seed); i++)
        host[i] = seed_at(i);
    seed->data = on_device(b->device, host, bytes_of(seed));
    free(host);
    *kept = seed;
    return call_result(graph_record(b->g, &weigh_op, INPUTS(y, seed), NULL, 0), 0);
}

static Status bench_open(Bench *b, OpBuild build, const void *context, const OpInput *in, int count,
                         OpSetting s)
{
    *b = (Bench){0};
    Status status = test_device_open(s.device ? s.device : test_device(), s.threads ? s.threads : 2,
                                     &b->device);

    if (status)
        return status;
    b->g = graph_new(b->device, (GraphOptions){.training = !s.inference, .keep_all = true});
    for (int i = 0; i < count; i++) {
        if (!in[i].ndim)
            continue;
        b->in[i] = give_input(b, &in[i], s.dtype);
        if (in[i].wants_gradient && !s.inference)
            graph_want_gradient(b->g, b->in[i]);
    }
    b->y = build(b->g, b->in, s.dtype, context);
    Tensor *root = s.inference ? NULL : weigh(b, b->y, &b->seed[0]);
    if (s.twice) {
        Tensor *other = weigh(b, build(b->g, b->in, s.dtype, context), &b->seed[1]);
        root = call_result(graph_record(b->g, &total_op, INPUTS(root, other), NULL, 0), 0);
    }
    status = s.inference ? graph_status(b->g) : graph_backward(b->g, root, NULL);
    if (!status)
        status = graph_plan(b->g);
    if (!status)
        status = arena_open(&b->arena, b->device, graph_bytes(b->g) + ARENA_ALIGNMENT);
    if (!status)
        status = graph_compile(b->g, &b->arena);
    return status;
}

static void give_back(Bench *b, Tensor *x)
{
    if (x)
        on_device_free(b->device, x->data, bytes_of(x));
}

static void bench_close(Bench *b)
{
    for (int i = 0; i < CHECK_INPUTS; i++)
        give_back(b, b->in[i]);
    for (int i = 0; i < 2; i++)
        give_back(b, b->seed[i]);
    graph_free(b->g);
    if (b->device)
        arena_close(&b->arena);
    device_close(b->device);
}

static Status bench_run(Bench *b)
{
    const DeviceTable *t = b->device->table;
    Status s = t->fill(b->device, NULL, b->arena.data, 0xFF, b->arena.bytes);

    if (!s)
        s = graph_run(b->g, NULL);
    return s ? s : t->synchronise(b->device, NULL);
}

static float *values_of(const Bench *b, const Tensor *x)
{
    const int64_t N = tensor_rows(x), C = tensor_columns(x);
    const size_t bytes = (size_t)C * dtype_size(x->dtype);
    float *out = malloc((size_t)(N * C) * sizeof *out + 1);
    void *row = malloc(bytes + 1);

    for (int64_t n = 0; n < N; n++) {
        from_device(b->device, row, tensor_row(x, n), bytes);
        for (int64_t i = 0; i < C; i++)
            out[n * C + i] = load(&(Tensor){.data = row, .dtype = x->dtype}, 0, i);
    }
    free(row);
    return out;
}

bool op_run(OpBuild build, const void *context, const OpInput *in, int count, OpSetting s,
            OpRun *out)
{
    Bench b;
    *out = (OpRun){0};
    bool good = CHECK_OK(bench_open(&b, build, context, in, count, s));

    for (int i = 0; i < (s.runs ? s.runs : 1) && good; i++)
        good = CHECK_OK(bench_run(&b));
    if (good) {
        out->y = values_of(&b, b.y);
        out->y_count = tensor_size(b.y);
        for (int i = 0; i < count && !s.inference; i++)
            if (in[i].wants_gradient && CHECK(graph_gradient(b.g, b.in[i]) != NULL))
                out->dx[i] = values_of(&b, graph_gradient(b.g, b.in[i]));
    }
    bench_close(&b);
    return good;
}

void op_run_free(OpRun *r)
{
    free(r->y);
    for (int i = 0; i < CHECK_INPUTS; i++)
        free(r->dx[i]);
    *r = (OpRun){0};
}

static int64_t input_size(const OpInput *in)
{
    int64_t n = 1;

    for (int i = 0; i < in->ndim; i++)
        n *= in->dim[i];
    return n;
}

static double weighted(Bench *b)
{
    double sum = 0;

    if (!CHECK_OK(bench_run(b)))
        return NAN;
    for (int64_t n = 0, k = 0; n < tensor_rows(b->y); n++)
        for (int64_t i = 0; i < tensor_columns(b->y); i++, k++)
            sum += (double)load(b->y, n, i) * (double)seed_at(k);
    return sum;
}

static void check_differences(OpBuild build, const void *context, const OpInput *in, int count,
                              const OpRun *base, OpCheck c)
{
    Bench b;

    if (!CHECK_OK(bench_open(&b, build, context, in, count, (OpSetting){.device = "cpu"}))) {
        bench_close(&b);
        return;
    }
    for (int k = 0; k < count; k++)
        for (int64_t i = 0; in[k].wants_gradient && i < input_size(&in[k]); i++) {
            float *at = (float *)b.in[k]->data + i;
            const float middle = *at;
            *at = middle + (float)c.step;
            const double high = weighted(&b), above = (double)*at;
            *at = middle - (float)c.step;
            const double low = weighted(&b), below = (double)*at;
            *at = middle;
            if (!CHECK_NEAR(base->dx[k][i], (high - low) / (above - below), c.tolerance)) {
                printf("  wrong gradient: input %d, element %d\n", k, (int)i);
                break;
            }
        }
    bench_close(&b);
}

static bool same_bits(const float *a, const float *b, int64_t n)
{
    return a && b && memcmp(a, b, (size_t)n * sizeof *a) == 0;
}

static void check_same(const OpInput *in, int count, const OpRun *a, const OpRun *b,
                       const char *what)
{
    if (!CHECK(same_bits(a->y, b->y, a->y_count)))
        printf("  other bits of y: %s\n", what);
    for (int k = 0; k < count; k++)
        if (in[k].wants_gradient && !CHECK(same_bits(a->dx[k], b->dx[k], input_size(&in[k]))))
            printf("  other bits of gradient %d: %s\n", k, what);
}

static void check_close(const float *got, const float *want, int64_t n, double tolerance,
                        const char *what, int k)
{
    double largest = 1e-6, worst = 0;

    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)want[i]));
    for (int64_t i = 0; i < n; i++) {
        const double error = fabs((double)got[i] - (double)want[i]) / largest;
        worst = error <= worst ? worst : isnan(error) ? INFINITY : error;
    }
    if (!CHECK(worst <= tolerance))
        printf("  %s %d: relative error %.3g, tolerance %.3g\n", what, k, worst, tolerance);
}

static void check_storage(OpBuild build, const void *context, const OpInput *in, int count,
                          const OpRun *base, Dtype dtype, double tolerance)
{
    OpRun r;

    if (tolerance < 0 || !op_run(build, context, in, count, (OpSetting){.dtype = dtype}, &r))
        return;
    check_close(r.y, base->y, base->y_count, tolerance, dtype_name(dtype), -1);
    for (int k = 0; k < count; k++)
        if (in[k].wants_gradient)
            check_close(r.dx[k], base->dx[k], input_size(&in[k]), tolerance, dtype_name(dtype), k);
    op_run_free(&r);
}

static void check_doubles(OpBuild build, const void *context, const OpInput *in, int count,
                          const OpRun *base)
{
    OpRun other;

    if (op_run(build, context, in, count, (OpSetting){.twice = true}, &other))
        for (int k = 0; k < count; k++)
            for (int64_t i = 0; in[k].wants_gradient && i < input_size(&in[k]); i++)
                if (!CHECK_NEAR(other.dx[k][i], 2 * (double)base->dx[k][i], 2e-6)) {
                    printf("  does not add: input %d, element %d\n", k, (int)i);
                    break;
                }
    op_run_free(&other);
}

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = true };
#else
enum { SANITIZED = false };
#endif

/* Whether four runs more are worth their time. */
static bool replays(Dtype dtype)
{
    return !test_briefly() && (!SANITIZED || dtype == F32);
}

/* The device of the tests against the CPU, in one dtype; then run until a recorded graph is what
 * runs (graph_run.c), for the same bits. */
static void check_device(OpBuild build, const void *context, const OpInput *in, int count,
                         Dtype dtype, double tolerance)
{
    OpRun cpu = {0}, here = {0}, again = {0};
    char what[64];

    snprintf(what, sizeof what, "%s in %s against the CPU:", test_device(), dtype_name(dtype));
    if (op_run(build, context, in, count, (OpSetting){.device = "cpu", .dtype = dtype}, &cpu) &&
        op_run(build, context, in, count, (OpSetting){.dtype = dtype}, &here)) {
        check_close(here.y, cpu.y, cpu.y_count, tolerance, what, -1);
        for (int k = 0; k < count; k++)
            if (in[k].wants_gradient)
                check_close(here.dx[k], cpu.dx[k], input_size(&in[k]), tolerance, what, k);
        if (replays(dtype) &&
            op_run(build, context, in, count, (OpSetting){.dtype = dtype, .runs = 4}, &again))
            check_same(in, count, &again, &here, "fourth run");
    }
    op_run_free(&cpu);
    op_run_free(&here);
    op_run_free(&again);
}

static void check_op_on_device(OpBuild build, const void *context, const OpInput *in, int count,
                               OpCheck c)
{
    OpRun base;

    check_device(build, context, in, count, F32,
                 c.device_tolerance > 0 ? c.device_tolerance : 2e-5);
    if (c.bf16_tolerance >= 0)
        check_device(build, context, in, count, BF16,
                     c.device_bf16_tolerance > 0 ? c.device_bf16_tolerance : 1e-2);
    if (c.f16_tolerance >= 0 && !test_briefly())
        check_device(build, context, in, count, F16,
                     c.device_f16_tolerance > 0 ? c.device_f16_tolerance : 2e-3);
    if (!c.random && op_run(build, context, in, count, (OpSetting){0}, &base)) {
        check_doubles(build, context, in, count, &base);
        op_run_free(&base);
    }
}

void check_op(OpBuild build, const void *context, const OpInput *in, int count, OpCheck c)
{
    OpRun base = {0}, other = {0};

    if (!test_on_cpu()) {
        check_op_on_device(build, context, in, count, c);
        return;
    }
    c.step = c.step > 0 ? c.step : 1e-2;
    c.tolerance = c.tolerance > 0 ? c.tolerance : 5e-3;
    c.bf16_tolerance = c.bf16_tolerance != 0 ? c.bf16_tolerance : 3e-2;
    c.f16_tolerance = c.f16_tolerance != 0 ? c.f16_tolerance : 5e-3;
    if (!op_run(build, context, in, count, (OpSetting){0}, &base))
        return;
    check_differences(build, context, in, count, &base, c);
    if (op_run(build, context, in, count, (OpSetting){0}, &other))
        check_same(in, count, &other, &base, "second run");
    op_run_free(&other);
    if (op_run(build, context, in, count, (OpSetting){.threads = 1}, &other))
        check_same(in, count, &other, &base, "one thread");
    op_run_free(&other);
    if (!c.random)
        check_doubles(build, context, in, count, &base);
    check_storage(build, context, in, count, &base, BF16, c.bf16_tolerance);
    check_storage(build, context, in, count, &base, F16, c.f16_tolerance);
    op_run_free(&base);
}

void check_compiles(OpBuild build, const void *context, const OpInput *in, int count, OpSetting s,
                    Status code, const char *text)
{
    Bench b;
    const Status got = bench_open(&b, build, context, in, count, s);

    if (!CHECK(got == code) || !CHECK(!code || strstr(status_text(), text) != NULL))
        printf("  said: %s; wanted: %s\n", got ? status_text() : "no error", text);
    bench_close(&b);
}

void check_refused(OpBuild build, const void *context, const OpInput *in, int count, Status code,
                   const char *text)
{
    check_compiles(build, context, in, count, (OpSetting){0}, code, text);
}

float *normal_values(int64_t count, uint64_t seed)
{
    float *out = malloc((size_t)count * sizeof *out + 1);

    for (int64_t i = 0; i < count; i++) {
        const Philox r = philox(philox_seed(seed), 1, (uint32_t)i, 0, 0, 0);
        out[i] = sqrtf(-2 * logf(philox_uniform(r.word[0]))) *
                 cosf(6.2831853f * philox_uniform(r.word[1]));
    }
    return out;
}
