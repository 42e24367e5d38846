/* Times kernels/layernorm.c at the shapes of BERT-base and MiniLM. */
#include "bench/bench.h"
#include "kernels/ops.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    const int64_t N = bench_size(k, "N"), C = bench_size(k, "C");

    return op_layernorm(g, bench_activation(b, g, k->dtype, N, C), bench_parameter(b, F32, DIMS(C)),
                        bench_parameter(b, F32, DIMS(C)), (LayernormArgs){1e-12f});
}

const BenchOp bench_layernorm = {
    .op = &layernorm_op,
    .keys = "N,C",
    .shapes = {"N=4096,C=768", "N=4096,C=384"},
    .card_shapes = {"N=16384,C=4096", "N=8192,C=8192", "N=16384,C=768"},
    .forward = {"2*N*C*s", "8*N*C"},   // reads x, writes y
    .backward = {"3*N*C*s", "13*N*C"}, // reads x and dy, writes dx
    .build = build,
};
