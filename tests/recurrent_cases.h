/* recurrent_cases.h - what rnn, lstm and gru must all pass: a batch of ragged sequences through some
 * layers, the definition in double precision, and the checks. */
#ifndef TESTS_RECURRENT_CASES_H
#define TESTS_RECURRENT_CASES_H

#include "kernels/ops.h"
#include "tests/check_op.h"

typedef enum { CELL_RNN, CELL_LSTM, CELL_GRU } Cell;

/* What the test looks at: y; or [D*B, H], the last states plus rows of y of each direction. */
typedef enum { LOOK_Y, LOOK_STATES } Look;

enum { SEQUENCES = 103 };

typedef struct RecurrentCase {
    Cell cell;
    int count, length[SEQUENCES];
    int sample[SEQUENCES]; // numbers within the update
    int64_t C, H;
    int layers;
    bool bidirectional, relu, states, biases; // states: h0, c0 are given
    float dropout;
    int tail; // rows beyond the true count
    Look look;
    const char *kernel; // forced by name on the device; NULL: the choice
} RecurrentCase;

const char *recurrent_name(Cell cell); // of the operator

enum { IN_X, IN_OFFSETS, IN_WEIGHTS, IN_H0, IN_C0, IN_INDEX, IN_SAMPLE, IN_POSITION, IN_STEP };
enum { RECURRENT_CASE_INPUTS = 9 };

typedef struct RecurrentInputs {
    int64_t N, weights; // rows, tail included; numbers in all weights
    OpInput in[RECURRENT_CASE_INPUTS];
    float *values[RECURRENT_CASE_INPUTS];
    int32_t *places[RECURRENT_CASE_INPUTS];
} RecurrentInputs;

/* All weights lie in one input, layer after layer: w_ih, w_hh, b_ih, b_hh. */
RecurrentInputs recurrent_inputs(const RecurrentCase *k, uint64_t seed);
void recurrent_inputs_free(RecurrentInputs *p);

/* An OpBuild whose context is the case. */
Tensor *recurrent_build(Graph *g, Tensor *const in[], Dtype dtype, const void *context);

/* What is looked at, by the definition in double precision, [rows of it] in `out`; no dropout. */
void recurrent_define(const RecurrentCase *k, const RecurrentInputs *p, double *const value[],
                      double *out);

/* Runs every check for one kind of cell. */
void recurrent_checks(Cell cell);

#endif
