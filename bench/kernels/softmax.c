/* Times kernels/softmax.c at the shapes of BERT-base and of a vocabulary. */
#include "bench/bench.h"
#include "kernels/ops.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    return op_softmax(g, bench_activation(b, g, k->dtype, bench_size(k, "N"), bench_size(k, "C")));
}

const BenchOp bench_softmax = {
    .op = &softmax_op,
    .keys = "N,C",
    .shapes = {"N=2048,C=3072", "N=64,C=30522"},
    .card_shapes = {"N=8192,C=32768", "N=2048,C=131072"},
    .forward = {"2*N*C*s", "5*N*C"},  // reads x, writes y
    .backward = {"3*N*C*s", "4*N*C"}, // reads y and dy, writes dx
    .build = build,
};
