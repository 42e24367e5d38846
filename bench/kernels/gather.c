/* Times kernels/gather.c at the shapes of BERT-base and MiniLM. */
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

    return op_gather(g, bench_activation(b, g, k->dtype, k->N, k->C),
                     bench_places(b, g, k->N, (int32_t)k->N));
}

void bench_gather(Bench *b)
{
    static const Shape list[] = {{8192, 768, F32}, {8192, 768, BF16}};

    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const double size = (double)(list[i].N * list[i].C) * (double)dtype_size(list[i].dtype);
        BenchCase c = {.name = "gather",
                       .forward = {2 * size, 0, F32},   // reads and writes each row
                       .backward = {2 * size, 0, F32}}; // reads dy, writes dx
        snprintf(c.shape, sizeof c.shape, "%s [%d, %d]", dtype_name(list[i].dtype), (int)list[i].N,
                 (int)list[i].C);
        bench_op(b, &gather_op, c, build, &list[i]);
    }
}
