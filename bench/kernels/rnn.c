/* Times kernels/rnn.c. */
#include "bench/kernels/recurrent.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    return recurrent_case(b, g, k, op_rnn, 1);
}

const BenchOp bench_rnn = {.op = &rnn_op, .build = build, RECURRENT_BENCH("1")};
