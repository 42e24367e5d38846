/* Times kernels/attention.c at the shapes of BERT-base, MiniLM and a causal model with grouped
 * heads; on a card at 16k tokens of width 2048, as kernels are compared elsewhere, and at those of
 * GPT-2 and BERT-base in training. */
#include "bench/bench.h"
#include "kernels/ops.h"

/* q, k and v are columns of one tensor, as models make them. */
static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    const int64_t N = bench_size(k, "B") * bench_size(k, "T"), D = bench_size(k, "D");
    const int64_t C = bench_size(k, "H") * D, KV = bench_size(k, "KV") * D;
    Tensor *qkv = bench_activation(b, g, k->dtype, N, C + 2 * KV);
    const Rows rows = bench_rows(b, g, N, bench_size(k, "T"));

    if (!qkv)
        return NULL;
    return op_attention(g, graph_columns(g, qkv, 0, C), graph_columns(g, qkv, C, KV),
                        graph_columns(g, qkv, C + KV, KV), &rows, NULL, bench_step(b, g),
                        (AttentionArgs){.heads = (int)bench_size(k, "H"),
                                        .kv_heads = (int)bench_size(k, "KV"),
                                        .causal = bench_number(k, "causal") > 0,
                                        .dropout = (float)bench_number(k, "dropout")});
}

/* Two products forward, five backward; half of the scores where causal, as others count it. */
const BenchOp bench_attention = {
    .op = &attention_op,
    .keys = "B,T,H,D,KV=H,causal=0,dropout=0",
    .shapes = {"B=8,T=512,H=12,D=64", "B=8,T=512,H=12,D=64,dropout=0.1", "B=16,T=150,H=12,D=32",
               "B=8,T=512,H=12,D=64,causal=1", "B=2,T=1024,H=16,D=128,KV=4,causal=1"},
    .card_shapes = {"B=4,T=4096,H=16,D=128,causal=1", "B=4,T=4096,H=16,D=128",
                    "B=4,T=4096,H=32,D=64", "B=4,T=4096,H=32,D=64,causal=1",
                    "B=2,T=8192,H=16,D=128,causal=1", "B=2,T=8192,H=16,D=128",
                    "B=16,T=1024,H=12,D=64,causal=1", "B=32,T=384,H=12,D=64,dropout=0.1"},
    .forward = {"2*B*T*(H+KV)*D*s", "4*B*T*T*H*D/(1+causal)"},
    .backward = {"4*B*T*(H+KV)*D*s", "10*B*T*T*H*D/(1+causal)"},
    .f32_products = true,
    .build = build,
};
