/* Times kernels/adamw.c over the parameters of MiniLM and BERT-base. */
#include "bench/bench.h"
#include "kernels/ops.h"

#include <stdio.h>

typedef struct Shape {
    int64_t P;
    bool copy;
} Shape;

static Tensor *build(Bench *b, Graph *g, const void *context)
{
    const Shape *k = context;
    const int64_t P = k->P;
    Tensor *training = bench_input(b, g, F32, DIMS(TRAINING_SCALARS));
    Tensor *v = graph_state(g, "v", F32, DIMS(P));

    v->data = bench_memory(b, (size_t)P * 4);
    ((float *)training->data)[TRAINING_GRADIENT_FACTOR] = 1;
    op_adamw(g, bench_input(b, g, F32, DIMS(P)), bench_input(b, g, F32, DIMS(P)),
             bench_input(b, g, F32, DIMS(P)), v, k->copy ? bench_input(b, g, BF16, DIMS(P)) : NULL,
             bench_scalars(b, g), training, bench_places(b, g, TRAINING_INTEGERS, 9),
             (AdamwArgs){0.9f, 0.999f, 1e-8f, 0.01f, true, P / 2});
    return training;
}

void bench_adamw(Bench *b)
{
    static const Shape list[] = {{22700000, false}, {108900000, false}, {108900000, true}};

    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        // reads four arrays, writes three, and the copy
        BenchCase c = {.name = "adamw",
                       .forward = {(28 + 2 * list[i].copy) * (double)list[i].P, 0, F32}};
        snprintf(c.shape, sizeof c.shape, "[%d]%s", (int)list[i].P,
                 list[i].copy ? " with a bf16 copy" : "");
        bench_op(b, &adamw_op, c, build, &list[i]);
    }
}
