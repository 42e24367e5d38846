/* Times kernels/cross_entropy.c over vocabularies of BERT and GPT-2. The form that gives its
 * gradient in the forward pass is for logits that a graph has made; here they are given, so that
 * the passes are timed one by one. */
#include "bench/bench.h"
#include "kernels/ops.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    const int64_t N = bench_size(k, "N"), V = bench_size(k, "V");
    const Rows rows = bench_rows(b, g, N, N);

    return op_cross_entropy(g, bench_activation(b, g, k->dtype, N, V),
                            bench_places(b, g, N, (int32_t)V), &rows, bench_scalars(b, g),
                            (CrossEntropyArgs){0});
}

const BenchOp bench_cross_entropy = {
    .op = &cross_entropy_op,
    .keys = "N,V",
    .shapes = {"N=512,V=30522", "N=256,V=50257"},
    .forward = {"N*V*s", "4*N*V"},    // reads logits
    .backward = {"2*N*V*s", "4*N*V"}, // reads logits, writes dx
    .build = build,
};
