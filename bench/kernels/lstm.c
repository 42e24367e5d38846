/* Times kernels/lstm.c. */
#include "bench/kernels/recurrent.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    return recurrent_case(b, g, k, op_lstm, 4);
}

const BenchOp bench_lstm = {.op = &lstm_op, .build = build, RECURRENT_BENCH("4")};
