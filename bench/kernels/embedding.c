/* Times kernels/embedding.c: words, positions and segments of BERT. */
#include "bench/bench.h"
#include "kernels/ops.h"

enum { POSITIONS = 512, SEGMENTS = 2 };

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    const int64_t N = bench_size(k, "N"), C = bench_size(k, "C"), V = bench_size(k, "V");
    const Rows rows = bench_rows(b, g, N, 128);

    return op_embedding(g, &rows, k->dtype, bench_places(b, g, N, (int32_t)V),
                        bench_parameter(b, k->dtype, DIMS(V, C)), rows.position,
                        bench_parameter(b, k->dtype, DIMS(POSITIONS, C)),
                        bench_places(b, g, N, SEGMENTS),
                        bench_parameter(b, k->dtype, DIMS(SEGMENTS, C)));
}

const BenchOp bench_embedding = {
    .op = &embedding_op,
    .keys = "N,C,V=30522",
    .shapes = {"N=2048,C=768", "N=4096,C=384"},
    .card_shapes = {"N=32768,C=768,V=50257", "N=16384,C=4096,V=128256"},
    .forward = {"2*N*C*s", "2*N*C"},              // a row of words, a row of y
    .backward = {"N*C*s+4*(V+512+2)*C", "3*N*C"}, // reads dy, writes whole gradients
    .build = build,
};
