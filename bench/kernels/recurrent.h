/* recurrent.h - how rnn, lstm and gru are recorded for measuring: lstm.c and the like beside this. */
#ifndef BENCH_KERNELS_RECURRENT_H
#define BENCH_KERNELS_RECURRENT_H

#include "bench/bench.h"
#include "kernels/ops.h"

typedef Tensor *RecurrentRecord(Graph *g, Tensor *x, const Rows *rows, Tensor *step,
                                RecurrentLayer layer[], int layers, RecurrentArgs args);

/* One layer over B sequences of T rows, C in, H units, G gates; both: two directions. */
Tensor *recurrent_case(Bench *b, Graph *g, const BenchShape *k, RecurrentRecord *record, int64_t G);

/* Keys, sizes and costs; G is the number of gates, as text. Forward reads x and the weights and
 * writes y; backward reads x, y, dy and the weights and writes dx and, in F32, those of the weights. */
#define RECURRENT_BENCH(G)                                                                        \
    .keys = "B,T,C,H,both=0",                                                                     \
    .shapes = {"B=64,T=200,C=256,H=256", "B=32,T=100,C=512,H=512,both=1"},                        \
    .card_shapes = {"B=16,T=1024,C=768,H=768", "B=64,T=200,C=256,H=256"},                         \
    .forward = {"B*T*(C+(1+both)*H)*s+(1+both)*" G "*H*(C+H)*s", "2*B*T*(1+both)*" G "*H*(C+H)"}, \
    .backward = {"2*B*T*(C+(1+both)*H)*s+(1+both)*" G "*H*(C+H)*(s+4)",                           \
                 "4*B*T*(1+both)*" G "*H*(C+H)"},                                                 \
    .f32_products = true

#endif
