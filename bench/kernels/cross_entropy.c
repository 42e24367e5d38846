/* Times kernels/cross_entropy.c over vocabularies of BERT, GPT-2 and Llama. Logits are given, so that
 * the passes are timed one by one; where early is 1 a graph has made them, and the one pass there
 * is gives loss and gradient. From the second call on it then reads gradients, which are small
 * numbers as good as any. */
#include "bench/bench.h"
#include "kernels/ops.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    const int64_t N = bench_size(k, "N"), V = bench_size(k, "V");
    const Rows rows = bench_rows(b, g, N, N);
    Tensor *logits = bench_activation(b, g, k->dtype, N, V);

    if (bench_number(k, "early") > 0)
        logits = op_add(g, logits, bench_activation(b, g, k->dtype, N, V));
    return op_cross_entropy(g, logits, bench_places(b, g, N, (int32_t)V), &rows,
                            bench_scalars(b, g), (CrossEntropyArgs){0});
}

const BenchOp bench_cross_entropy = {
    .op = &cross_entropy_op,
    .keys = "N,V,early=0", // early: forward overwrites the logits by their gradient
    .shapes = {"N=512,V=30522", "N=256,V=50257"},
    .card_shapes = {"N=8192,V=32000,early=1", "N=8192,V=50257,early=1", "N=4096,V=128256,early=1",
                    "N=8192,V=50257", "N=4096,V=128256"},
    .forward = {"N*V*s*(1+early)", "4*N*V*(1+early)"}, // reads logits, or writes them too
    .backward = {"2*N*V*s", "4*N*V"},                  // reads logits, writes dx
    .build = build,
};
