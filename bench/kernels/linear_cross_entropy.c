/* Times kernels/linear_cross_entropy.c over vocabularies of BERT, SmolLM2 and GPT-2. x is given here, so
 * backward is the plain form, which makes the logits again. */
#include "bench/bench.h"
#include "kernels/ops.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    const int64_t N = bench_size(k, "N"), C = bench_size(k, "C"), V = bench_size(k, "V");
    const Rows rows = bench_rows(b, g, N, N);

    return op_linear_cross_entropy(
        g, bench_activation(b, g, k->dtype, N, C), bench_parameter(b, k->dtype, DIMS(V, C)),
        bench_places(b, g, N, (int32_t)V), &rows, bench_scalars(b, g), (LinearCrossEntropyArgs){0});
}

const BenchOp bench_linear_cross_entropy = {
    .op = &linear_cross_entropy_op,
    .keys = "N,C,V",
    .shapes = {"N=512,C=768,V=30522", "N=512,C=576,V=49152", "N=512,C=768,V=50257"},
    .card_shapes = {"N=8192,C=768,V=50257", "N=8192,C=2048,V=128256"},
    .forward = {"(N+V)*C*s", "2*N*C*V"},          // reads x and the weight
    .backward = {"(2*N+V)*C*s+4*V*C", "6*N*C*V"}, // and writes dx and dw, which is F32
    .build = build,
};
