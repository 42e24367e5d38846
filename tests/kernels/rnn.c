/* Tests kernels/rnn.c and what it shares with lstm and gru. */
#include "tests/recurrent_cases.h"
#include "tests/test.h"

#include <math.h>

/* Rows of the 2 sequences: 2 and 1 of them; C = H = 1; weights 0.5, -0.25, biases 0.125, 0.25. */
static void hand_values(void)
{
    const float x[] = {1, -2, 3}, w[] = {0.5f, -0.25f, 0.125f, 0.25f}, h0[] = {1, -1};
    const int32_t offsets[] = {0, 2, 3}, zero[STEP_INTEGERS] = {0};
    RecurrentCase k = {.cell = CELL_RNN,
                       .count = 2,
                       .length = {2, 1},
                       .C = 1,
                       .H = 1,
                       .layers = 1,
                       .biases = true,
                       .states = true};
    const OpInput in[RECURRENT_CASE_INPUTS] = {
        [IN_X] = {2, {3, 1}, .values = x},       [IN_OFFSETS] = {1, {3}, .places = offsets},
        [IN_WEIGHTS] = {2, {4, 1}, .values = w}, [IN_H0] = {2, {2, 1}, .values = h0},
        [IN_INDEX] = {1, {2}, .places = zero},   [IN_STEP] = {1, {STEP_INTEGERS}, .places = zero}};
    const double first = tanh(0.5 * 1 - 0.25 * 1 + 0.375);
    OpRun r;

    if (op_run(recurrent_build, &k, in, RECURRENT_CASE_INPUTS, (OpSetting){.inference = true},
               &r)) {
        CHECK_NEAR(r.y[0], first, 1e-6);
        CHECK_NEAR(r.y[1], tanh(0.5 * -2 - 0.25 * first + 0.375), 1e-6);
        CHECK_NEAR(r.y[2], tanh(0.5 * 3 + 0.25 + 0.375), 1e-6);
    }
    op_run_free(&r);
    k.relu = true;
    if (op_run(recurrent_build, &k, in, RECURRENT_CASE_INPUTS, (OpSetting){.inference = true},
               &r)) {
        CHECK_NEAR(r.y[0], 0.625, 1e-6);
        CHECK(r.y[1] == 0);
        CHECK_NEAR(r.y[2], 2.125, 1e-6);
    }
    op_run_free(&r);
}

int main(void)
{
    RUN(hand_values);
    recurrent_checks(CELL_RNN);
    return test_result();
}
