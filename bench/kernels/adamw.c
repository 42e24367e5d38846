/* Times kernels/adamw.c over the parameters of MiniLM and BERT-base. */
#include "bench/bench.h"
#include "kernels/ops.h"

static Tensor *build(Bench *b, Graph *g, const BenchShape *k)
{
    const int64_t P = bench_size(k, "P");
    const float scalars[TRAINING_SCALARS] = {
        [TRAINING_LOSS_SCALE] = 1, [TRAINING_GRADIENT_FACTOR] = 1};
    Tensor *training = bench_floats(b, g, TRAINING_SCALARS, scalars);

    op_adamw(g, bench_input(b, g, F32, DIMS(P)), bench_input(b, g, F32, DIMS(P)),
             bench_input(b, g, F32, DIMS(P)), bench_zeros(b, g, F32, DIMS(P)),
             bench_number(k, "copy") > 0 ? bench_input(b, g, BF16, DIMS(P)) : NULL,
             bench_scalars(b, g), training, bench_places(b, g, TRAINING_INTEGERS, 9),
             (AdamwArgs){0.9f, 0.999f, 1e-8f, 0.01f, true, P / 2});
    return training;
}

const BenchOp bench_adamw = {
    .op = &adamw_op,
    .keys = "P,copy=0", // copy: renews a BF16 copy of the parameters
    .shapes = {"P=22700000", "P=108900000", "P=108900000,copy=1"},
    .forward = {"28*P+2*P*copy", "17*P"}, // reads four arrays, writes three, and the copy
    .f32_alone = true,
    .build = build,
};
