/* Tests kernels/attention*.c: against the definition in double precision, against PyTorch, by
 * differences, and for what packing, threads, storage and dropout must not change. */
#include "kernels/ops.h"
#include "runtime/safetensors.h"
#include "tests/check_attention.h"
#include "tests/on_device.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const AttentionCase MANY[] = {
    // one block, several, several chunks; empty sequences, one key, primes
    {3, {5, 0, 1}, {0}, {0, 1, 2}, 2, 2, 4, .tail = 3},
    {4, {301, 1, 64, 0}, {0}, {0, 1, 2, 3}, 2, 2, 32, .tail = 5},
    {2, {130, 61}, {0}, {4, 2}, 4, 2, 64, .causal = true},
    {2, {257, 48}, {0}, {4, 2}, 4, 1, 17, .causal = true, .window = 50, .tail = 1},
    {2, {200, 97}, {0}, {4, 2}, 1, 1, 80, .window = 33},
    {1, {150}, {0}, {4}, 2, 1, 96, .scale = 0.3f},
    {1, {70}, {0}, {4}, 1, 1, 128, .dropout = 0.25f},
    {3, {7, 211, 3}, {0}, {4, 9, 1}, 2, 2, 32, .dropout = 0.1f, .tail = 2},
    // 16 heads: whole sequences with two threads, chunks with three
    {2, {211, 198}, {0}, {4, 2}, 8, 4, 16, .causal = true, .window = 150, .tail = 1},
    // other keys: none at all, fewer than queries (the first queries see nothing), more
    {4, {5, 3, 40, 0}, {0, 9, 139, 4}, {0, 1, 2, 3}, 2, 1, 8, .cross = true, .tail = 2},
    {3, {9, 3, 131}, {4, 150, 260}, {0, 1, 2}, 2, 2, 16, .cross = true, .causal = true},
    {1, {3}, {700}, {0}, 2, 2, 64, .cross = true, .causal = true, .window = 300, .dropout = 0.5f},
};

/* With two threads; and with three the same bits. */
static void check_case(const AttentionCase *k, const AttentionInputs *in,
                       const AttentionReference *want)
{
    OpRun two = {0}, three = {0};
    const bool again = !test_briefly();

    if (op_run(attention_build, k, in->in, 6, (OpSetting){.threads = 2}, &two) &&
        (!again || op_run(attention_build, k, in->in, 6, (OpSetting){.threads = 3}, &three))) {
        attention_near(two.y, want->y, two.y_count, 2e-6, "y");
        CHECK(!again || memcmp(two.y, three.y, (size_t)two.y_count * sizeof(float)) == 0);
        for (int x = 0; x < (k->cross ? 2 : 1); x++) {
            const int64_t n = in->in[x].dim[0] * in->in[x].dim[1];
            attention_near(two.dx[x], want->dx[x], n, 1e-5, "dx");
            CHECK(!again || memcmp(two.dx[x], three.dx[x], (size_t)n * sizeof(float)) == 0);
        }
        op_run_free(&three);
    }
    op_run_free(&two);
}

/* Gradients through dropout included: backward must draw forward's masks. */
static void agrees_with_the_definition(void)
{
    for (size_t i = 0; i < sizeof MANY / sizeof *MANY; i++) {
        AttentionInputs in = attention_inputs_open(&MANY[i], i);
        AttentionReference want = attention_reference(&MANY[i], &in);

        check_case(&MANY[i], &in, &want);
        attention_reference_free(&want);
        attention_inputs_close(&in);
    }
}

static void passes_what_every_operator_must(void)
{
    static const AttentionCase few[] = {
        {3, {5, 0, 1}, {0}, {0, 1, 2}, 2, 2, 3, .tail = 2},
        {2, {3, 4}, {0}, {5, 6}, 2, 1, 2, .causal = true, .window = 2},
        {2, {2, 3}, {5, 1}, {1, 0}, 2, 1, 2, .cross = true, .causal = true},
    };

    for (size_t i = 0; i < sizeof few / sizeof *few; i++) {
        AttentionInputs in = attention_inputs_open(&few[i], 50 + i);
        check_op(attention_build, &few[i], in.in, 6, (OpCheck){0});
        attention_inputs_close(&in);
    }
}

static void hand_values(void)
{
    // scores 0 and ln 3: p = 1/4, 3/4
    const float qkv[] = {1, 0, 8, 1, 1.0986123f, 4};
    const int32_t offsets[] = {0, 2}, sample[2] = {0};
    const AttentionCase k = {1, {2}, {0}, {0}, 1, 1, 1, .scale = 1};
    const OpInput in[] = {{2, {2, 3}, .values = qkv},  {0},
                          {1, {2}, .places = offsets}, {1, {2}, .places = offsets},
                          {1, {2}, .places = sample},  {0}};
    OpRun r;

    if (op_run(attention_build, &k, in, 6, (OpSetting){.inference = true}, &r)) {
        CHECK_NEAR(r.y[0], 5, 1e-6);
        CHECK_NEAR(r.y[1], 5, 1e-6);
    }
    op_run_free(&r);
}

/* Sequence b of a batch alone: same values, same sample number. */
static void check_alone(const AttentionCase *k, const AttentionInputs *in, const OpRun *packed,
                        int b)
{
    AttentionCase one = *k;
    const int64_t first = in->places[0][b], C = k->heads * k->D, W = in->in[0].dim[1];

    one.count = 1, one.queries[0] = k->queries[b], one.sample[0] = k->sample[b], one.tail = 0;
    AttentionInputs own = attention_inputs_open(&one, 0);
    memcpy(own.values[0], in->values[0] + first * W, (size_t)(own.N * W) * sizeof(float));
    OpRun r;
    if (op_run(attention_build, &one, own.in, 6, (OpSetting){.threads = 1}, &r)) {
        const int64_t n = own.N * C;
        CHECK(n == 0 || memcmp(r.y, packed->y + first * C, (size_t)n * sizeof(float)) == 0);
    }
    op_run_free(&r);
    attention_inputs_close(&own);
}

/* So a batch split into micro-batches draws the same masks too. */
static void packed_equals_alone(void)
{
    static const AttentionCase cases[] = {
        {4, {150, 1, 0, 209}, {0}, {3, 0, 7, 1}, 2, 1, 32, .dropout = 0.1f, .tail = 7},
        {3, {20, 131, 47}, {0}, {3, 0, 7}, 3, 3, 24, .causal = true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        AttentionInputs in = attention_inputs_open(&cases[i], 70 + i);
        OpRun r;
        if (op_run(attention_build, &cases[i], in.in, 6, (OpSetting){0}, &r))
            for (int b = 0; b < cases[i].count; b++)
                check_alone(&cases[i], &in, &r, b);
        op_run_free(&r);
        attention_inputs_close(&in);
    }
}

static void tail_rows_do_not_count(void)
{
    const AttentionCase k = {2, {150, 31}, {0}, {0, 1}, 2, 2, 16, .tail = 20};
    AttentionInputs in = attention_inputs_open(&k, 90);
    const int64_t W = in.in[0].dim[1], true_rows = in.N - k.tail, C = k.heads * k.D;
    OpRun a = {0}, b = {0};

    op_run(attention_build, &k, in.in, 6, (OpSetting){0}, &a);
    for (int64_t i = true_rows * W; i < in.N * W; i++)
        in.values[0][i] = i % 2 ? 3e38f : -1e30f;
    op_run(attention_build, &k, in.in, 6, (OpSetting){0}, &b);
    if (CHECK(a.y && b.y)) {
        CHECK(memcmp(a.y, b.y, (size_t)(in.N * C) * sizeof(float)) == 0);
        CHECK(memcmp(a.dx[0], b.dx[0], (size_t)(in.N * W) * sizeof(float)) == 0);
        for (int64_t i = true_rows; i < in.N; i++)
            CHECK(b.y[i * C] == 0 && b.dx[0][i * W] == 0 && b.dx[0][i * W + W - 1] == 0);
    }
    op_run_free(&a);
    op_run_free(&b);
    attention_inputs_close(&in);
}

/* v = 1, so y is the sum of what dropout kept: 1 on average. */
static void dropout_keeps_the_scale(void)
{
    if (test_briefly()) {
        SKIP("a matter of values");
        return;
    }
    const AttentionCase k = {1, {256}, {0}, {3}, 4, 4, 8, .dropout = 0.4f};
    AttentionInputs in = attention_inputs_open(&k, 95);
    OpRun r;
    double sum = 0;

    for (int64_t n = 0; n < in.N; n++)
        for (int64_t i = 64; i < 96; i++)
            in.values[0][n * 96 + i] = 1;
    if (op_run(attention_build, &k, in.in, 6, (OpSetting){0}, &r)) {
        for (int64_t i = 0; i < r.y_count; i++)
            sum += (double)r.y[i];
        CHECK_NEAR(sum / (double)r.y_count, 1, 5e-3);
        CHECK(r.y[0] != r.y[32]); // another query, another mask
        CHECK(r.y[0] != r.y[8]);  // another head
    }
    op_run_free(&r);
    if (op_run(attention_build, &k, in.in, 6, (OpSetting){.inference = true}, &r))
        for (int64_t i = 0; i < r.y_count; i++)
            CHECK_NEAR(r.y[i], 1, 1e-6); // not where nothing is trained
    op_run_free(&r);
    attention_inputs_close(&in);
}

/* What PyTorch computed from padded batches with masks, sequence by sequence. */
static void agrees_with_pytorch(void)
{
    Safetensors *file;
    static const AttentionCase cases[] = {
        {3, {7, 1, 19}, {0}, {0}, 3, 3, 16, .scale = 0},
        {3, {7, 1, 19}, {0}, {0}, 4, 2, 8, .causal = true},
    };

    if (!CHECK_OK(
            safetensors_open(test_source("tests/golden/kernels/attention.safetensors"), &file)))
        return;
    for (int i = 0; i < 2; i++) {
        char name[3][32];
        const float *golden[3];
        for (int j = 0; j < 3; j++) {
            snprintf(name[j], sizeof name[j], "%d.%s", i, (const char *[]){"x", "y", "dx"}[j]);
            const StoredTensor *t = safetensors_find(file, name[j]);
            golden[j] = CHECK(t != NULL) ? t->data : NULL;
        }
        AttentionInputs in = attention_inputs_open(&cases[i], 0);
        const int64_t n = in.N * in.in[0].dim[1];
        OpRun r;
        memcpy(in.values[0], golden[0], (size_t)n * sizeof(float));
        if (op_run(attention_build, &cases[i], in.in, 6, (OpSetting){0}, &r)) {
            for (int64_t k = 0; k < r.y_count; k++)
                CHECK_NEAR(r.y[k], golden[1][k], 2e-6);
            for (int64_t k = 0; k < n; k++)
                CHECK_NEAR(r.dx[0][k], golden[2][k], 5e-6);
        }
        op_run_free(&r);
        attention_inputs_close(&in);
    }
    safetensors_close(file);
}

static void refuses_what_does_not_fit(void)
{
    AttentionCase k = {1, {4}, {0}, {0}, 4, 3, 8, .scale = 0};
    AttentionInputs in = attention_inputs_open(&k, 0);

    check_refused(attention_build, &k, in.in, 6, E_SHAPE, "3 heads of keys do not divide 4");
    k.kv_heads = 4;
    attention_inputs_close(&in);
    in = attention_inputs_open(&k, 0);
    k.dropout = 1.5f;
    check_refused(attention_build, &k, in.in, 6, E_SHAPE, "dropout is 1.5");
    k.dropout = 0.5f;
    in.in[5] = (OpInput){0};
    check_refused(attention_build, &k, in.in, 6, E_SHAPE, "no step integers given");
    k.dropout = 0;
    in.in[2].dim[0] = 0;
    check_refused(attention_build, &k, in.in, 6, E_SHAPE, "attention: offsets");
    attention_inputs_close(&in);
}

int main(void)
{
    RUN(hand_values);
    RUN(agrees_with_the_definition);
    RUN(passes_what_every_operator_must);
    RUN(packed_equals_alone);
    RUN(tail_rows_do_not_count);
    RUN(dropout_keeps_the_scale);
    RUN(agrees_with_pytorch);
    RUN(refuses_what_does_not_fit);
    return test_result();
}
