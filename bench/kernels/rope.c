/* Times kernels/rope.c on a packed qkv at the shapes of SmolLM2, Llama 3 and GPT-J. */
#include "bench/bench.h"
#include "kernels/ops.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    const int64_t N = bench_size(k, "N"), T = bench_size(k, "T"), D = bench_size(k, "D");
    const int H = (int)bench_size(k, "H"), KV = (int)bench_size(k, "KV");
    const Rows rows = bench_rows(b, g, N, T);
    const RopeArgs args = {.heads = H + 2 * KV,
                           .turned = H + KV,
                           .rotary = (int)bench_size(k, "R"),
                           .form =
                               bench_number(k, "interleaved") > 0 ? ROPE_INTERLEAVED : ROPE_HALVES};

    return op_rope(g, bench_activation(b, g, k->dtype, N, args.heads * D), &rows, NULL, args);
}

const BenchOp bench_rope = {
    .op = &rope_op,
    .keys = "N,T=N,H,KV=H,D,R=D,interleaved=0",
    .shapes = {"N=4096,T=2048,H=9,KV=3,D=64", "N=1024,H=32,KV=8,D=128",
               "N=1024,H=16,D=256,R=64,interleaved=1"},
    .card_shapes = {"N=16384,T=4096,H=32,KV=8,D=128", "N=16384,T=2048,H=9,KV=3,D=64"},
    .forward = {"2*N*(H+2*KV)*D*s", "3*N*(H+KV)*R"},
    .backward = {"2*N*(H+2*KV)*D*s", "3*N*(H+KV)*R"},
    .build = build,
};
