/* Tests kernels/adamw.c. */
#include "kernels/ops.h"
#include "runtime/half.h"
#include "tests/check_op.h"
#include "tests/on_device.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The arrays of one run of updates. */
typedef struct Run {
    float *w, *gradient, *m, *v;
    uint16_t *copy;
    float scalars[STEP_SCALARS], training[TRAINING_SCALARS];
    int32_t counters[TRAINING_INTEGERS];
    int64_t P;
    Dtype copy_dtype;
    bool no_copy;
    int shift; // elements by which the arrays miss the start of their memory
} Run;

static void run_open(Run *r, int64_t P)
{
    *r = (Run){.P = P, .copy_dtype = BF16};
    r->w = normal_values(P, 1);
    r->gradient = normal_values(P, 2);
    r->m = calloc((size_t)P + 1, sizeof(float));
    r->v = calloc((size_t)P + 1, sizeof(float));
    r->copy = calloc((size_t)P + 1, sizeof(float));
    r->scalars[STEP_LEARNING_RATE] = 0.01f;
    r->training[TRAINING_GRADIENT_FACTOR] = 1;
}

static void run_close(Run *r)
{
    free(r->w), free(r->gradient), free(r->m), free(r->v), free(r->copy);
}

/* The arrays of a run on the device, each `shift` elements behind the start of its memory. */
enum { W, GRADIENT, M, V, COPY, SCALARS, TRAINING, COUNTERS, ARRAYS };
typedef struct Mirror {
    void *host, *memory;
    size_t bytes, shift;
    Tensor *tensor;
} Mirror;

static void mirror_open(Mirror *m, Device *d, Graph *g, Dtype dtype, int64_t n, void *host,
                        int shift)
{
    const size_t size = dtype_size(dtype);

    *m = (Mirror){.host = host, .bytes = (size_t)n * size, .shift = (size_t)shift * size};
    m->memory = on_device(d, NULL, m->bytes + m->shift);
    m->tensor = graph_state(g, "array", dtype, DIMS(n));
    if (m->tensor)
        m->tensor->data = (char *)m->memory + m->shift;
    to_device(d, (char *)m->memory + m->shift, host, m->bytes);
}

static void mirror_close(Mirror *m, Device *d)
{
    from_device(d, m->host, (char *)m->memory + m->shift, m->bytes);
    on_device_free(d, m->memory, m->bytes + m->shift);
}

/* `times` updates on the device under test. */
static Status update(Run *r, AdamwArgs args, int threads, int times)
{
    Device *d;
    Arena arena = {0};
    Mirror m[ARRAYS];
    Status s = test_device_open(test_device(), threads, &d);

    if (s)
        return s;
    Graph *g = graph_new(d, (GraphOptions){0});
    void *const array[] = {r->w, r->gradient, r->m, r->v};
    for (int i = W; i <= V; i++)
        mirror_open(&m[i], d, g, F32, r->P, array[i], r->shift);
    mirror_open(&m[COPY], d, g, r->copy_dtype, r->P, r->copy, r->shift);
    mirror_open(&m[SCALARS], d, g, F32, STEP_SCALARS, r->scalars, 0);
    mirror_open(&m[TRAINING], d, g, F32, TRAINING_SCALARS, r->training, 0);
    mirror_open(&m[COUNTERS], d, g, I32, TRAINING_INTEGERS, r->counters, 0);
    op_adamw(g, m[W].tensor, m[GRADIENT].tensor, m[M].tensor, m[V].tensor,
             r->no_copy ? NULL : m[COPY].tensor, m[SCALARS].tensor, m[TRAINING].tensor,
             m[COUNTERS].tensor, args);
    s = arena_open(&arena, d, ARENA_ALIGNMENT);
    if (!s)
        s = graph_compile(g, &arena);
    for (int i = 0; i < times && !s; i++) {
        r->counters[TRAINING_APPLIED]++; // op_global_norm's part
        to_device(d, m[COUNTERS].memory, r->counters, sizeof r->counters);
        s = graph_run(g, NULL);
    }
    if (!s)
        s = d->table->synchronise(d, NULL);
    graph_free(g);
    for (int i = 0; i < ARRAYS; i++)
        mirror_close(&m[i], d);
    arena_close(&arena);
    device_close(d);
    return s;
}

static void first_update_by_hand(void)
{
    const AdamwArgs args = {0.9f, 0.999f, 1e-8f, 0.1f, true, 1};
    Run r;

    run_open(&r, 2);
    r.w[0] = 1, r.w[1] = 2;
    r.gradient[0] = 0.5f, r.gradient[1] = -3;
    if (CHECK_OK(update(&r, args, 1, 1))) {
        // corrected, the first step is the gradient's sign; only the first element decays
        CHECK_NEAR(r.w[0], 1 - 0.01 * (1 + 0.1 * 1), 1e-6);
        CHECK_NEAR(r.w[1], 2 + 0.01, 1e-6);
        CHECK_NEAR(r.m[0], 0.05, 1e-6);
        CHECK_NEAR(r.v[1], 0.009, 1e-6);
        CHECK(r.copy[0] == bf16_from_float(r.w[0]) && r.copy[1] == bf16_from_float(r.w[1]));
    }
    run_close(&r);
}

/* The formula in double precision, for a range that ends in a rest of every kind. */
static void agrees_with_double_precision(bool correct)
{
    enum { P = 9001, STEPS = 5 };
    const AdamwArgs args = {0.9f, 0.98f, 1e-6f, 0.05f, correct, 4999};
    Run r, start;
    double worst = 0;

    run_open(&r, P);
    run_open(&start, P);
    r.training[TRAINING_GRADIENT_FACTOR] = 0.25f;
    if (CHECK_OK(update(&r, args, 2, STEPS)))
        for (int i = 0; i < P; i++) {
            double w = (double)start.w[i], m = 0, v = 0;
            const double g = 0.25 * (double)start.gradient[i];
            for (int t = 1; t <= STEPS; t++) {
                m = 0.9 * m + 0.1 * g;
                v = 0.98 * v + 0.02 * g * g;
                const double a = correct ? m / (1 - pow(0.9, t)) : m;
                const double b = correct ? v / (1 - pow(0.98, t)) : v;
                w -= 0.01 * (a / (sqrt(b) + 1e-6) + (i < 4999 ? 0.05 : 0) * w);
            }
            worst = fmax(worst, fabs((double)r.w[i] - w) / (1 + fabs(w)));
        }
    if (!CHECK(worst < 1e-6))
        printf("  error %.3g\n", worst);
    run_close(&r);
    run_close(&start);
}

static void with_bias_correction(void)
{
    agrees_with_double_precision(true);
}

static void without_bias_correction(void)
{
    agrees_with_double_precision(false);
}

static void a_skipped_update_changes_nothing(void)
{
    const AdamwArgs args = {0.9f, 0.999f, 1e-8f, 0.1f, true, 50};
    Run r, start;

    run_open(&r, 100);
    run_open(&start, 100);
    r.training[TRAINING_GRADIENT_FACTOR] = 0;
    r.gradient[3] = NAN;
    CHECK_OK(update(&r, args, 2, 1));
    CHECK(memcmp(r.w, start.w, 400) == 0 && memcmp(r.m, start.m, 400) == 0);
    CHECK(memcmp(r.v, start.v, 400) == 0 && memcmp(r.copy, start.copy, 200) == 0);
    run_close(&r);
    run_close(&start);
}

static void same_bits_with_one_thread_and_two(void)
{
    enum { P = 100003 };
    const AdamwArgs args = {0.9f, 0.999f, 1e-8f, 0.1f, true, 60001};
    Run one, two;

    run_open(&one, P);
    run_open(&two, P);
    one.copy_dtype = two.copy_dtype = F16;
    CHECK_OK(update(&one, args, 1, 3));
    CHECK_OK(update(&two, args, 2, 3));
    CHECK(memcmp(one.w, two.w, P * 4) == 0 && memcmp(one.v, two.v, P * 4) == 0);
    CHECK(memcmp(one.copy, two.copy, P * 2) == 0);
    for (int i = 0; i < P; i++)
        if (!CHECK(one.copy[i] == f16_from_float(one.w[i])))
            break;
    run_close(&one);
    run_close(&two);
}

/* Odd lengths and places, where nothing is aligned, and the other forms of the copy. */
static void neither_place_nor_copy_changes_bits(void)
{
    static const int64_t length[] = {1, 3, 4, 5, 1023, 1025, 4099};
    const AdamwArgs args = {0.9f, 0.999f, 1e-8f, 0.1f, true, 1};

    for (size_t i = 0; i < sizeof length / sizeof *length; i++)
        for (int shift = 0; shift < 4; shift++) {
            const size_t bytes = (size_t)length[i] * sizeof(float);
            Run base, other;
            run_open(&base, length[i]);
            run_open(&other, length[i]);
            base.copy_dtype = F32; // a copy of the same numbers
            other.copy_dtype = F16;
            other.shift = shift;
            other.no_copy = shift == 3;
            CHECK_OK(update(&base, args, 1, 2));
            CHECK_OK(update(&other, args, 1, 2));
            CHECK(memcmp(base.w, other.w, bytes) == 0 && memcmp(base.v, other.v, bytes) == 0);
            CHECK(memcmp(base.w, base.copy, bytes) == 0 && memcmp(base.m, other.m, bytes) == 0);
            for (int64_t k = 0; k < length[i]; k++)
                if (!CHECK(other.copy[k] == (shift == 3 ? 0 : f16_from_float(other.w[k]))))
                    break;
            run_close(&base);
            run_close(&other);
        }
}

static Tensor *give(Graph *g, const char *name, Dtype dtype, int64_t n, void *data)
{
    Tensor *x = graph_state(g, name, dtype, DIMS(n));

    if (x)
        x->data = data;
    return x;
}

static void refuses_lengths_that_differ(void)
{
    Device *d;

    if (!CHECK_OK(device_open("cpu", 1, &d)))
        return;
    Graph *g = graph_new(d, (GraphOptions){0});
    float x[16] = {0};
    op_adamw(g, give(g, "w", F32, 8, x), give(g, "g", F32, 9, x), give(g, "m", F32, 8, x),
             give(g, "v", F32, 8, x), NULL, give(g, "s", F32, STEP_SCALARS, x),
             give(g, "t", F32, TRAINING_SCALARS, x), NULL, (AdamwArgs){0});
    CHECK(graph_status(g) == E_SHAPE);
    CHECK_TEXT(status_text(), "adamw: gradient has 9 elements, master has 8");
    graph_free(g);
    device_close(d);
}

int main(void)
{
    RUN(first_update_by_hand);
    RUN(with_bias_correction);
    RUN(without_bias_correction);
    RUN(a_skipped_update_changes_nothing);
    RUN(same_bits_with_one_thread_and_two);
    RUN(neither_place_nor_copy_changes_bits);
    RUN(refuses_lengths_that_differ);
    return test_result();
}
