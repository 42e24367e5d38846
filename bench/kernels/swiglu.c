/* Times kernels/swiglu.c at the shapes of SmolLM2 and Llama, gate and up packed. */
#include "bench/bench.h"
#include "kernels/ops.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    const int64_t N = bench_size(k, "N"), F = bench_size(k, "F");

    return op_swiglu(g, bench_activation(b, g, k->dtype, N, 2 * F), NULL);
}

const BenchOp bench_swiglu = {
    .op = &swiglu_op,
    .keys = "N,F",
    .shapes = {"N=4096,F=1536", "N=512,F=14336"},
    .card_shapes = {"N=8192,F=14336", "N=16384,F=1536"},
    .forward = {"3*N*F*s", "5*N*F"},   // reads gate and up, writes y
    .backward = {"5*N*F*s", "11*N*F"}, // reads both and dy, writes both gradients
    .build = build,
};
