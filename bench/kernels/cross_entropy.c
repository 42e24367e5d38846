/* Times kernels/cross_entropy.c over vocabularies of BERT and GPT-2; its gradient comes with the
 * forward pass where the loss is the graph's root, so that pass is all there is. */
#include "bench/bench.h"
#include "kernels/ops.h"

#include <stdio.h>

typedef struct Shape {
    int64_t N, V;
    Dtype dtype;
} Shape;

static Tensor *build(Bench *b, Graph *g, const void *context)
{
    const Shape *k = context;
    const Rows rows = bench_rows(b, g, k->N, k->N);

    return op_cross_entropy(g, bench_activation(b, g, k->dtype, k->N, k->V),
                            bench_places(b, g, k->N, (int32_t)k->V), &rows, bench_scalars(b, g),
                            (CrossEntropyArgs){0});
}

void bench_cross_entropy(Bench *b)
{
    static const Shape list[] = {{512, 30522, F32}, {512, 30522, BF16}, {256, 50257, F32}};

    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const double size = (double)(list[i].N * list[i].V) * (double)dtype_size(list[i].dtype);
        BenchCase c = {.name = "cross_entropy",
                       .forward = {size, 0, F32},       // reads logits
                       .backward = {2 * size, 0, F32}}; // reads logits, writes dx
        snprintf(c.shape, sizeof c.shape, "%s [%d, %d]", dtype_name(list[i].dtype), (int)list[i].N,
                 (int)list[i].V);
        bench_op(b, &cross_entropy_op, c, build, &list[i]);
    }
}
