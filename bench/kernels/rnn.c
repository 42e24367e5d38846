/* Times kernels/rnn.c. */
#include "bench/kernels/recurrent.h"

void bench_rnn(Bench *b)
{
    bench_recurrent(b, (RecurrentBench){&rnn_op, op_rnn, 1});
}
