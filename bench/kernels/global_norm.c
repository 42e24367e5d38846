/* Times kernels/global_norm.c over the gradients of MiniLM and BERT-base. */
#include "bench/bench.h"
#include "kernels/ops.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    const float scalars[TRAINING_SCALARS] = {[TRAINING_LOSS_SCALE] = 1};
    Tensor *training = bench_floats(b, g, TRAINING_SCALARS, scalars);

    op_global_norm(g, bench_input(b, g, F32, DIMS(bench_size(k, "P"))), training,
                   bench_places(b, g, TRAINING_INTEGERS, 1), (GlobalNormArgs){.max_norm = 1});
    return training;
}

const BenchOp bench_global_norm = {
    .op = &global_norm_op,
    .keys = "P",
    .shapes = {"P=22700000", "P=108900000"},
    .forward = {"4*P", "2*P"},
    .f32_alone = true,
    .build = build,
};
