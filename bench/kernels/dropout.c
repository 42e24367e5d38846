/* Times kernels/dropout.c at the shapes of BERT-base and MiniLM. */
#include "bench/bench.h"
#include "kernels/ops.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    const int64_t N = bench_size(k, "N");
    const Rows rows = bench_rows(b, g, N, 128);

    return op_dropout(g, bench_activation(b, g, k->dtype, N, bench_size(k, "C")), &rows,
                      bench_step(b, g), (float)bench_number(k, "dropout"));
}

const BenchOp bench_dropout = {
    .op = &dropout_op,
    .keys = "N,C,dropout=0.1",
    .shapes = {"N=8192,C=768", "N=2048,C=384"},
    .card_shapes = {"N=16384,C=4096"},
    .forward = {"2*N*C*s", "N*C"},  // reads x, writes y
    .backward = {"2*N*C*s", "N*C"}, // reads dy, writes dx
    .build = build,
};
