/* Times kernels/add.c at the shapes of BERT-base. */
#include "bench/bench.h"
#include "kernels/ops.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    const int64_t N = bench_size(k, "N"), C = bench_size(k, "C");

    return op_add(g, bench_activation(b, g, k->dtype, N, C),
                  bench_activation(b, g, k->dtype, N, C));
}

const BenchOp bench_add = {
    .op = &add_op,
    .keys = "N,C",
    .shapes = {"N=2048,C=3072", "N=2048,C=768"},
    .card_shapes = {"N=16384,C=4096"},
    .forward = {"3*N*C*s", "N*C"},
    .backward = {"4*N*C*s", "0"}, // copies dy twice
    .build = build,
};
