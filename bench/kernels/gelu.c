/* Times kernels/gelu.c at the shapes of BERT-base and MiniLM. */
#include "bench/bench.h"
#include "kernels/ops.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    return op_gelu(g, bench_activation(b, g, k->dtype, bench_size(k, "N"), bench_size(k, "C")),
                   bench_number(k, "tanh") > 0 ? ACTIVATION_GELU_TANH : ACTIVATION_GELU);
}

const BenchOp bench_gelu = {
    .op = &gelu_op,
    .keys = "N,C,tanh=0",
    .shapes = {"N=2048,C=3072", "N=2048,C=1536"},
    .card_shapes = {"N=16384,C=4096"},
    .forward = {"2*N*C*s", "5*N*C"},   // reads x, writes y
    .backward = {"3*N*C*s", "11*N*C"}, // reads x and dy, writes dx
    .build = build,
};
