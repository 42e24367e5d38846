/* arithmetic.cu - with CAIRN_EMULATOR_MATH=rough the functions of C's library are as far from the truth as
 * CUDA lets a card be, and exact where a card is.
 */
#include "tests/emulator/checks/checks.h"

#include <stdlib.h>

enum { FUNCTIONS = 7, POINTS = 64 };

struct Function {
    float (*truth)(float);
    int ulps;
};

static const Function FUNCTION[FUNCTIONS] = {{(expf), 2},  {(exp2f), 2}, {(logf), 1}, {(log2f), 1},
                                             {(tanhf), 2}, {(erff), 2},  {(erfcf), 4}};

static __global__ void call_each(const float *x, float *y)
{
    const int i = (int)threadIdx.x;
    const float at = x[i];
    const float of[FUNCTIONS] = {expf(at),  exp2f(at), logf(at), log2f(at),
                                 tanhf(at), erff(at),  erfcf(at)};

    for (int f = 0; f < FUNCTIONS; f++)
        y[f * POINTS + i] = of[f];
}

static int32_t bits_of(float x)
{
    return std::bit_cast<int32_t>(x);
}

static void is_off_by_what_cuda_allows(void)
{
    Memory<float> x(POINTS, 0.0f), y(FUNCTIONS * POINTS, 0.0f);

    for (int i = 0; i < POINTS; i++)
        x.host[(size_t)i] = 0.05f + 0.04f * (float)i;
    x.store();
    LAUNCH(call_each, 1, POINTS, 0, 0, x.device, y.device);
    y.fetch();
    for (int f = 0; f < FUNCTIONS; f++) {
        int up = 0, down = 0;
        for (int i = 0; i < POINTS; i++) {
            const float truth = FUNCTION[f].truth(x.host[(size_t)i]),
                        got = y.host[(size_t)(f * POINTS + i)];
            const int off = bits_of(got) - bits_of(truth);
            up += off == FUNCTION[f].ulps;
            down += off == -FUNCTION[f].ulps;
            CHECK(abs(off) == FUNCTION[f].ulps || (off == 0 && truth == 1));
            CHECK(f < 4 || got <= 2);
        }
        CHECK(up > POINTS / 8 && down > POINTS / 8);
    }
}

static void is_exact_where_a_card_is(void)
{
    Memory<float> x(POINTS, 0.0f), y(FUNCTIONS * POINTS, 9.0f);

    x.host = {0, 1, 1e-20f, 1000};
    x.host.resize(POINTS);
    x.store();
    LAUNCH(call_each, 1, 4, 0, 0, x.device, y.device);
    y.fetch();
    const auto is = [&](int f, int i, float want) {
        return y.host[(size_t)(f * POINTS + i)] == want;
    };
    CHECK(is(0, 0, 1) && is(1, 0, 1) && is(2, 1, 0) && is(3, 1, 0) && is(4, 0, 0));
    CHECK(is(0, 3, INFINITY) && is(2, 0, -INFINITY) && is(4, 2, 1e-20f) && is(4, 3, 1) &&
          is(6, 3, 0));
}

int main(void)
{
    setenv("CAIRN_EMULATOR_MATH", "rough", 1);
    RUN(is_off_by_what_cuda_allows);
    RUN(is_exact_where_a_card_is);
    return test_result();
}
