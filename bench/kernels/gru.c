/* Times kernels/gru.c. */
#include "bench/kernels/recurrent.h"

void bench_gru(Bench *b)
{
    bench_recurrent(b, (RecurrentBench){&gru_op, op_gru, 3});
}
