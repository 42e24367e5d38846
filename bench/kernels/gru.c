/* Times kernels/gru.c. */
#include "bench/kernels/recurrent.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    return recurrent_case(b, g, k, op_gru, 3);
}

const BenchOp bench_gru = {.op = &gru_op, .build = build, RECURRENT_BENCH("3")};
