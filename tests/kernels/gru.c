/* Tests kernels/gru.c and what it shares with rnn and lstm. */
#include "tests/recurrent_cases.h"
#include "tests/test.h"

#include <math.h>

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* One row, C = H = 1; gates r, z, n; b_hn is multiplied by r. */
static void hand_values(void)
{
    const float x[] = {1}, h0[] = {2};
    const float w[] = {0.5f, -1, 2, 0.25f, 0.5f, -0.75f, 0, 0, 0.125f, 0, 0, 3};
    const int32_t offsets[] = {0, 1}, zero[STEP_INTEGERS] = {0};
    const RecurrentCase k = {.cell = CELL_GRU,
                             .count = 1,
                             .length = {1},
                             .C = 1,
                             .H = 1,
                             .layers = 1,
                             .biases = true,
                             .states = true};
    const OpInput in[RECURRENT_CASE_INPUTS] = {
        [IN_X] = {2, {1, 1}, .values = x},        [IN_OFFSETS] = {1, {2}, .places = offsets},
        [IN_WEIGHTS] = {2, {12, 1}, .values = w}, [IN_H0] = {2, {1, 1}, .values = h0},
        [IN_INDEX] = {1, {1}, .places = zero},    [IN_STEP] = {1, {STEP_INTEGERS}, .places = zero}};
    const double reset = sigmoid(0.5 + 0.25 * 2), z = sigmoid(-1 + 0.5 * 2);
    const double n = tanh(2 + 0.125 + reset * (-0.75 * 2 + 3));
    OpRun r;

    if (op_run(recurrent_build, &k, in, RECURRENT_CASE_INPUTS, (OpSetting){.inference = true}, &r))
        CHECK_NEAR(r.y[0], (1 - z) * n + z * 2, 1e-6);
    op_run_free(&r);
}

int main(void)
{
    RUN(hand_values);
    recurrent_checks(CELL_GRU);
    return test_result();
}
