/* Times kernels/gather.c at the shapes of BERT-base. */
#include "bench/bench.h"
#include "kernels/ops.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    const int64_t N = bench_size(k, "N");

    return op_gather(g, bench_activation(b, g, k->dtype, N, bench_size(k, "C")),
                     bench_places(b, g, bench_size(k, "M"), (int32_t)N));
}

const BenchOp bench_gather = {
    .op = &gather_op,
    .keys = "N,C,M=N", // M rows of N
    .shapes = {"N=8192,C=768"},
    .card_shapes = {"N=16384,C=4096"},
    .forward = {"2*M*C*s", "0"},      // reads and writes each row
    .backward = {"(M+N)*C*s", "M*C"}, // reads dy, writes dx
    .build = build,
};
