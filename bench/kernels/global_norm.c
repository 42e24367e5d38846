/* Times kernels/global_norm.c over the gradients of MiniLM and BERT-base. */
#include "bench/bench.h"
#include "kernels/ops.h"

#include <stdio.h>

static Tensor *build(Bench *b, Graph *g, const void *context)
{
    Tensor *training = bench_input(b, g, F32, DIMS(TRAINING_SCALARS));

    op_global_norm(g, bench_input(b, g, F32, DIMS(*(const int64_t *)context)), training,
                   bench_places(b, g, TRAINING_INTEGERS, 1), (GlobalNormArgs){.max_norm = 1});
    return training;
}

void bench_global_norm(Bench *b)
{
    static const int64_t parameters[] = {22700000, 108900000};

    for (int i = 0; i < 2; i++) {
        BenchCase c = {.name = "global_norm", .forward = {4 * (double)parameters[i], 0, F32}};
        snprintf(c.shape, sizeof c.shape, "[%d]", (int)parameters[i]);
        bench_op(b, &global_norm_op, c, build, &parameters[i]);
    }
}
