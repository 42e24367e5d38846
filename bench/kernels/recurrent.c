/* recurrent.c - times rnn, lstm and gru; who they are: lstm.c and the like beside this file. */
#include "bench/kernels/recurrent.h"

#include <stdio.h>

typedef struct Shape {
    int64_t B, T, C, H;
    bool bidirectional;
    Dtype dtype;
} Shape;

typedef struct Case {
    RecurrentBench r;
    Shape shape;
} Case;

static Tensor *build(Bench *b, Graph *g, const void *context)
{
    const Case *k = context;
    const Shape *s = &k->shape;
    const int64_t rows = (s->bidirectional ? 2 : 1) * k->r.gates * s->H;
    const Rows batch = bench_rows(b, g, s->B * s->T, s->T);
    RecurrentLayer layer = {.w_ih = bench_parameter(b, s->dtype, DIMS(rows, s->C)),
                            .w_hh = bench_parameter(b, s->dtype, DIMS(rows, s->H)),
                            .b_ih = bench_parameter(b, F32, DIMS(rows)),
                            .b_hh = bench_parameter(b, F32, DIMS(rows))};

    return k->r.record(g, bench_activation(b, g, s->dtype, s->B * s->T, s->C), &batch, NULL, &layer,
                       1, (RecurrentArgs){.bidirectional = s->bidirectional});
}

void bench_recurrent(Bench *b, RecurrentBench r)
{
    static const Shape list[] = {{64, 200, 256, 256, false, F32},
                                 {64, 200, 256, 256, false, BF16},
                                 {32, 100, 512, 512, true, F32}};

    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const Case k = {r, list[i]};
        const Shape *s = &list[i];
        const double D = s->bidirectional ? 2 : 1, N = (double)(s->B * s->T);
        const double size = (double)dtype_size(s->dtype), G = (double)r.gates;
        const double x = N * (double)s->C * size, y = N * D * (double)s->H * size;
        const double product = 2 * N * D * G * (double)(s->H * (s->C + s->H));
        const double weights = D * G * (double)(s->H * (s->C + s->H));
        // reads x, w; writes y; backward reads x, y, dy, w and writes dx, dw
        BenchCase c = {.name = r.op->name,
                       .forward = {x + y + weights * size, product, F32},
                       .backward = {2 * x + 2 * y + weights * (size + 4), 2 * product, F32}};

        snprintf(c.shape, sizeof c.shape, "%s %dx%d c%d h%d%s", dtype_name(s->dtype), (int)s->B,
                 (int)s->T, (int)s->C, (int)s->H, s->bidirectional ? " both" : "");
        bench_op(b, r.op, c, build, &k);
    }
}
