/* check_attention.h - batches for the tests of attention, and attention by its definition in double
 * precision. */
#ifndef TESTS_CHECK_ATTENTION_H
#define TESTS_CHECK_ATTENTION_H

#include "tests/check_op.h"

enum {
    ATTENTION_SEQUENCES = 6,
    ATTENTION_SEED = 42,
    ATTENTION_UPDATE = 7,
    ATTENTION_INPUT_COUNT = 6
};

typedef struct AttentionCase {
    int count, queries[ATTENTION_SEQUENCES], keys[ATTENTION_SEQUENCES]; // keys: where `cross`
    int sample[ATTENTION_SEQUENCES];                                    // numbers within the update
    int heads, kv_heads, D;
    float scale, dropout;
    bool causal, cross;
    int window;
    int tail;           // rows beyond the true count
    Dtype dtype;        // values are numbers of this type; F32: 0
    const char *kernel; // forced where the device has several; NULL: it chooses
} AttentionCase;

/* q, k and v are columns of in[0], or with `cross` q is in[0] and k, v are columns of in[1]. Then
 * offsets, offsets of the keys, sample numbers, step integers. */
typedef struct AttentionInputs {
    int64_t N, S; // rows, tail included
    OpInput in[ATTENTION_INPUT_COUNT];
    float *values[2];
    int32_t *places[4];
} AttentionInputs;

AttentionInputs attention_inputs_open(const AttentionCase *k, uint64_t seed);
void attention_inputs_close(AttentionInputs *p);

/* An OpBuild; the context is the case. */
Tensor *attention_build(Graph *g, Tensor *const in[], Dtype dtype, const void *context);

/* y, and the gradients of the first two inputs for the seed that op_run() uses. */
typedef struct AttentionReference {
    const AttentionCase *k;
    const AttentionInputs *in;
    double *y, *dx[2];
} AttentionReference;

AttentionReference attention_reference(const AttentionCase *k, const AttentionInputs *in);
void attention_reference_free(AttentionReference *r);

/* Checks the largest error, relative to the largest number wanted; false where it is beyond. */
bool attention_near(const float *got, const double *want, int64_t n, double tolerance,
                    const char *what);

/* Checks that gradients are added to what is there, and that keeping nothing for backward changes
 * nothing. */
void attention_adds_and_keeps(const AttentionCase *k);

#endif
