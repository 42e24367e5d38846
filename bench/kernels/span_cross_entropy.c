/* Times kernels/span_cross_entropy.c on the logits of a batch of questions. */
#include "bench/bench.h"
#include "kernels/ops.h"

static Tensor *build(Bench *b, Graph *g, const void *context)
{
    const Rows rows = bench_rows(b, g, 12 * 384, 384);
    Tensor *target = graph_reshape(g, bench_places(b, g, 12 * 2, 384), DIMS(12, 2));

    (void)context;
    return op_span_cross_entropy(g, bench_activation(b, g, F32, 12 * 384, 2), target, &rows,
                                 bench_scalars(b, g));
}

void bench_span_cross_entropy(Bench *b)
{
    const double size = 12 * 384 * 2 * sizeof(float);
    const BenchCase c = {.name = "span_cross_entropy",
                         .shape = "f32 12x384 [4608, 2]",
                         .forward = {size, 0, F32},
                         .backward = {2 * size, 0, F32}};

    bench_op(b, &span_cross_entropy_op, c, build, NULL);
}
