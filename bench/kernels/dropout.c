/* Times kernels/dropout.c at the shapes of BERT-base and MiniLM. */
#include "bench/bench.h"
#include "kernels/ops.h"

#include <stdio.h>

typedef struct Shape {
    int64_t N, C;
    Dtype dtype;
} Shape;

static Tensor *build(Bench *b, Graph *g, const void *context)
{
    const Shape *k = context;

    const Rows rows = bench_rows(b, g, k->N, 128);

    return op_dropout(g, bench_activation(b, g, k->dtype, k->N, k->C), &rows, bench_step(b, g),
                      0.1f);
}

void bench_dropout(Bench *b)
{
    static const Shape list[] = {{8192, 768, F32}, {8192, 768, BF16}, {2048, 384, F32}};

    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const double size = (double)(list[i].N * list[i].C) * (double)dtype_size(list[i].dtype);
        BenchCase c = {.name = "dropout",
                       .forward = {2 * size, 0, F32},   // reads x, writes y
                       .backward = {2 * size, 0, F32}}; // reads dy, writes dx
        snprintf(c.shape, sizeof c.shape, "%s [%d, %d]", dtype_name(list[i].dtype), (int)list[i].N,
                 (int)list[i].C);
        bench_op(b, &dropout_op, c, build, &list[i]);
    }
}
