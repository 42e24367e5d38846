/* Times kernels/tanh.c at the shapes of BERT-base. */
#include "bench/bench.h"
#include "kernels/ops.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    return op_tanh(g, bench_activation(b, g, k->dtype, bench_size(k, "N"), bench_size(k, "C")));
}

const BenchOp bench_tanh = {
    .op = &tanh_op,
    .keys = "N,C",
    .shapes = {"N=2048,C=3072"},
    .card_shapes = {"N=16384,C=4096"},
    .forward = {"2*N*C*s", "N*C"},    // reads x, writes y
    .backward = {"3*N*C*s", "3*N*C"}, // reads y and dy, writes dx
    .build = build,
};
