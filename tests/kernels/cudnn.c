/* Tests kernel.attention=cudnn, kernel.lstm=cudnn and kernel.gru=cudnn against the definitions, and what
 * is said where they cannot run. On the emulated device cuDNN is the fake of tests/cudnn, which computes
 * from the descriptors that it is given; on a card it is cuDNN. */
#include "kernels/cudnn.h"
#include "runtime/op.h"
#include "tests/check_attention.h"
#include "tests/on_device.h"
#include "tests/recurrent_cases.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* There in builds with .cu files. */
static Status (*const describe)(Device *, char *, size_t) = IF_CUDA(cudnn_describe);

/* cuDNN reads packed rows from compute capability 9.0 on. */
static bool card_is_old(void)
{
    char text[256] = "";
    Device *device = NULL;

    if (test_device_open(test_device(), 1, &device))
        return false;
    device_describe(device, text, sizeof text);
    device_close(device);
    return strstr(text, "compute capability 8.") != NULL;
}

/* Ragged, empty, grouped, beyond a multiple of the padding, other keys, views of one tensor. */
static const AttentionCase ATTENTION[] = {
    {4, {5, 0, 67, 1}, {0}, {0, 1, 2, 3}, 2, 2, 16, .tail = 3},
    {3, {9, 33, 2}, {0}, {0, 1, 2}, 4, 2, 32, .causal = true, .tail = 1},
    {2, {7, 12}, {0}, {0, 1}, 3, 1, 8, .scale = 0.3f},
    {4, {5, 3, 6, 0}, {0, 9, 4, 2}, {0, 1, 2, 3}, 2, 1, 8, .cross = true, .tail = 2},
    {3, {9, 3, 5}, {4, 8, 5}, {0, 1, 2}, 2, 2, 16, .cross = true, .causal = true, .tail = 1},
};

static bool run_attention(const AttentionCase *k, const AttentionInputs *in, OpSetting setting,
                          OpRun *out)
{
    setting.dtype = k->dtype;
    return op_run(attention_build, k, in->in, ATTENTION_INPUT_COUNT, setting, out);
}

static void attention_agrees_with_the_definition(void)
{
    if (card_is_old()) {
        SKIP("attention by cuDNN wants a card of compute capability 9.0");
        return;
    }
    for (size_t i = 0; i < sizeof ATTENTION / sizeof *ATTENTION; i++)
        for (Dtype dtype = BF16; dtype <= F16; dtype++) {
            AttentionCase k = ATTENTION[i];
            const double tolerance = dtype == BF16 ? 1.2e-2 : 1.5e-3;
            OpRun one = {0};
            k.dtype = dtype;
            k.kernel = "cudnn";
            AttentionInputs in = attention_inputs_open(&k, i);
            AttentionReference want = attention_reference(&k, &in);

            bool good = run_attention(&k, &in, (OpSetting){0}, &one);
            if (good) {
                good &= attention_near(one.y, want.y, one.y_count, tolerance, "y");
                for (int x = 0; x < 1 + k.cross; x++)
                    good &= attention_near(one.dx[x], want.dx[x], in.in[x].dim[0] * in.in[x].dim[1],
                                           tolerance, "dx");
            }
            if (!good)
                printf("  case %zu, %s\n", i, dtype_name(dtype));
            op_run_free(&one);
            attention_reference_free(&want);
            attention_inputs_close(&in);
        }
}

static void attention_adds_to_what_is_there(void)
{
    const AttentionCase k = {2,
                             {20, 5},
                             {0},
                             {0, 1},
                             2,
                             1,
                             16,
                             .causal = true,
                             .tail = 2,
                             .dtype = F16,
                             .kernel = "cudnn"};

    if (card_is_old())
        SKIP("attention by cuDNN wants a card of compute capability 9.0");
    else
        attention_adds_and_keeps(&k);
}

static void expect_refusal(AttentionCase k, bool training, const char *text)
{
    AttentionInputs in = attention_inputs_open(&k, 0);

    check_compiles(attention_build, &k, in.in, ATTENTION_INPUT_COUNT,
                   (OpSetting){.dtype = k.dtype, .inference = !training}, E_DEVICE, text);
    attention_inputs_close(&in);
}

static void attention_says_what_it_cannot(void)
{
    if (card_is_old()) {
        SKIP("attention by cuDNN wants a card of compute capability 9.0");
        return;
    }
    AttentionCase k = {1, {4}, {0}, {0}, 1, 1, 64, .dtype = BF16, .kernel = "cudnn"};

    k.dropout = 0.1f;
    expect_refusal(k, true, "kernel cudnn: cannot draw Cairn's dropout; set the dropout");
    k.dropout = 0, k.window = 3;
    expect_refusal(k, false, "kernel cudnn: is given no window");
    k.window = 0, k.D = 20;
    expect_refusal(k, false, "kernel cudnn: ");
    k.D = 64, k.dtype = F32;
    expect_refusal(k, false, "kernel cudnn: has no form for f32");
}

/* ---- lstm, gru ---- */

static double distance(const float *a, const float *b, int64_t n)
{
    double worst = 0, size = 1e-6;

    for (int64_t i = 0; i < n; i++) {
        size = fmax(size, fabs((double)b[i]));
        const double d = fabs((double)a[i] - (double)b[i]);
        worst = d <= worst ? worst : isnan(d) ? (double)INFINITY : d;
    }
    return worst / size;
}

/* Against our own kernel on the same device. */
static void compare(RecurrentCase k, Dtype dtype, bool twice)
{
    static const double TOLERANCE[] = {[F32] = 1e-4, [BF16] = 6e-2, [F16] = 1e-2};
    RecurrentCase other = k;
    RecurrentInputs p = recurrent_inputs(&k, 11);
    const OpSetting setting = {.dtype = dtype, .twice = twice};
    OpRun want = {0}, got = {0};

    other.kernel = "cudnn";
    bool good = op_run(recurrent_build, &k, p.in, RECURRENT_CASE_INPUTS, setting, &want) &&
                op_run(recurrent_build, &other, p.in, RECURRENT_CASE_INPUTS, setting, &got);
    if (good) {
        good &= CHECK_NEAR(distance(got.y, want.y, want.y_count), 0, TOLERANCE[dtype]);
        for (int i = 0; i < RECURRENT_CASE_INPUTS; i++)
            if (want.dx[i])
                good &=
                    CHECK_NEAR(distance(got.dx[i], want.dx[i],
                                        p.in[i].dim[0] * (p.in[i].ndim > 1 ? p.in[i].dim[1] : 1)),
                               0, TOLERANCE[dtype]);
    }
    if (!good)
        printf("  %s, %s, %d directions, states %d, look %d\n", recurrent_name(k.cell),
               dtype_name(dtype), 1 + k.bidirectional, k.states, k.look);
    op_run_free(&want);
    op_run_free(&got);
    recurrent_inputs_free(&p);
}

static void recurrences_agree_with_ours(void)
{
    for (Cell cell = CELL_LSTM; cell <= CELL_GRU; cell++)
        for (int form = 0; form < 8; form++) {
            RecurrentCase k = {.cell = cell, .count = 4, .C = form & 1 ? 8 : 5, .H = 6};
            const int length[] = {3, 0, 5, 1};
            memcpy(k.length, length, sizeof length);
            k.layers = form & 1 ? 2 : 1;
            k.bidirectional = form & 2;
            k.states = form & 4 && !(cell == CELL_LSTM && k.bidirectional);
            k.look = form & 4 ? LOOK_STATES : LOOK_Y;
            k.biases = form & 1;
            k.tail = form & 1 ? 2 : 0;
            for (Dtype dtype = F32; dtype <= F16; dtype++)
                compare(k, dtype, form == 5);
        }
}

static void lstm_says_what_it_cannot(void)
{
    const RecurrentCase k = {.cell = CELL_LSTM,
                             .count = 1,
                             .length = {3},
                             .C = 4,
                             .H = 4,
                             .layers = 1,
                             .bidirectional = true,
                             .states = true,
                             .kernel = "cudnn"};
    RecurrentInputs p = recurrent_inputs(&k, 1);

    check_compiles(recurrent_build, &k, p.in, RECURRENT_CASE_INPUTS, (OpSetting){.inference = true},
                   E_DEVICE, "from h0 = 0 alone");
    recurrent_inputs_free(&p);
}

/* ---- the library ---- */

static void tells_its_version(void)
{
    char text[24] = "";
    Device *device = NULL;

    if (!CHECK_OK(test_device_open(test_device(), 1, &device)))
        return;
    CHECK_OK(describe(device, text, sizeof text));
    CHECK(strncmp(text, "9.", 2) == 0);
    device_close(device);
    if (strcmp(test_device(), "emulated") != 0)
        return;
    setenv("CAIRN_FAKE_CUDNN_VERSION", "90400", 1);
    if (!CHECK_OK(test_device_open(test_device(), 1, &device)))
        return;
    CHECK(describe(device, text, sizeof text) == E_DEVICE &&
          strstr(status_text(), "cuDNN is 9.4.0, kernels called cudnn want 9.11 or later"));
    device_close(device);
    unsetenv("CAIRN_FAKE_CUDNN_VERSION");
}

int main(void)
{
    Device *device = NULL;
    char text[24];

    if (test_on_cpu() || !describe) {
        printf("skipped: cuDNN is for a GPU\n");
        return 77;
    }
    if (!CHECK_OK(test_device_open(test_device(), 1, &device)))
        return test_result();
    const Status s = describe(device, text, sizeof text);
    device_close(device);
    if (s) {
        printf("skipped: %s\n", status_text());
        return 77;
    }
    RUN(tells_its_version);
    RUN(attention_agrees_with_the_definition);
    RUN(attention_adds_to_what_is_there);
    RUN(attention_says_what_it_cannot);
    RUN(recurrences_agree_with_ours);
    RUN(lstm_says_what_it_cannot);
    return test_result();
}
