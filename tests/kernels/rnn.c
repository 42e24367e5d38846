/* Tests kernels/rnn.c and what it shares with lstm and gru. */
#include "tests/recurrent_cases.h"
#include "tests/test.h"

#include <math.h>
#include <stdio.h>

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

/* h is F32 on every device: 76800 is infinite in y, and half of it in the next step is not. */
static void a_state_beyond_f16(void)
{
    const float x[] = {300, 0}, w[] = {256, 0.5f};
    const int32_t offsets[] = {0, 2}, zero[STEP_INTEGERS] = {0};
    RecurrentCase k = {
        .cell = CELL_RNN, .count = 1, .length = {2}, .C = 1, .H = 1, .layers = 1, .relu = true};
    const OpInput in[RECURRENT_CASE_INPUTS] = {[IN_X] = {2, {2, 1}, .values = x},
                                               [IN_OFFSETS] = {1, {2}, .places = offsets},
                                               [IN_WEIGHTS] = {2, {2, 1}, .values = w},
                                               [IN_INDEX] = {1, {1}, .places = zero},
                                               [IN_STEP] = {1, {STEP_INTEGERS}, .places = zero}};

    for (int forced = 0; forced < 2; forced++) {
        OpRun r;
        k.kernel = forced ? "steps" : NULL; // the CPU has one way
        if (op_run(recurrent_build, &k, in, RECURRENT_CASE_INPUTS,
                   (OpSetting){.dtype = F16, .inference = true}, &r) &&
            (!CHECK(isinf(r.y[0])) || !CHECK(r.y[1] == 38400)))
            printf("  y is %g, %g\n", (double)r.y[0], (double)r.y[1]);
        op_run_free(&r);
    }
}

int main(void)
{
    RUN(hand_values);
    RUN(a_state_beyond_f16);
    recurrent_checks(CELL_RNN);
    return test_result();
}
