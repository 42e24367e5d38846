/* Tests the kernels of attention that there are for BF16, F16 and head widths of their own: against
 * the definition at the edges of their tiles, each kernel forced by name; and the choice among them.
 *
 * Tiles of sm90 are 64 queries twice and 128 keys, for width 256 64, in rings of 2. Tiles of sm80 are
 * 128 queries and 64 or 32 keys forward, 64 or 128 keys and 64 or 32 queries backward, half of that
 * for width 256; of f32 32 and 32, for width 256 16 and 16.
 */
#include "runtime/graph.h"
#include "tests/check_attention.h"
#include "tests/on_device.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const AttentionCase CASES[] = {
    {6, {1, 63, 64, 65, 127, 129}, {0}, {0, 1, 2, 3, 4, 5}, 1, 1, 64, .tail = 3},
    {3, {257, 0, 193}, {0}, {4, 0, 2}, 2, 1, 128, .causal = true},
    {2, {331, 33}, {0}, {3, 1}, 2, 2, 32, .causal = true, .window = 70, .dropout = 0.2f},
    {2, {130, 61}, {0}, {0, 1}, 2, 1, 80, .window = 33, .tail = 1},
    {2, {97, 200}, {0}, {7, 1}, 4, 1, 96, .causal = true, .dropout = 0.1f, .tail = 1},
    {2, {131, 64}, {0}, {0, 1}, 2, 1, 256, .causal = true, .dropout = 0.1f},
    {2, {17, 66}, {0}, {0, 1}, 1, 1, 256, .scale = 0.05f, .tail = 2},
    {1, {150}, {0}, {2}, 1, 1, 128, .dropout = 0.3f},
    // every stage of a ring several times
    {1, {65}, {641}, {2}, 1, 1, 64, .cross = true},
    {2, {65, 130}, {193, 384}, {2, 1}, 1, 1, 256, .cross = true, .causal = true, .window = 150},
    // other keys: none at all, fewer than queries (the first queries see nothing), more
    {4, {5, 3, 140, 0}, {0, 9, 139, 4}, {0, 1, 2, 3}, 2, 1, 64, .cross = true, .tail = 2},
    {3, {9, 3, 131}, {4, 150, 260}, {0, 1, 2}, 2, 2, 128, .cross = true, .causal = true},
    {2,
     {3, 140},
     {333, 5},
     {0, 6},
     2,
     1,
     32,
     .cross = true,
     .causal = true,
     .window = 300,
     .dropout = 0.5f},
};

/* Briefly, widths that stand for the others. */
static bool takes_part(const AttentionCase *k)
{
    return !test_briefly() || k->D == 32 || k->D == 128;
}

static bool check_kernel(const AttentionCase *k, const AttentionInputs *in,
                         const AttentionReference *want)
{
    const double tolerance = k->dtype == BF16 ? 1.2e-2 : 1.5e-3;
    OpRun one = {0}, other = {0};
    const bool again = !test_briefly();
    bool good =
        op_run(attention_build, k, in->in, 6, (OpSetting){.dtype = k->dtype}, &one) &&
        (!again || op_run(attention_build, k, in->in, 6, (OpSetting){.dtype = k->dtype}, &other));

    if (good) {
        good &= attention_near(one.y, want->y, one.y_count, tolerance, "y");
        good &= CHECK(!again || memcmp(one.y, other.y, (size_t)one.y_count * sizeof(float)) == 0);
        for (int x = 0; x < (k->cross ? 2 : 1); x++) {
            const int64_t n = in->in[x].dim[0] * in->in[x].dim[1];
            good &= attention_near(one.dx[x], want->dx[x], n, tolerance, "dx");
            good &= CHECK(!again || memcmp(one.dx[x], other.dx[x], (size_t)n * sizeof(float)) == 0);
        }
    }
    op_run_free(&one);
    op_run_free(&other);
    return good;
}

static void agree_with_the_definition(void)
{
    static const char *const kernels[] = {NULL, "sm80", "f32"};

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        for (Dtype dtype = BF16; dtype <= F16 && takes_part(&CASES[i]); dtype++) {
            AttentionCase k = CASES[i];
            k.dtype = dtype;
            AttentionInputs in = attention_inputs_open(&k, i);
            AttentionReference want = attention_reference(&k, &in);

            for (int n = 0; n < (test_on_cpu() ? 1 : 3); n++) {
                k.kernel = kernels[n];
                if (!check_kernel(&k, &in, &want))
                    printf("  case %zu, %s, kernel %s\n", i, dtype_name(dtype),
                           k.kernel ? k.kernel : "chosen");
            }
            attention_reference_free(&want);
            attention_inputs_close(&in);
        }
}

static void add_and_keep(void)
{
    AttentionCase k = {2, {70, 129}, {0}, {0, 1}, 2, 1, 32, .causal = true, .tail = 2};

    for (k.dtype = BF16; k.dtype <= F16; k.dtype++)
        attention_adds_and_keeps(&k);
}

/* What another sequence holds does not count, be it infinite. */
static void sequences_do_not_mix(void)
{
    AttentionCase k = {2, {70, 129}, {0}, {0, 1}, 2, 1, 64, .dtype = BF16};
    AttentionInputs in = attention_inputs_open(&k, 6);
    const int64_t width = in.in[0].dim[1], C = (int64_t)k.heads * k.D;
    OpRun before = {0}, after = {0};

    const bool first = op_run(attention_build, &k, in.in, 6, (OpSetting){.dtype = BF16}, &before);
    for (int64_t i = k.queries[0] * width; i < in.N * width; i++)
        in.values[0][i] = i % 3 ? INFINITY : NAN;
    if (first && op_run(attention_build, &k, in.in, 6, (OpSetting){.dtype = BF16}, &after)) {
        CHECK(memcmp(before.y, after.y, (size_t)(k.queries[0] * C) * sizeof(float)) == 0);
        CHECK(memcmp(before.dx[0], after.dx[0], (size_t)(k.queries[0] * width) * sizeof(float)) ==
              0);
    }
    op_run_free(&before);
    op_run_free(&after);
    attention_inputs_close(&in);
}

static void check_choice(AttentionCase k, Status code, const char *text)
{
    AttentionInputs in = attention_inputs_open(&k, 0);

    check_compiles(attention_build, &k, in.in, ATTENTION_INPUT_COUNT, (OpSetting){.dtype = k.dtype},
                   code, text);
    attention_inputs_close(&in);
}

static void can_be_forced_by_name(void)
{
    AttentionCase k = {1, {4}, {0}, {0}, 1, 1, 64, .dtype = BF16};

    if (test_on_cpu()) {
        SKIP("the CPU has one kernel");
        return;
    }
    k.kernel = "sm80";
    check_choice(k, OK, "");
    k.kernel = "auto";
    check_choice(k, OK, "");
    k.kernel = "paper";
    check_choice(k, E_CONFIG, "kernel.attention: paper is not one of sm90, sm80, f32");
    k.kernel = "a name that is longer than any";
    check_choice(k, E_CONFIG, "expected names of 1 to 23 letters");
    k.kernel = "sm80", k.dtype = F32;
    check_choice(k, E_DEVICE, "kernel sm80: has no form for f32");
    k.dtype = BF16, k.D = 72;
    check_choice(k, E_DEVICE, "kernel sm80: has no form for heads of width 72");
    k.D = 64, k.scale = -1;
    check_choice(k, E_DEVICE, "a scale above 0");
    k.kernel = NULL;
    check_choice(k, OK, "");
    k.D = 264;
    check_choice(k, E_DEVICE, "heads of width 264 are wider than the 256");
}

/* The emulator shows the card it is told to. */
static void is_of_the_card(void)
{
    AttentionCase k = {1, {4}, {0}, {0}, 1, 1, 64, .dtype = BF16, .kernel = "sm90"};
    const char *card = getenv("CAIRN_EMULATOR_CAPABILITY");

    if (strcmp(test_device(), "emulated") != 0 || card) {
        SKIP("the card is what it is");
        return;
    }
    check_choice(k, OK, "");
    setenv("CAIRN_EMULATOR_CAPABILITY", "80", 1);
    check_choice(k, E_DEVICE,
                 "kernel sm90: wants a card of compute capability 9.0, this one is 8.0");
    k.kernel = NULL;
    check_choice(k, OK, "");
    unsetenv("CAIRN_EMULATOR_CAPABILITY");
}

int main(void)
{
    RUN(agree_with_the_definition);
    RUN(add_and_keep);
    RUN(sequences_do_not_mix);
    RUN(can_be_forced_by_name);
    RUN(is_of_the_card);
    return test_result();
}
