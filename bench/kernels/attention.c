/* Times kernels/attention.c at the shapes of BERT-base, MiniLM and a causal model with grouped
 * heads. */
#include "bench/bench.h"
#include "kernels/ops.h"

#include <stdio.h>

typedef struct Shape {
    int64_t B, T;
    int heads, kv_heads, D;
    bool causal;
    float dropout;
    Dtype dtype;
} Shape;

/* q, k and v are columns of one tensor, as models make them. */
static Tensor *build(Bench *b, Graph *g, const void *context)
{
    const Shape *k = context;
    const int64_t C = (int64_t)k->heads * k->D, KV = (int64_t)k->kv_heads * k->D;
    Tensor *qkv = bench_activation(b, g, k->dtype, k->B * k->T, C + 2 * KV);
    const Rows rows = bench_rows(b, g, k->B * k->T, k->T);

    return op_attention(g, graph_columns(g, qkv, 0, C), graph_columns(g, qkv, C, KV),
                        graph_columns(g, qkv, C + KV, KV), &rows, NULL, bench_step(b, g),
                        (AttentionArgs){.heads = k->heads,
                                        .kv_heads = k->kv_heads,
                                        .causal = k->causal,
                                        .dropout = k->dropout});
}

void bench_attention(Bench *b)
{
    static const Shape list[] = {
        {8, 512, 12, 12, 64, false, 0, F32},    {8, 512, 12, 12, 64, false, 0, BF16},
        {8, 512, 12, 12, 64, false, 0.1f, F32}, {16, 150, 12, 12, 32, false, 0, F32},
        {16, 150, 12, 12, 64, false, 0, F32},   {8, 512, 12, 12, 64, true, 0, F32},
        {2, 1024, 16, 4, 128, true, 0, F32},
    };

    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const Shape *k = &list[i];
        const double N = (double)(k->B * k->T), size = (double)dtype_size(k->dtype);
        const double q = N * k->heads * k->D * size, kv = N * k->kv_heads * k->D * size;
        // two products forward, five backward; half of the scores where causal
        const double product = 2 * N * (double)k->T * k->heads * k->D * (k->causal ? 0.5 : 1);
        BenchCase c = {.name = "attention",
                       .forward = {2 * q + 2 * kv, 2 * product, F32},
                       .backward = {4 * q + 4 * kv, 5 * product, F32}};

        snprintf(c.shape, sizeof c.shape, "%s %dx%d h%d/%d d%d%s%s", dtype_name(k->dtype),
                 (int)k->B, (int)k->T, k->heads, k->kv_heads, k->D, k->causal ? " causal" : "",
                 k->dropout > 0 ? " dropout" : "");
        bench_op(b, &attention_op, c, build, k);
    }
}
