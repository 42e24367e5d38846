/* Tests kernels/recurrent_block.h as compiled for AVX2 and for AVX-512: the same bits. */
#include "kernels/recurrent_parts.h"
#include "tests/check_op.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 13, PLACES = 29 };

typedef struct Result {
    float *h, *cell, *gates, *carried, *dh, *dc, *dgates, *dgates_h, *sums;
} Result;

static Result result_open(int64_t state, int64_t G, int64_t H)
{
    Result r = {normal_values(ROWS * state, 1),
                normal_values(ROWS * state, 2),
                normal_values(PLACES * G * H, 3),
                normal_values(ROWS * state, 4),
                normal_values(H, 5),
                normal_values(H, 6),
                normal_values(4 * H, 7),
                normal_values(4 * H, 8),
                normal_values(4 * H, 9)};
    return r;
}

static void result_close(Result *r)
{
    float *all[] = {r->h,  r->cell,   r->gates,    r->carried, r->dh,
                    r->dc, r->dgates, r->dgates_h, r->sums};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static Result run_blocks(const RecurrentBlocks *b, RecurrentKind kind, bool relu, int64_t G,
                         int64_t H)
{
    const RecurrentShape s = {.kind = kind, .H = H, .D = 1, .G = G, .state = (H + 63) / 64 * 64};
    Result r = result_open(s.state, G, H);
    int64_t place[ROWS];
    float *w = normal_values(G * H * H, 10), *panels = calloc((size_t)(G * H * s.state), 4);
    float *before = normal_values(ROWS * s.state, 11), *bias = normal_values(s.state, 12);
    float *left = calloc((size_t)recurrent_left(ROWS, G * H), sizeof *left);
    const Tensor weight = {.data = w, .dim = {G * H, H}, .ndim = 2, .stride = H};

    for (int i = 0; i < ROWS; i++)
        place[i] = i * 7 % PLACES;
    recurrent_panels_forward(&weight, &s, b->lanes, panels, 1);
    b->step(&(RecurrentStep){.kind = kind,
                             .relu = relu,
                             .keep = true,
                             .rows = ROWS,
                             .H = H,
                             .state = s.state,
                             .weight = panels,
                             .bias = bias,
                             .before = before,
                             .h = r.h,
                             .cell = r.cell,
                             .gates = r.gates,
                             .gates_row = G * H,
                             .place = place,
                             .left = left});
    recurrent_panels_backward(&weight, &s, b->lanes, panels, 1);
    b->product(&(RecurrentProduct){.rows = ROWS,
                                   .columns = H,
                                   .K = G * H,
                                   .a = r.gates,
                                   .a_row = G * H,
                                   .place = place,
                                   .b = panels,
                                   .c = r.carried,
                                   .c_row = s.state,
                                   .left = left});
    b->slope(&(RecurrentSlope){kind, relu, H, H, r.gates, r.cell, before, bias, r.dh, r.dc,
                               r.dgates, r.dgates_h, r.sums});
    free(w);
    free(panels);
    free(before);
    free(bias);
    free(left);
    return r;
}

static bool same(const float *a, const float *b, int64_t row, int64_t rows, int64_t n)
{
    for (int64_t i = 0; i < rows; i++)
        if (memcmp(a + i * row, b + i * row, (size_t)n * sizeof *a))
            return false;
    return true;
}

static void avx2_and_avx512_agree(void)
{
    static const int64_t width[] = {1, 8, 15, 16, 31, 64, 65, 200, 300};

    if (!__builtin_cpu_supports("x86-64-v4")) {
        SKIP("no AVX-512 here");
        return;
    }
    for (size_t i = 0; i < sizeof width / sizeof *width; i++)
        for (int form = 0; form < 4; form++) {
            const RecurrentKind kind = form == 3 ? RNN : (RecurrentKind)form;
            const int64_t G = kind == RNN ? 1 : kind == LSTM ? 4 : 3, H = width[i];
            const int64_t state = (H + 63) / 64 * 64;
            Result a = run_blocks(&recurrent_avx2, kind, form == 3, G, H);
            Result b = run_blocks(&recurrent_avx512, kind, form == 3, G, H);
            CHECK(same(a.h, b.h, state, ROWS, H));
            CHECK(same(a.cell, b.cell, state, ROWS, H));
            CHECK(same(a.gates, b.gates, H, PLACES * G, H));
            CHECK(same(a.carried, b.carried, state, ROWS, H));
            CHECK(same(a.dh, b.dh, H, 1, H) && same(a.dc, b.dc, H, 1, H));
            CHECK(same(a.dgates, b.dgates, H, 4, H) && same(a.dgates_h, b.dgates_h, H, 4, H));
            CHECK(same(a.sums, b.sums, H, 4, H));
            result_close(&a);
            result_close(&b);
        }
}

int main(void)
{
    RUN(avx2_and_avx512_agree);
    return test_result();
}
