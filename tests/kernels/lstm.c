/* Tests kernels/lstm.c and what it shares with rnn and gru. */
#include "tests/recurrent_cases.h"
#include "tests/test.h"

#include <math.h>

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* One sequence of 2 rows, C = H = 1; gates i, f, g, o. */
static void hand_values(void)
{
    const float x[] = {1, -1}, w[] = {1, 2, 3, 4, 0.5f, 0.25f, -0.5f, -0.25f};
    const int32_t offsets[] = {0, 2}, zero[STEP_INTEGERS] = {0};
    const RecurrentCase k = {
        .cell = CELL_LSTM, .count = 1, .length = {2}, .C = 1, .H = 1, .layers = 1};
    const OpInput in[RECURRENT_CASE_INPUTS] = {[IN_X] = {2, {2, 1}, .values = x},
                                               [IN_OFFSETS] = {1, {2}, .places = offsets},
                                               [IN_WEIGHTS] = {2, {8, 1}, .values = w},
                                               [IN_INDEX] = {1, {1}, .places = zero},
                                               [IN_STEP] = {1, {STEP_INTEGERS}, .places = zero}};
    const double c1 = sigmoid(1) * tanh(3), h1 = sigmoid(4) * tanh(c1);
    const double c2 = sigmoid(-2 + 0.25 * h1) * c1 + sigmoid(-1 + 0.5 * h1) * tanh(-3 - 0.5 * h1);
    OpRun r;

    if (op_run(recurrent_build, &k, in, RECURRENT_CASE_INPUTS, (OpSetting){.inference = true},
               &r)) {
        CHECK_NEAR(r.y[0], h1, 1e-6);
        CHECK_NEAR(r.y[1], sigmoid(-4 - 0.25 * h1) * tanh(c2), 1e-6);
    }
    op_run_free(&r);
}

int main(void)
{
    RUN(hand_values);
    recurrent_checks(CELL_LSTM);
    return test_result();
}
