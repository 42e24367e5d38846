/* recurrent.c - records one case of rnn, lstm or gru. */
#include "bench/kernels/recurrent.h"

Tensor *recurrent_case(Bench *b, Graph *g, const BenchShape *k, RecurrentRecord *record, int64_t G)
{
    const int64_t B = bench_size(k, "B"), T = bench_size(k, "T"), C = bench_size(k, "C");
    const int64_t H = bench_size(k, "H");
    const bool both = bench_number(k, "both") > 0;
    const int64_t rows = (both ? 2 : 1) * G * H;
    const Rows batch = bench_rows(b, g, B * T, T);
    RecurrentLayer layer = {.w_ih = bench_parameter(b, k->dtype, DIMS(rows, C)),
                            .w_hh = bench_parameter(b, k->dtype, DIMS(rows, H)),
                            .b_ih = bench_parameter(b, F32, DIMS(rows)),
                            .b_hh = bench_parameter(b, F32, DIMS(rows))};

    return record(g, bench_activation(b, g, k->dtype, B * T, C), &batch, NULL, &layer, 1,
                  (RecurrentArgs){.bidirectional = both});
}
