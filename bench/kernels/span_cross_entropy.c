/* Times kernels/span_cross_entropy.c on the logits of a batch of questions. */
#include "bench/bench.h"
#include "kernels/ops.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    const int64_t B = bench_size(k, "B"), T = bench_size(k, "T");
    const Rows rows = bench_rows(b, g, B * T, T);
    Tensor *places = bench_places(b, g, B * 2, (int32_t)T);
    Tensor *target = places ? graph_reshape(g, places, DIMS(B, 2)) : NULL;

    return op_span_cross_entropy(g, bench_activation(b, g, F32, B * T, 2), target, &rows,
                                 bench_scalars(b, g));
}

const BenchOp bench_span_cross_entropy = {
    .op = &span_cross_entropy_op,
    .keys = "B,T",
    .shapes = {"B=12,T=384"},
    .forward = {"8*B*T", "8*B*T"},   // reads logits: start and end
    .backward = {"16*B*T", "8*B*T"}, // reads logits, writes dx
    .f32_alone = true,
    .build = build,
};
