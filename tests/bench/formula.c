/* Tests bench/formula.c, bench/shape.c and the formulas of every benchmark. */
#include "bench/formula.h"

#include "bench/shape.h"
#include "bench/timing.h"
#include "kernels/ops.h"
#include "tests/test.h"

#include <string.h>

static double value(const char *text, const BenchShape *k)
{
    double out = -1;

    CHECK_OK(formula_value(text, k, &out));
    return out;
}

static void counts(void)
{
    const BenchShape k = {.dtype = BF16, .count = 2, .key = {"N", "KV"}, .value = {3, 5}};

    CHECK_NEAR(value("2*N*KV*s", &k), 60, 0);
    CHECK_NEAR(value("N-KV-1", &k), -3, 0);
    CHECK_NEAR(value(" N + KV * 2 ", &k), 13, 0);
    CHECK_NEAR(value("(N+KV)*2/4/2", &k), 2, 0);
    CHECK_NEAR(value("1.5", &k), 1.5, 0);
}

static void refuses(void)
{
    static const char *const BAD[] = {"", "N+", "(N", "N)", "N KV", "*N", "N**2", "-N"};
    const BenchShape k = {.count = 1, .key = {"N"}, .value = {3}};
    double out;

    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        CHECK(formula_value(BAD[i], &(BenchShape){.count = 2, .key = {"N", "KV"}}, &out) ==
              E_FORMAT);
    CHECK(formula_value("N+", &k, &out) == E_FORMAT);
    CHECK(strstr(status_text(), "formula N+: expected a number, a key or '('") != NULL);
    CHECK(formula_value("Q", &k, &out) == E_CONFIG);
    CHECK_TEXT(status_text(), "formula Q: no key Q");
}

static void shapes(void)
{
    BenchShape k;
    char text[SHAPE_ROOM];

    CHECK_OK(shape_read(&bench_attention, "B=8,T=512,H=12,D=64", NULL, F32, &k));
    CHECK_TEXT(shape_text(&k, text), "B=8,T=512,H=12,D=64,KV=12");
    CHECK_OK(shape_read(&bench_attention, "B=8,T=512,H=12,D=64,KV=4", "H=6,causal=1", F16, &k));
    CHECK_TEXT(shape_text(&k, text), "B=8,T=512,H=6,D=64,KV=4,causal=1");
    CHECK(bench_size(&k, "H") == 6 && k.dtype == F16);
    CHECK(shape_read(&bench_add, "N=4", NULL, F32, &k) == E_USAGE);
    CHECK_TEXT(status_text(), "add wants the shape key C; its keys: N,C");
    CHECK(shape_read(&bench_add, "N=4,C=4", "N=4,Q=1", F32, &k) == E_USAGE);
    CHECK_TEXT(status_text(), "add has no shape key 'Q'; its keys: N,C");
}

static void check_shapes(const BenchOp *o, const char *const shapes[BENCH_SHAPES])
{
    BenchShape k;

    for (int n = 0; n < BENCH_SHAPES && shapes[n]; n++) {
        if (!CHECK_OK(shape_read(o, shapes[n], NULL, BF16, &k)))
            continue;
        CHECK(value(o->forward.bytes, &k) > 0 && value(o->forward.flops, &k) >= 0);
        CHECK(!o->backward.bytes ||
              (value(o->backward.bytes, &k) > 0 && value(o->backward.flops, &k) >= 0));
    }
}

/* Every benchmark's own formulas and listed sizes. */
static void benches(void)
{
    static const BenchOp *const ALL[] = {
#define BENCH(name) &bench_##name,
#include "bench/benches.def"
#undef BENCH
    };

    for (size_t i = 0; i < sizeof ALL / sizeof *ALL; i++) {
        const BenchOp *o = ALL[i];
        CHECK(o->shapes[0] != NULL);
        check_shapes(o, o->shapes);
        check_shapes(o, o->card_shapes);
        CHECK((o->backward.bytes != NULL) == (o->op->backward[DEVICE_CPU] != NULL));
    }
}

/* The goals of a card are measured there alone. */
static void lists(void)
{
    const Device cpu = {.kind = DEVICE_CPU, .name = "cpu"};
    const Device card = {.kind = DEVICE_CUDA, .name = "cuda"};
    const Device emulated = {.kind = DEVICE_CUDA, .name = "emulated"};

    CHECK(shape_list(&bench_attention, &card) == bench_attention.card_shapes);
    CHECK(strstr(bench_attention.card_shapes[0], "T=4096") != NULL);
    CHECK(shape_list(&bench_attention, &cpu) == bench_attention.shapes);
    CHECK(shape_list(&bench_attention, &emulated) == bench_attention.shapes);
    CHECK(shape_list(&bench_tanh, &card)[0] != NULL);
}

static void percentiles(void)
{
    double samples[] = {5, 1, 4, 2, 3, 11, 7, 8, 9, 10, 6};
    const Timing t = timing_of(samples, 11, 1);

    CHECK(t.median == 6 && t.low == 2 && t.high == 10 && t.samples == 11);
    const Timing two = timing_of((double[]){3, 1}, 2, 1);
    CHECK(two.median == 2 && two.low == 1 && two.high == 3);
}

int main(void)
{
    RUN(counts);
    RUN(refuses);
    RUN(shapes);
    RUN(benches);
    RUN(lists);
    RUN(percentiles);
    return test_result();
}
