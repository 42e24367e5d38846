/* Times kernels/linear.c at the shapes of BERT-base and MiniLM, and the product alone (one plan of
 * kernels/gemm.h for all rows) beside it. */
#include "bench/bench.h"
#include "kernels/gemm.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct Shape {
    int64_t N, O, C;
    Dtype dtype;
    Activation act;
} Shape;

static Tensor *build(Bench *b, Graph *g, const void *context)
{
    const Shape *k = context;

    return op_linear(g, bench_activation(b, g, k->dtype, k->N, k->C),
                     bench_parameter(b, k->dtype, DIMS(k->O, k->C)),
                     bench_parameter(b, F32, DIMS(k->O)), k->act);
}

typedef struct Product {
    GemmPlan *plan[2]; // forward; or dx and dw
    void *x, *w, *y, *dw, *scratch;
} Product;

static void run_forward(void *context)
{
    Product *p = context;

    gemm_run(p->plan[0], NULL, p->x, p->w, p->y, NULL, p->scratch);
}

static void run_backward(void *context)
{
    Product *p = context;

    gemm_run(p->plan[0], NULL, p->y, p->w, p->x, NULL, p->scratch);
    gemm_run(p->plan[1], NULL, p->y, p->x, p->dw, NULL, p->scratch);
}

static Status plan_product(Device *d, const Shape *k, bool forward, Product *p)
{
    const Dtype t = k->dtype;
    const int64_t N = k->N, C = k->C, O = k->O;
    const Gemm y = {
        .m = N, .n = O, .k = C, .a = {t, C, false}, .b = {t, C, true}, .c = {t, O, false}};
    const Gemm dx = {
        .m = N, .n = C, .k = O, .a = {t, O, false}, .b = {t, C, false}, .c = {t, C, false}};
    const Gemm dw = {
        .m = O, .n = C, .k = N, .a = {t, O, true}, .b = {t, C, false}, .c = {F32, C, false}};
    Status s = gemm_make(&p->plan[0], d, forward ? y : dx);

    return s || forward ? s : gemm_make(&p->plan[1], d, dw);
}

static void bench_product(Bench *b, const Shape *k, const char *shape, bool forward, Cost cost)
{
    const size_t size = dtype_size(k->dtype);
    Product p = {.x = calloc((size_t)(k->N * k->C), size),
                 .w = calloc((size_t)(k->O * k->C), size),
                 .y = calloc((size_t)(k->N * k->O), size),
                 .dw = calloc((size_t)(k->O * k->C), 4)};

    if (!plan_product(bench_device(b), k, forward, &p)) {
        const size_t one = gemm_scratch(p.plan[0]), two = forward ? 0 : gemm_scratch(p.plan[1]);
        p.scratch = aligned_alloc(4096, ((one > two ? one : two) + 4096) / 4096 * 4096);
        bench_call(b, "product", shape, forward ? "forward" : "backward", cost,
                   forward ? run_forward : run_backward, &p);
    }
    gemm_free(p.plan[0]);
    gemm_free(p.plan[1]);
    free(p.x), free(p.w), free(p.y), free(p.dw), free(p.scratch);
}

void bench_linear(Bench *b)
{
    static const Shape list[] = {
        {2048, 768, 768, F32, 0},
        {2048, 3072, 768, F32, ACTIVATION_GELU},
        {2048, 768, 3072, F32, 0},
        {2048, 384, 384, F32, 0},
        {2048, 1536, 384, F32, ACTIVATION_GELU},
        {2048, 2, 768, F32, 0},
        {2048, 768, 768, BF16, 0},
        {2048, 3072, 768, BF16, ACTIVATION_GELU},
        {2048, 768, 3072, BF16, 0},
    };

    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const Shape *k = &list[i];
        const double flops = 2 * (double)k->N * (double)k->O * (double)k->C;
        const double bytes =
            (double)(k->N * (k->O + k->C) + k->O * k->C) * (double)dtype_size(k->dtype);
        BenchCase c = {.name = "linear",
                       .forward = {bytes, flops, k->dtype},
                       .backward = {2 * bytes, 2 * flops, k->dtype}};
        snprintf(c.shape, sizeof c.shape, "%s [%d, %d] x [%d, %d]%s", dtype_name(k->dtype),
                 (int)k->N, (int)k->C, (int)k->C, (int)k->O, k->act ? " gelu" : "");
        bench_op(b, &linear_op, c, build, k);
        bench_product(b, k, c.shape, true, c.forward);
        bench_product(b, k, c.shape, false, c.backward);
    }
}
