/* Times kernels/lstm.c. */
#include "bench/kernels/recurrent.h"

void bench_lstm(Bench *b)
{
    bench_recurrent(b, (RecurrentBench){&lstm_op, op_lstm, 4});
}
