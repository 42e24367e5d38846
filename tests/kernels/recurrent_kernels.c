/* Tests which kernel of rnn, lstm and gru runs, and that both of ours, each forced by name, give the
 * same bits; layers of different widths in one graph; more sequences than a grid's y has blocks.
 *
 * Blocks of `resident` are 16 units of 16 sequences forward, 32 of 16 backward; the emulator's card
 * holds few of them, so that a block has to take several times 16 sequences. */
#include "runtime/graph_parts.h"
#include "tests/on_device.h"
#include "tests/recurrent_cases.h"
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static RecurrentCase ragged(Cell cell, int count, int longest, int64_t C, int64_t H)
{
    RecurrentCase k = {.cell = cell, .count = count, .C = C, .H = H, .layers = 1, .biases = true};

    for (int b = 0; b < count; b++) {
        k.length[b] = (b * 7 + 3) % (longest + 1); // some are empty
        k.sample[b] = b;
    }
    return k;
}

static int64_t size_of(const OpInput *in)
{
    return in->ndim ? in->dim[0] * (in->ndim > 1 ? in->dim[1] : 1) : 0;
}

static bool is_near(const float *got, const float *want, int64_t n, double tolerance)
{
    double worst = 0, size = 1e-6;

    for (int64_t i = 0; i < n; i++) {
        size = fmax(size, fabs((double)want[i]));
        const double d = fabs((double)got[i] - (double)want[i]);
        worst = d <= worst ? worst : isnan(d) ? (double)INFINITY : d;
    }
    return CHECK_NEAR(worst / size, 0, tolerance);
}

/* ---- both kernels ---- */

/* Both kernels on the device of the tests, the first of them against the CPU. */
static void compare(RecurrentCase k, Dtype dtype, bool weights_f32)
{
    static const double TOLERANCE[] = {[F32] = 2e-5, [BF16] = 1e-2, [F16] = 2e-3};
    RecurrentInputs p = recurrent_inputs(&k, 5);
    OpRun steps = {0}, resident = {0}, cpu = {0};

    p.in[IN_WEIGHTS].keep_f32 = weights_f32;
    k.kernel = "steps";
    bool good = op_run(recurrent_build, &k, p.in, RECURRENT_CASE_INPUTS,
                       (OpSetting){.dtype = dtype}, &steps);
    k.kernel = "resident";
    good &= op_run(recurrent_build, &k, p.in, RECURRENT_CASE_INPUTS, (OpSetting){.dtype = dtype},
                   &resident);
    good &= op_run(recurrent_build, &k, p.in, RECURRENT_CASE_INPUTS,
                   (OpSetting){.dtype = dtype, .device = "cpu"}, &cpu);
    if (good) {
        const size_t bytes = (size_t)steps.y_count * sizeof(float);
        good &= CHECK(memcmp(steps.y, resident.y, bytes) == 0);
        good &= is_near(steps.y, cpu.y, steps.y_count, TOLERANCE[dtype]);
    }
    for (int i = 0; i < RECURRENT_CASE_INPUTS && good; i++)
        if (cpu.dx[i]) {
            const int64_t n = size_of(&p.in[i]);
            good &= CHECK(!memcmp(steps.dx[i], resident.dx[i], (size_t)n * sizeof(float)));
            good &= is_near(steps.dx[i], cpu.dx[i], n, TOLERANCE[dtype]);
        }
    if (!good)
        printf("  %s, %s, %d sequences, H %d\n", recurrent_name(k.cell), dtype_name(dtype), k.count,
               (int)k.H);
    op_run_free(&steps);
    op_run_free(&resident);
    op_run_free(&cpu);
    recurrent_inputs_free(&p);
}

/* A width that is no multiple of a tile, of four or of a block; states and their gradients; F32 weights
 * beside rows of another type. First on a small card, where a block has several times its 16 sequences:
 * ThreadSanitizer keeps a megabyte for each thread of the blocks that are there at once. */
static void both_give_the_same_bits(void)
{
    for (Cell cell = CELL_RNN; cell <= CELL_GRU; cell++)
        for (Dtype dtype = F32; dtype <= (test_briefly() ? BF16 : F16); dtype++) {
            RecurrentCase k = ragged(cell, cell == CELL_RNN ? 90 : 50, 3, 4, 67);
            k.states = true;
            k.look = LOOK_STATES;
            setenv("CAIRN_EMULATOR_MULTIPROCESSORS", "1", 1);
            compare(k, dtype, false);
            unsetenv("CAIRN_EMULATOR_MULTIPROCESSORS");
            if (test_briefly())
                continue;
            k = ragged(cell, 19, 4, 5, 35);
            k.bidirectional = true;
            k.tail = 2;
            compare(k, dtype, false);
            k = ragged(cell, 50, 2, 1, 132);
            compare(k, dtype, dtype == BF16);
        }
}

/* ---- layers of different widths ---- */

typedef struct Pair {
    RecurrentCase wide, narrow;
} Pair;

/* The weights of the second layer stand in the place of h0. */
static Tensor *build_pair(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const Pair *p = context;
    Tensor *own[RECURRENT_CASE_INPUTS] = {NULL};

    for (int i = 0; i < RECURRENT_CASE_INPUTS; i++)
        own[i] = i == IN_H0 ? NULL : in[i];
    own[IN_X] = recurrent_build(g, own, dtype, &p->wide);
    own[IN_WEIGHTS] = in[IN_H0];
    return recurrent_build(g, own, dtype, &p->narrow);
}

/* The same kernels, launched with more shared memory and then with less; in backward the other way
 * round. */
static void widths_do_not_disturb_each_other(void)
{
    static const int64_t WIDE[] = {[CELL_RNN] = 330, [CELL_LSTM] = 192, [CELL_GRU] = 200};

    for (Cell cell = CELL_RNN; cell <= CELL_GRU; cell++) {
        const int64_t wide = test_briefly() ? 67 : WIDE[cell];
        const Pair pair = {ragged(cell, 3, 2, 4, wide), ragged(cell, 3, 2, wide, 9)};
        RecurrentInputs first = recurrent_inputs(&pair.wide, 2);
        RecurrentInputs second = recurrent_inputs(&pair.narrow, 3);
        first.in[IN_H0] = second.in[IN_WEIGHTS];
        check_op(build_pair, &pair, first.in, RECURRENT_CASE_INPUTS, (OpCheck){0});
        recurrent_inputs_free(&first);
        recurrent_inputs_free(&second);
    }
}

/* ---- many sequences ---- */

enum { MANY = 65537 };

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = true };
#else
enum { SANITIZED = false };
#endif

static Tensor *build_many(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const Rows rows = {.offsets = in[1], .longest = 2};
    RecurrentLayer layer = {.w_ih = graph_reshape(g, graph_rows(g, in[2], 0, 3), DIMS(3, 1)),
                            .w_hh = graph_reshape(g, graph_rows(g, in[2], 3, 3), DIMS(3, 1)),
                            .h0 = in[3]};

    (void)dtype;
    (void)context;
    op_gru(g, in[0], &rows, NULL, &layer, 1, (RecurrentArgs){0});
    return layer.h_last;
}

/* One sequence in a thousand has rows. */
static void many_sequences(void)
{
    int32_t *offsets = calloc(MANY + 1, sizeof *offsets);

    if (test_briefly() || SANITIZED) {
        SKIP("paths that other tests take, with more work");
        free(offsets);
        return;
    }
    for (int b = 0; b < MANY; b++)
        offsets[b + 1] = offsets[b] + (b % 1000 == 7 ? 1 + b % 2 : 0);
    OpInput in[] = {{2, {offsets[MANY], 1}, .wants_gradient = true},
                    {1, {MANY + 1}, .places = offsets},
                    {2, {6, 1}, .wants_gradient = true},
                    {2, {MANY, 1}, .wants_gradient = true}};
    OpRun here = {0}, cpu = {0};
    for (int i = 0; i < 4; i++)
        in[i].values = i == 1 ? NULL : normal_values(size_of(&in[i]), (uint64_t)i);
    if (op_run(build_many, NULL, in, 4, (OpSetting){0}, &here) &&
        op_run(build_many, NULL, in, 4, (OpSetting){.device = "cpu"}, &cpu)) {
        is_near(here.y, cpu.y, MANY, 2e-5);
        for (int i = 0; i < 4; i++)
            if (cpu.dx[i])
                is_near(here.dx[i], cpu.dx[i], size_of(&in[i]), 2e-5);
    }
    op_run_free(&here);
    op_run_free(&cpu);
    for (int i = 0; i < 4; i++)
        free((void *)(uintptr_t)in[i].values);
    free(offsets);
}

/* ---- which one runs ---- */

/* What a training graph ends with; planned, never run. */
static Status end_shape(Call *c)
{
    call_output(c, 0, F32, DIMS(1));
    return graph_status(c->graph);
}

static void end_nothing(Call *c)
{
    (void)c;
}

static const Op end_op = {.name = "end",
                          .shape = end_shape,
                          .forward = {end_nothing, end_nothing},
                          .backward = {end_nothing, end_nothing}};

static Status plan_graph(Graph *g, RecurrentCase k, Dtype dtype)
{
    const int64_t G = k.cell == CELL_RNN ? 1 : k.cell == CELL_LSTM ? 4 : 3;
    const int64_t D = k.bidirectional ? 2 : 1;
    Tensor *x[RECURRENT_CASE_INPUTS] = {NULL};

    k.count = 16, k.C = 4, k.layers = 1;
    for (int b = 0; b < k.count; b++)
        k.length[b] = 2;
    x[IN_X] = graph_state(g, "x", dtype, DIMS(2 * k.count, k.C));
    x[IN_OFFSETS] = graph_state(g, "offsets", I32, DIMS(k.count + 1));
    x[IN_WEIGHTS] = graph_state(g, "w", dtype, DIMS(D * G * k.H * (k.C + k.H), 1));
    graph_want_gradient(g, x[IN_X]);
    Tensor *y = recurrent_build(g, x, dtype, &k);
    y = call_result(graph_record(g, &end_op, INPUTS(y), NULL, 0), 0);
    const Status s = graph_backward(g, y, NULL);
    return s ? s : graph_plan(g);
}

/* The kernels that a training graph has been planned with, or why none. */
static Status plan(RecurrentCase k, Dtype dtype, const char *chosen[2])
{
    Device *device = NULL;

    chosen[FORWARD] = chosen[BACKWARD] = "none";
    if (!CHECK_OK(test_device_open(test_device(), 1, &device)))
        return E_DEVICE;
    Graph *g = graph_new(device, (GraphOptions){.training = true});
    const Status s = plan_graph(g, k, dtype);
    for (int i = 0; i < g->call_count && !s; i++)
        if (!strcmp(g->call[i]->op->name, recurrent_name(k.cell)))
            chosen[g->call[i]->pass] = g->call[i]->op->chosen[DEVICE_CUDA](g->call[i]);
    graph_free(g);
    device_close(device);
    return s;
}

static void expect(RecurrentCase k, Dtype dtype, const char *forward, const char *backward)
{
    const char *chosen[2];

    if (!CHECK_OK(plan(k, dtype, chosen)) || !CHECK(!strcmp(chosen[FORWARD], forward)) ||
        !CHECK(!strcmp(chosen[BACKWARD], backward)))
        printf("  %s, %s, H %d: %s, %s\n", recurrent_name(k.cell), dtype_name(dtype), (int)k.H,
               chosen[FORWARD], chosen[BACKWARD]);
}

static void refuse(RecurrentCase k, Status code, const char *text)
{
    const char *chosen[2];
    const Status s = plan(k, F32, chosen);

    if (!CHECK(s == code && strstr(status_text(), text)))
        printf("  got \"%s\", wanted \"%s\"\n", s ? status_text() : "no error", text);
}

static void can_be_forced_by_name(void)
{
    for (Cell cell = CELL_RNN; cell <= CELL_GRU; cell++) {
        RecurrentCase k = {.cell = cell, .H = 33};
        char text[96];

        expect(k, F32, "resident", "resident");
        k.kernel = "auto";
        expect(k, BF16, "resident", "resident");
        k.kernel = "resident";
        expect(k, F16, "resident", "resident");
        k.kernel = "steps";
        expect(k, F32, "steps", "steps");
        k.kernel = cell == CELL_RNN ? "cudnn" : "paper";
        snprintf(text, sizeof text, "kernel.%s: %s is not one of resident, steps%s",
                 recurrent_name(cell), k.kernel, cell == CELL_RNN ? "" : ", cudnn");
        refuse(k, E_CONFIG, text);
    }
}

/* Weights that no card's shared memory holds. */
static void says_what_does_not_fit(void)
{
    RecurrentCase k = {.cell = CELL_LSTM, .H = 1000, .kernel = "resident"};

    refuse(k, E_DEVICE,
           "lstm kernel resident: 1000 units in f32 want 267520 bytes of shared memory "
           "a block forward, the card has ");
    refuse(k, E_DEVICE, "leave kernel.lstm out and Cairn chooses one that can");
    k.kernel = NULL;
    expect(k, F32, "steps", "steps");
}

/* The emulator shows the card it is told to: an H100's 132 multiprocessors, 227 KB a block. */
static void is_of_the_card(void)
{
    RecurrentCase k = {.cell = CELL_LSTM, .H = 192, .kernel = "resident", .bidirectional = true};

    if (strcmp(test_device(), "emulated") != 0) {
        SKIP("the card is what it is");
        return;
    }
    refuse(k, E_DEVICE,
           "lstm kernel resident: 192 units in 2 directions want 24 blocks at once "
           "forward, the card holds 16; leave kernel.lstm out");
    setenv("CAIRN_EMULATOR_MULTIPROCESSORS", "132", 1);
    expect(k, F32, "resident", "resident");
    k = (RecurrentCase){.cell = CELL_LSTM, .H = 768};
    expect(k, F32, "resident", "steps");
    expect(k, BF16, "resident", "resident");
    expect(k, F16, "resident", "resident");
    k.kernel = "resident";
    refuse(k, E_DEVICE,
           "768 units in f32 want 401408 bytes of shared memory a block backward, the "
           "card has 232448");
    unsetenv("CAIRN_EMULATOR_MULTIPROCESSORS");
}

int main(void)
{
    if (test_on_cpu()) {
        printf("skipped: the CPU has one kernel\n");
        return 77;
    }
    RUN(both_give_the_same_bits);
    RUN(widths_do_not_disturb_each_other);
    RUN(many_sequences);
    RUN(can_be_forced_by_name);
    RUN(says_what_does_not_fit);
    RUN(is_of_the_card);
    return test_result();
}
