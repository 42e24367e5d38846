/* check_op.h - what every operator must pass, whatever it computes.
 *
 * An operator under test is a function that records it on state tensors; inputs are plain arrays.
 * Every run happens in a graph that shares no memory, in an arena filled with NaN: what an operator
 * reads without having written it, or adds to without having been told to, shows.
 */
#ifndef TESTS_CHECK_OP_H
#define TESTS_CHECK_OP_H

#include "runtime/graph.h"

enum { CHECK_INPUTS = 10 };

typedef struct OpInput {
    int ndim;
    int64_t dim[MAX_DIMS];
    const float *values;   // of an input of numbers, or NULL
    const int32_t *places; // of an input of I32, or NULL
    bool wants_gradient;   // numbers only
    bool keep_f32;         // stays F32 when the others are stored as BF16 or F16
} OpInput;

/* Records the operator on in[] and returns the output to look at. dtype: of the activations. */
typedef Tensor *(*OpBuild)(Graph *g, Tensor *const in[], Dtype dtype, const void *context);

/* What one run gave; owned by the caller, freed by op_run_free(). */
typedef struct OpRun {
    float *y;
    int64_t y_count;
    float *dx[CHECK_INPUTS]; // of the inputs that want one, of sum(y * seed)
} OpRun;

typedef struct OpSetting {
    const char *device; // NULL: test_device() of on_device.h
    int threads;        // 0: 2
    Dtype dtype;        // F32: 0
    bool twice;         // record the operator twice on the same inputs: gradients must double
    bool inference;     // no gradients
    int runs;           // of the graph; 0: 1. What the last one gave counts
} OpSetting;

/* Runs it; false (after a failed CHECK that prints why) where it fails. seed: element i of y
 * counts (i * 7919 % 23) / 11 - 1. */
bool op_run(OpBuild build, const void *context, const OpInput *in, int count, OpSetting s,
            OpRun *out);
void op_run_free(OpRun *r);

typedef struct OpCheck {
    double step;                  // of the central differences; 0: 1e-2
    double tolerance;             // of gradients against differences; 0: 5e-3
    double bf16_tolerance;        // of BF16 storage against F32; 0: 3e-2; negative: not checked
    double f16_tolerance;         // likewise; 0: 5e-3
    double device_tolerance;      // of another device against the CPU in F32; 0: 2e-5
    double device_bf16_tolerance; // likewise, both in BF16; 0: 1e-2
    double device_f16_tolerance;  // likewise, both in F16; 0: 2e-3
    bool random;                  // draws by call site: recording it twice is not the same twice
} OpCheck;

/* Checks that gradients agree with central differences; a second run, one thread and two give the
 * same bits; recording it twice doubles the gradients exactly; BF16 and F16 storage agree with F32
 * within tolerance (relative to the largest element).
 *
 * On another device than the CPU ($CAIRN_TEST_DEVICE): that outputs and all gradients agree with
 * the CPU's in F32, BF16 and F16; a second graph gives the same bits in its fourth run, which
 * replays a recording; recording it twice doubles the gradients. An operator that has no kernel
 * there fails. Briefly (test_briefly()): F32 and BF16, each once, and added to once. */
void check_op(OpBuild build, const void *context, const OpInput *in, int count, OpCheck c);

/* Records the operator, plans and compiles it; expects that this ends with the code and, but for OK, with
 * this text in the message. */
void check_compiles(OpBuild build, const void *context, const OpInput *in, int count, OpSetting s,
                    Status code, const char *text);

/* Shape errors: records the operator, expects failure with this code and this text in it. */
void check_refused(OpBuild build, const void *context, const OpInput *in, int count, Status code,
                   const char *text);

/* Normal numbers that depend only on count and seed; freed by the caller. */
float *normal_values(int64_t count, uint64_t seed);

#endif
