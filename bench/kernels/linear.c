/* Times kernels/linear.c at the shapes of BERT-base and MiniLM. */
#include "bench/bench.h"
#include "bench/peers.h"
#include "kernels/ops.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    const int64_t N = bench_size(k, "N"), C = bench_size(k, "C"), O = bench_size(k, "O");

    return op_linear(g, bench_activation(b, g, k->dtype, N, C),
                     bench_parameter(b, k->dtype, DIMS(O, C)), bench_parameter(b, F32, DIMS(O)),
                     bench_number(k, "gelu") > 0 ? ACTIVATION_GELU : ACTIVATION_NONE);
}

const BenchOp bench_linear = {
    .op = &linear_op,
    .keys = "N,C,O,gelu=0",
    .shapes = {"N=2048,C=768,O=768", "N=2048,C=768,O=3072,gelu=1", "N=2048,C=3072,O=768",
               "N=2048,C=384,O=384", "N=2048,C=384,O=1536,gelu=1", "N=2048,C=768,O=2"},
    .card_shapes = {"N=16384,C=4096,O=4096", "N=16384,C=768,O=768", "N=16384,C=768,O=3072,gelu=1",
                    "N=16384,C=3072,O=768"},
    .forward = {"(N*C+C*O+N*O)*s", "2*N*C*O"},
    .backward = {"(2*N*C+C*O+N*O)*s+4*C*O", "4*N*C*O"}, // the weights' gradient is F32
    .build = build,
    .peers = {&product_peer, &openblas_peer},
};
