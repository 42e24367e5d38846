/* bench.c - cairn-bench [PATTERN] [--json] [--threads N] [--repeats N] [--cpu-time]
 *
 * Runs every benchmark whose operator's name has PATTERN in it; NAME/SHAPE runs of those the cases
 * whose shape has SHAPE in it ("linear/bf16"). A line a case: time (median, least
 * and most), bytes or FLOP a second, and the share of the limit: the time that copying the bytes, or
 * multiplying, would take at the rates measured at the start, over the median. A share above 100 %
 * means that the caches held what was counted. --cpu-time, for a machine that others use meanwhile,
 * counts only this process's work: of use with --threads 1.
 */
#include "bench/bench.h"

#include "bench/limits.h"
#include "runtime/graph_parts.h"
#include "runtime/philox.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 64, MOST_REPEATS = 1000 };

struct Bench {
    Device *device;
    Limits limits;
    const char *shape; // only cases that have this in their shape
    bool json;
    Clock clock;
    int repeats; // 0: by time
    void *block[BLOCKS];
    int blocks;
};

Device *bench_device(const Bench *b)
{
    return b->device;
}

void *bench_memory(Bench *b, size_t bytes)
{
    void *memory = b->blocks < BLOCKS ? aligned_alloc(4096, (bytes + 4096) / 4096 * 4096) : NULL;

    if (!memory) {
        fprintf(stderr, "cairn-bench: no memory for %zu bytes\n", bytes);
        exit(1);
    }
    memset(memory, 0, bytes);
    return b->block[b->blocks++] = memory;
}

static void drop_memory(Bench *b)
{
    while (b->blocks)
        free(b->block[--b->blocks]);
}

/* Cheap numbers around zero; the operators' speed does not depend on more. */
static void *numbers(Bench *b, Dtype dtype, int64_t count)
{
    void *data = bench_memory(b, (size_t)count * dtype_size(dtype));

    for (int64_t i = 0; i < count; i++) {
        const float x = (float)(philox_seed((uint64_t)i) % 2001) / 1000 - 1;
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        if (dtype == F32)
            ((float *)data)[i] = x;
        else // of F16 some finite numbers
            ((uint16_t *)data)[i] = dtype == BF16 ? (uint16_t)(bits >> 16) : (uint16_t)(bits >> 18);
    }
    return data;
}

Tensor *bench_input(Bench *b, Graph *g, Dtype dtype, int ndim, const int64_t dim[])
{
    Tensor *x = graph_state(g, "input", dtype, ndim, dim);

    if (x)
        x->data = numbers(b, dtype, tensor_size(x));
    return x;
}

Tensor *bench_activation(Bench *b, Graph *g, Dtype dtype, int64_t rows, int64_t columns)
{
    Tensor *x = bench_input(b, g, dtype, DIMS(rows, columns));

    graph_want_gradient(g, x);
    return x;
}

Tensor *bench_parameter(Bench *b, Dtype dtype, int ndim, const int64_t dim[])
{
    Tensor *x = bench_memory(b, 2 * sizeof *x), *dx = x + 1;

    *x = (Tensor){.ndim = ndim, .dtype = dtype, .home = TENSOR_PARAMETER, .id = -1};
    for (int i = 0; i < ndim; i++)
        x->dim[i] = dim[i];
    x->stride = tensor_columns(x);
    *dx = *x;
    dx->dtype = F32;
    x->data = numbers(b, dtype, tensor_size(x));
    dx->data = bench_memory(b, (size_t)tensor_size(x) * sizeof(float));
    x->gradient = dx;
    x->wants_gradient = true;
    return x;
}

Tensor *bench_places(Bench *b, Graph *g, int64_t count, int32_t below)
{
    Tensor *x = graph_state(g, "places", I32, DIMS(count));
    int32_t *data = bench_memory(b, (size_t)count * sizeof *data);

    for (int64_t i = 0; i < count; i++)
        data[i] = (int32_t)(philox_seed((uint64_t)i) % (uint32_t)below);
    if (x)
        x->data = data;
    return x;
}

Rows bench_rows(Bench *b, Graph *g, int64_t rows, int64_t length)
{
    const int64_t B = (rows + length - 1) / length;
    Rows r = {.offsets = bench_places(b, g, B + 1, 1),
              .sample = bench_places(b, g, rows, 1),
              .position = bench_places(b, g, rows, 1),
              .longest = length};

    for (int64_t i = 0; i <= B; i++)
        ((int32_t *)r.offsets->data)[i] = (int32_t)(i * length < rows ? i * length : rows);
    for (int64_t n = 0; n < rows; n++) {
        ((int32_t *)r.sample->data)[n] = (int32_t)(n / length);
        ((int32_t *)r.position->data)[n] = (int32_t)(n % length);
    }
    return r;
}

Tensor *bench_step(Bench *b, Graph *g)
{
    return bench_places(b, g, STEP_INTEGERS, 1 << 30);
}

Tensor *bench_scalars(Bench *b, Graph *g)
{
    return bench_input(b, g, F32, DIMS(STEP_SCALARS));
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Once to warm up, then for about half a second. */
static int sample(const Bench *b, void (*call)(void *context), void *context, double times[])
{
    call(context);
    const double begin = seconds_now(b->clock);
    int n = 0;

    while (n < MOST_REPEATS &&
           (b->repeats ? n < b->repeats : n < 7 || seconds_now(b->clock) - begin < 0.5)) {
        const double start = seconds_now(b->clock);
        call(context);
        times[n++] = seconds_now(b->clock) - start;
    }
    qsort(times, (size_t)n, sizeof *times, ascending);
    return n;
}

void bench_call(Bench *b, const char *name, const char *shape, const char *pass, Cost cost,
                void (*call)(void *context), void *context)
{
    static double times[MOST_REPEATS];

    if (!strstr(shape, b->shape))
        return;
    const int n = sample(b, call, context, times);
    const double median = times[n / 2];
    const double rate = cost.dtype == F32 ? b->limits.f32 : b->limits.bf16;
    const double copying = cost.bytes / b->limits.copy, multiplying = cost.flops / rate;
    const double share = 100 * fmax(copying, multiplying) / median;

    if (b->json)
        printf("{\"name\": \"%s\", \"shape\": \"%s\", \"pass\": \"%s\", \"median_ms\": %.4f, "
               "\"least_ms\": %.4f, \"most_ms\": %.4f, \"bytes\": %.0f, \"flops\": %.0f, "
               "\"limit_ms\": %.4f, \"share_percent\": %.1f}\n",
               name, shape, pass, median * 1e3, times[0] * 1e3, times[n - 1] * 1e3, cost.bytes,
               cost.flops, fmax(copying, multiplying) * 1e3, share);
    else
        printf("%-14s %-30s %-9s %9.3f ms (%.3f to %.3f) %7.1f GB/s %7.1f GFLOP/s %6.1f %%\n", name,
               shape, pass, median * 1e3, times[0] * 1e3, times[n - 1] * 1e3,
               cost.bytes / median * 1e-9, cost.flops / median * 1e-9, share);
    fflush(stdout);
}

/* Stands for what comes after the operator: [1] = 0, and its gradient is all ones. */
static Status rest_shape(Call *c)
{
    call_output(c, 0, F32, DIMS(1));
    return graph_status(c->graph);
}

static void rest_forward(Call *c)
{
    *(float *)c->out[0]->data = 0;
}

static void rest_backward(Call *c)
{
    const Tensor *dx = c->din[0];
    const size_t bytes = (size_t)tensor_columns(dx) * dtype_size(dx->dtype);

    for (int64_t n = 0; n < tensor_rows(dx); n++)
        memset(tensor_row(dx, n), 0x3F, bytes); // 0.75 or so in every dtype
}

static const Op rest_op = {
    .name = "rest", .shape = rest_shape, .forward = {rest_forward}, .backward = {rest_backward}};

static void run_instruction(void *context)
{
    Call *c = context;

    c->run(c);
}

static void time_calls(Bench *b, Graph *g, const Op *op, const BenchCase *c)
{
    for (Pass pass = FORWARD; pass <= BACKWARD; pass++)
        for (int i = graph_length(g) - 1; i >= 0; i--) {
            if (g->call[i]->op != op || g->call[i]->pass != pass)
                continue;
            bench_call(b, c->name, c->shape, pass == FORWARD ? "forward" : "backward",
                       pass == FORWARD ? c->forward : c->backward, run_instruction, g->call[i]);
            break;
        }
}

void bench_op(Bench *b, const Op *op, BenchCase c, BenchBuild build, const void *context)
{
    const bool training = c.backward.bytes > 0 || c.backward.flops > 0;

    if (!strstr(c.shape, b->shape))
        return;
    Graph *g = graph_new(b->device, (GraphOptions){.training = training, .keep_all = true});
    Tensor *y = build(b, g, context);
    Arena arena = {0};
    Status s = OK;

    if (training && y && tensor_size(y) != 1)
        y = call_result(graph_record(g, &rest_op, INPUTS(y), NULL, 0), 0);
    s = training ? graph_backward(g, y, NULL) : graph_status(g);
    if (!s)
        s = graph_plan(g);
    if (!s)
        s = arena_open(&arena, b->device, graph_bytes(g) + ARENA_ALIGNMENT);
    if (!s)
        s = graph_compile(g, &arena);
    if (!s)
        s = graph_run(g, NULL);
    if (s)
        fprintf(stderr, "cairn-bench: %s %s: %s\n", c.name, c.shape, status_text());
    else
        time_calls(b, g, op, &c);
    graph_free(g);
    arena_close(&arena);
    drop_memory(b);
}

static const struct {
    const char *name;
    void (*run)(Bench *b);
} BENCHES[] = {
#define BENCH(name) {#name, bench_##name},
#include "bench/benches.def"
#undef BENCH
};

static int usage(void)
{
    fprintf(stderr, "usage: cairn-bench [PATTERN] [--json] [--threads N] [--repeats N] "
                    "[--cpu-time]\n");
    return 2;
}

int main(int argc, char **argv)
{
    Bench b = {.shape = ""};
    char name[64] = "";
    int threads = 0;

    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--json"))
            b.json = true;
        else if (!strcmp(argv[i], "--cpu-time"))
            b.clock = CPU_TIME;
        else if (!strcmp(argv[i], "--threads") && i + 1 < argc)
            threads = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--repeats") && i + 1 < argc)
            b.repeats = atoi(argv[++i]);
        else if (argv[i][0] == '-')
            return usage();
        else
            snprintf(name, sizeof name, "%s", argv[i]);
    char *slash = strchr(name, '/');
    if (slash) {
        *slash = '\0';
        b.shape = slash + 1;
    }
    if (device_open("cpu", threads, &b.device)) {
        fprintf(stderr, "cairn-bench: %s\n", status_text());
        return 1;
    }
    char device[128];
    device_describe(b.device, device, sizeof device);
    b.limits = limits_measure(b.device->threads, b.clock);
    if (b.json)
        printf("{\"device\": \"%s\", \"copy_bytes_per_second\": %.4g, \"f32_flops\": %.4g, "
               "\"bf16_flops\": %.4g}\n",
               device, b.limits.copy, b.limits.f32, b.limits.bf16);
    else
        printf("%s: copy %.1f GB/s, F32 %.0f GFLOP/s, BF16 %.0f GFLOP/s\n", device,
               b.limits.copy * 1e-9, b.limits.f32 * 1e-9, b.limits.bf16 * 1e-9);
    for (size_t i = 0; i < sizeof BENCHES / sizeof *BENCHES; i++)
        if (strstr(BENCHES[i].name, name))
            BENCHES[i].run(&b);
    device_close(b.device);
    return 0;
}
