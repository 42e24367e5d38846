/* Times kernels/embedding.c: words, positions and segments of BERT. */
#include "bench/bench.h"
#include "kernels/ops.h"

#include <stdio.h>

enum { WORDS = 30522, POSITIONS = 512, SEGMENTS = 2 };

typedef struct Shape {
    int64_t N, C;
    Dtype dtype;
} Shape;

static Tensor *build(Bench *b, Graph *g, const void *context)
{
    const Shape *k = context;
    const Rows rows = bench_rows(b, g, k->N, 128);

    return op_embedding(g, &rows, k->dtype, bench_places(b, g, k->N, WORDS),
                        bench_parameter(b, k->dtype, DIMS(WORDS, k->C)), rows.position,
                        bench_parameter(b, k->dtype, DIMS(POSITIONS, k->C)),
                        bench_places(b, g, k->N, SEGMENTS),
                        bench_parameter(b, k->dtype, DIMS(SEGMENTS, k->C)));
}

void bench_embedding(Bench *b)
{
    static const Shape list[] = {{2048, 768, F32}, {2048, 768, BF16}, {4096, 384, F32}};

    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const double rows = (double)(list[i].N * list[i].C) * (double)dtype_size(list[i].dtype);
        const double tables = (double)((WORDS + POSITIONS + SEGMENTS) * list[i].C) * 4;
        BenchCase c = {.name = "embedding",
                       .forward = {2 * rows, 0, F32},        // a row of words, a row of y
                       .backward = {rows + tables, 0, F32}}; // reads dy, writes whole gradients
        snprintf(c.shape, sizeof c.shape, "%s [%d, %d]", dtype_name(list[i].dtype), (int)list[i].N,
                 (int)list[i].C);
        bench_op(b, &embedding_op, c, build, &list[i]);
    }
}
