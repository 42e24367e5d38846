/* Tests kernels/rope.c and the frequencies of rope.h. */
#include "kernels/rope.h"
#include "runtime/safetensors.h"
#include "tests/check_op.h"
#include "tests/on_device.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* in: x, positions, offsets, table. */
static Tensor *build(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const Rows rows = {.position = in[1], .offsets = in[2]};

    (void)dtype;
    return op_rope(g, in[0], &rows, in[3], *(const RopeArgs *)context);
}

/* On columns of a wider tensor. */
static Tensor *build_view(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    Tensor *const view[] = {graph_columns(g, in[0], 1, tensor_columns(in[0]) - 3), in[1], in[2],
                            in[3]};
    return build(g, view, dtype, context);
}

enum { SEQUENCES = 3 };

static void inputs(OpInput in[4], int64_t N, int64_t C, const float *x, const int32_t *position,
                   const int32_t offsets[SEQUENCES + 1])
{
    in[0] = (OpInput){2, {N, C}, .values = x, .wants_gradient = true};
    in[1] = (OpInput){1, {N}, .places = position};
    in[2] = (OpInput){1, {SEQUENCES + 1}, .places = offsets};
    in[3] = (OpInput){0};
}

static void hand_values(void)
{
    // two heads of 4 of which the second passes; theta 4: frequencies 1 and 1/2
    const float x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9, 9, 9, 9, 9};
    const int32_t position[] = {3, 7}, offsets[] = {0, 1, 1, 1};
    RopeArgs args = {.heads = 2, .turned = 1, .theta = 4};
    OpInput in[4];
    OpRun r;

    inputs(in, 2, 8, x, position, offsets);
    if (op_run(build, &args, in, 3, (OpSetting){0}, &r)) {
        CHECK_NEAR(r.y[0], cos(3) - 3 * sin(3), 1e-6);
        CHECK_NEAR(r.y[2], 3 * cos(3) + sin(3), 1e-6);
        CHECK_NEAR(r.y[1], 2 * cos(1.5) - 4 * sin(1.5), 1e-6);
        CHECK(r.y[4] == 5 && r.y[7] == 8);
        for (int i = 8; i < 16; i++)
            CHECK(r.y[i] == 0 && r.dx[0][i] == 0); // beyond the true count
    }
    op_run_free(&r);
    args.form = ROPE_INTERLEAVED;
    args.rotary = 2;
    if (op_run(build, &args, in, 3, (OpSetting){.inference = true}, &r)) {
        CHECK_NEAR(r.y[0], cos(3) - 2 * sin(3), 1e-6);
        CHECK_NEAR(r.y[1], 2 * cos(3) + sin(3), 1e-6);
        CHECK(r.y[2] == 3 && r.y[3] == 4);
    }
    op_run_free(&r);
}

/* Angles at any position are as good as at the first. */
static void angles_are_exact(void)
{
    static const int32_t position[] = {0, 1, -1, 100, 4095, 131071, 1 << 20, INT32_MAX};
    double worst = 0;

    for (size_t k = 0; k < sizeof position / sizeof *position; k++)
        for (double f = 1; f > 1e-7; f *= 0.61) {
            const long double angle = (long double)f * position[k];
            float c, s;
            rope_cos_sin(rope_turn(f), position[k], &c, &s);
            const double near = position[k] < 1 << 21 ? 0 : 1e-6; // f itself is rounded to 2^-53
            worst = fmax(worst, fabs((double)(c - cosl(angle))) - near);
            worst = fmax(worst, fabs((double)(s - sinl(angle))) - near);
        }
    CHECK_NEAR(worst, 0, 1.5e-7);
}

static const RopeArgs CASES[] = {
    {.heads = 1},
    {.heads = 3, .turned = 2, .scaling = ROPE_LINEAR, .factor = 3},
    {.heads = 2, .rotary = 4, .scaling = ROPE_DYNAMIC, .factor = 2, .max_positions = 3},
    {.heads = 3, .scaling = ROPE_YARN, .factor = 4, .original_positions = 8, .theta = 100},
    {.heads = 1,
     .form = ROPE_INTERLEAVED,
     .scaling = ROPE_LLAMA3,
     .factor = 4,
     .original_positions = 16},
    {.heads = 2, .turned = 1, .rotary = 2, .form = ROPE_INTERLEAVED},
};

static void passes_what_every_operator_must(void)
{
    static const int64_t size[][2] = {{1, 2}, {7, 6}, {13, 10}, {3, 34}, {5, 32}, {0, 4}};

    for (size_t k = 0; k < sizeof CASES / sizeof *CASES; k++)
        for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
            const int64_t N = size[i][0], C = CASES[k].heads * size[i][1];
            const int32_t n = (int32_t)N, offsets[] = {0, n / 3, n / 3, n > 5 ? n - 2 : n};
            int32_t position[16];
            OpInput in[4];

            if (CASES[k].rotary > size[i][1] ||
                (CASES[k].scaling == ROPE_DYNAMIC && size[i][1] < 4))
                continue;
            float *x = normal_values(N * (C + 3), k);
            for (int32_t t = 0; t < n; t++)
                position[t] = t >= offsets[3] ? 1 << 30 : t < n / 3 ? t : t - n / 3 + 2;
            inputs(in, N, C, x, position, offsets);
            check_op(build, &CASES[k], in, 3, (OpCheck){0});
            in[0].dim[1] = C + 3;
            check_op(build_view, &CASES[k], in, 3, (OpCheck){0});
            free(x);
        }
}

static const struct {
    const char *name;
    RopeArgs args;
    bool table;
} GOLDEN[] = {
    {"plain", {.heads = 4}, false},
    {"linear", {.heads = 4, .scaling = ROPE_LINEAR, .factor = 4}, false},
    {"dynamic", {.heads = 4, .scaling = ROPE_DYNAMIC, .factor = 2, .max_positions = 64}, false},
    {"yarn",
     {.heads = 4,
      .scaling = ROPE_YARN,
      .theta = 1000,
      .max_positions = 512,
      .original_positions = 64},
     false},
    {"yarn_mscale",
     {.heads = 4,
      .scaling = ROPE_YARN,
      .theta = 1000,
      .factor = 40,
      .original_positions = 64,
      .mscale = 0.707,
      .mscale_all_dim = 1.5,
      .beta_fast = 16,
      .beta_slow = 2,
      .untruncated = true},
     false},
    {"llama3",
     {.heads = 4, .scaling = ROPE_LLAMA3, .theta = 500, .factor = 8, .original_positions = 64},
     false},
    {"longrope",
     {.heads = 4, .scaling = ROPE_LONGROPE, .factor = 4, .original_positions = 32},
     true},
    {"interleaved", {.heads = 4, .rotary = 12, .form = ROPE_INTERLEAVED}, false},
    {"partial",
     {.heads = 4,
      .rotary = 10,
      .scaling = ROPE_LLAMA3,
      .theta = 500,
      .factor = 8,
      .original_positions = 64},
     false},
};

/* Grouped heads: two of q, one of k, one of v that passes; a short sequence and one that is beyond
 * what the model was trained on. */
static void agrees_with_transformers(void)
{
    enum { N = 12, C = 4 * 16 };
    static const int32_t offsets[] = {0, 5, 12, 12};
    Safetensors *file;
    OpInput in[4];

    if (!CHECK_OK(safetensors_open(test_source("tests/golden/kernels/rope.safetensors"), &file)))
        return;
    inputs(in, N, C, safetensors_find(file, "x")->data, safetensors_find(file, "position")->data,
           offsets);
    for (size_t k = 0; k < sizeof GOLDEN / sizeof *GOLDEN; k++) {
        char y_name[32], dx_name[32];
        RopeArgs args = GOLDEN[k].args;
        OpRun r;

        args.turned = 3;
        snprintf(y_name, sizeof y_name, "y_%s", GOLDEN[k].name);
        snprintf(dx_name, sizeof dx_name, "dx_%s", GOLDEN[k].name);
        const float *y = safetensors_find(file, y_name)->data;
        const float *dx = safetensors_find(file, dx_name)->data;
        in[3] = GOLDEN[k].table ? (OpInput){2,
                                            {2, 8},
                                            .values = safetensors_find(file, "table")->data,
                                            .keep_f32 = true}
                                : (OpInput){0};
        if (!op_run(build, &args, in, 4, (OpSetting){0}, &r))
            continue;
        for (int i = 0; i < N * C; i++)
            if (!CHECK_NEAR(r.y[i], y[i], 2e-6) || !CHECK_NEAR(r.dx[0][i], dx[i], 2e-6)) {
                printf("  %s, element %d\n", GOLDEN[k].name, i);
                break;
            }
        op_run_free(&r);
    }
    safetensors_close(file);
}

/* A table of frequencies stands for any scaling. */
static void takes_frequencies(void)
{
    enum { N = 9, C = 8 };
    const float table[] = {1, 0.1f, 0.01f, 0.001f};
    const int32_t position[] = {0, 1, 2, 3, 4, 5, 6, 7, 8}, offsets[] = {0, 9, 9, 9};
    float *x = normal_values(N * C, 3);
    OpInput in[4];
    OpRun plain, given;

    inputs(in, N, C, x, position, offsets);
    if (op_run(build, &(RopeArgs){.heads = 1}, in, 3, (OpSetting){0}, &plain)) {
        in[3] = (OpInput){1, {4}, .values = table, .keep_f32 = true};
        if (op_run(build, &(RopeArgs){.heads = 1, .scaling = ROPE_FREQUENCIES}, in, 4,
                   (OpSetting){0}, &given))
            for (int i = 0; i < N * C; i++)
                CHECK_NEAR(given.y[i], plain.y[i], 1e-6);
        op_run_free(&given);
    }
    op_run_free(&plain);
    free(x);
}

/* In a graph that shares memory a packed qkv is turned where it lies. */
static void turns_in_place(void)
{
    enum { N = 5, C = 16 };
    const int32_t position[N] = {0, 1, 2, 3, 4}, offsets[] = {0, N, N, N};
    const RopeArgs args = {.heads = 4, .turned = 3};
    float *x = normal_values(N * C, 5), y[N * C];
    void *memory[5];
    const size_t bytes = sizeof y;
    Device *d = NULL;
    Arena arena = {0};
    OpInput in[4];
    OpRun r;

    inputs(in, N, C, x, position, offsets);
    if (!op_run(build, &args, in, 3, (OpSetting){.inference = true}, &r) ||
        !CHECK_OK(test_device_open(test_device(), 1, &d)))
        return;
    Graph *g = graph_new(d, (GraphOptions){0});
    Tensor *at[] = {graph_state(g, "x", F32, DIMS(N, C)), graph_state(g, "p", I32, DIMS(N)),
                    graph_state(g, "o", I32, DIMS(SEQUENCES + 1)), NULL};
    Tensor *zero = graph_state(g, "zero", F32, DIMS(N, C));
    Tensor *out = graph_state(g, "y", F32, DIMS(N, C));
    at[0]->data = memory[0] = on_device(d, x, bytes);
    at[1]->data = memory[1] = on_device(d, position, sizeof position);
    at[2]->data = memory[2] = on_device(d, offsets, sizeof offsets);
    zero->data = memory[3] = on_device(d, NULL, bytes);
    out->data = memory[4] = on_device(d, NULL, bytes);
    at[0] = op_add(g, at[0], zero);
    Tensor *turned = build(g, at, F32, &args);
    graph_store(g, out, turned, false);
    if (CHECK_OK(graph_plan(g)) && CHECK_OK(arena_open(&arena, d, graph_bytes(g))) &&
        CHECK_OK(graph_compile(g, &arena)) && CHECK_OK(graph_run(g, NULL))) {
        from_device(d, y, memory[4], bytes);
        CHECK(turned->data == at[0]->data);
        CHECK(memcmp(y, r.y, bytes) == 0);
    }
    graph_free(g);
    arena_close(&arena);
    for (int i = 0; i < 5; i++)
        on_device_free(d, memory[i], i == 1 ? sizeof position : i == 2 ? sizeof offsets : bytes);
    device_close(d);
    op_run_free(&r);
    free(x);
}

static void refuses(RopeArgs args, OpInput in[4], const char *text)
{
    check_refused(build, &args, in, 4, E_SHAPE, text);
}

static void refuses_what_does_not_fit(void)
{
    const float x[64] = {0};
    const int32_t position[4] = {0}, offsets[] = {0, 2, 2, 2};
    OpInput in[4];

    inputs(in, 2, 12, x, position, offsets);
    refuses((RopeArgs){.heads = 5}, in, "rope: rows of 12 do not divide into 5 heads");
    refuses((RopeArgs){0}, in, "do not divide into 0 heads");
    refuses((RopeArgs){.heads = 2, .turned = 3}, in, "3 heads of 2 are to be turned");
    refuses((RopeArgs){.heads = 4}, in, "3 rotary columns in heads of 3");
    refuses((RopeArgs){.heads = 2, .rotary = 8}, in, "8 rotary columns in heads of 6");
    refuses((RopeArgs){.heads = 2, .theta = -1}, in, "theta is -1");
    refuses((RopeArgs){.heads = 2, .scaling = ROPE_LINEAR}, in, "factor of its scaling is 0");
    refuses((RopeArgs){.heads = 2, .scaling = ROPE_DYNAMIC, .factor = 2}, in, "max_positions 0");
    refuses((RopeArgs){.heads = 2, .scaling = ROPE_LLAMA3, .factor = 2}, in,
            "original_positions is 0");
    refuses((RopeArgs){.heads = 2,
                       .scaling = ROPE_LLAMA3,
                       .factor = 2,
                       .original_positions = 9,
                       .low_frequency_factor = 4,
                       .high_frequency_factor = 2},
            in, "high_frequency_factor is 2");
    refuses((RopeArgs){.heads = 2, .scaling = ROPE_SCALINGS}, in, "scaling 7");
    refuses((RopeArgs){.heads = 2, .scaling = ROPE_FREQUENCIES}, in, "no table given");
    in[3] = (OpInput){1, {4}, .values = x, .keep_f32 = true};
    refuses((RopeArgs){.heads = 2}, in, "a table is given");
    refuses((RopeArgs){.heads = 2, .scaling = ROPE_FREQUENCIES}, in, "table has 4 elements");
    in[3] = (OpInput){0};
    in[1].dim[0] = 3;
    refuses((RopeArgs){.heads = 2}, in, "positions has 3 elements, expected 2");
}

int main(void)
{
    RUN(hand_values);
    RUN(angles_are_exact);
    RUN(passes_what_every_operator_must);
    RUN(agrees_with_transformers);
    RUN(takes_frequencies);
    RUN(turns_in_place);
    RUN(refuses_what_does_not_fit);
    return test_result();
}
