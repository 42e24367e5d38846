/* recurrent.h - one case of rnn, lstm or gru: B sequences of T rows, one layer or both directions. */
#ifndef BENCH_KERNELS_RECURRENT_H
#define BENCH_KERNELS_RECURRENT_H

#include "bench/bench.h"
#include "kernels/ops.h"

typedef struct RecurrentBench {
    const Op *op;
    Tensor *(*record)(Graph *g, Tensor *x, const Rows *rows, Tensor *step, RecurrentLayer layer[],
                      int layers, RecurrentArgs args);
    int64_t gates;
} RecurrentBench;

/* Times the shapes of recurrent.c. */
void bench_recurrent(Bench *b, RecurrentBench r);

#endif
