/* Times kernels/add_layernorm.c at the shapes of BERT-base and MiniLM. */
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

    return op_add_layernorm(g, bench_activation(b, g, k->dtype, k->N, k->C),
                            bench_activation(b, g, k->dtype, k->N, k->C),
                            bench_parameter(b, F32, DIMS(k->C)),
                            bench_parameter(b, F32, DIMS(k->C)), (LayernormArgs){1e-12f}, NULL);
}

void bench_add_layernorm(Bench *b)
{
    static const Shape list[] = {{4096, 768, F32}, {4096, 768, BF16}, {4096, 384, F32}};

    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const double size = (double)(list[i].N * list[i].C) * (double)dtype_size(list[i].dtype);
        BenchCase c = {
            .name = "add_layernorm",
            .forward = {4 * size, 0, F32},   // reads x and the residual, writes sum and y
            .backward = {4 * size, 0, F32}}; // reads the sum and dy, writes both gradients
        snprintf(c.shape, sizeof c.shape, "%s [%d, %d]", dtype_name(list[i].dtype), (int)list[i].N,
                 (int)list[i].C);
        bench_op(b, &add_layernorm_op, c, build, &list[i]);
    }
}
