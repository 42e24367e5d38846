/* Tests kernels/attention*.c: against the definition in double precision, against PyTorch, by
 * differences, and for what packing, threads, storage and dropout must not change. */
#include "kernels/ops.h"
#include "runtime/philox.h"
#include "runtime/safetensors.h"
#include "tests/check_op.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEQUENCES = 6, SEED = 42, UPDATE = 7 };

typedef struct Case {
    int count, queries[SEQUENCES], keys[SEQUENCES]; // keys: where `cross`
    int sample[SEQUENCES];                          // numbers within the update
    int heads, kv_heads, D;
    float scale, dropout;
    bool causal, cross;
    int window;
    int tail; // rows beyond the true count
} Case;

/* q, k and v are columns of in[0], or with `cross` q is in[0] and k, v are columns of in[1]. Then
 * offsets, offsets of the keys, sample numbers, step integers. */
typedef struct Inputs {
    int64_t N, S; // rows, tail included
    OpInput in[6];
    float *values[2];
    int32_t *places[4];
} Inputs;

static int64_t offsets_of(const Case *k, const int *length, int32_t **out)
{
    *out = calloc((size_t)k->count + 1, sizeof **out);
    for (int b = 0; b < k->count; b++)
        (*out)[b + 1] = (*out)[b] + length[b];
    return (*out)[k->count];
}

static Inputs inputs_open(const Case *k, uint64_t seed)
{
    Inputs p = {0};
    const int64_t q = (int64_t)k->heads * k->D, kv = (int64_t)2 * k->kv_heads * k->D;

    p.N = offsets_of(k, k->queries, &p.places[0]) + k->tail;
    p.S = offsets_of(k, k->cross ? k->keys : k->queries, &p.places[1]) + k->tail;
    const int64_t width = k->cross ? q : q + kv;
    p.values[0] = normal_values(p.N * width, seed);
    p.values[1] = normal_values(p.S * kv, seed + 1000);
    p.places[2] = calloc((size_t)p.N + 1, sizeof(int32_t));
    for (int b = 0; b < k->count; b++)
        for (int32_t n = p.places[0][b]; n < p.places[0][b + 1]; n++)
            p.places[2][n] = k->sample[b];
    p.places[3] = calloc(STEP_INTEGERS, sizeof(int32_t));
    p.places[3][STEP_SEED] = SEED;
    p.places[3][STEP_UPDATE] = UPDATE;

    p.in[0] = (OpInput){2, {p.N, width}, .values = p.values[0], .wants_gradient = true};
    if (k->cross)
        p.in[1] = (OpInput){2, {p.S, kv}, .values = p.values[1], .wants_gradient = true};
    p.in[2] = (OpInput){1, {k->count + 1}, .places = p.places[0]};
    p.in[3] = (OpInput){1, {k->count + 1}, .places = p.places[1]};
    p.in[4] = (OpInput){1, {p.N}, .places = p.places[2]};
    p.in[5] = (OpInput){1, {STEP_INTEGERS}, .places = p.places[3]};
    return p;
}

static void inputs_close(Inputs *p)
{
    for (int i = 0; i < 2; i++)
        free(p->values[i]);
    for (int i = 0; i < 4; i++)
        free(p->places[i]);
}

static int64_t longest(const Case *k, const int *length)
{
    int most = 0;

    for (int b = 0; b < k->count; b++)
        most = length[b] > most ? length[b] : most;
    return most;
}

static Tensor *build(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const Case *k = context;
    const int64_t q = (int64_t)k->heads * k->D, kv = (int64_t)k->kv_heads * k->D;
    const Rows rows = {in[2], in[4], NULL, longest(k, k->queries)};
    const Rows keys = {k->cross ? in[3] : NULL, NULL, NULL, longest(k, k->keys)};
    Tensor *other = k->cross ? in[1] : in[0];
    const int64_t start = k->cross ? 0 : q;

    (void)dtype;
    return op_attention(g, k->cross ? in[0] : graph_columns(g, in[0], 0, q),
                        graph_columns(g, other, start, kv), graph_columns(g, other, start + kv, kv),
                        &rows, &keys, in[5],
                        (AttentionArgs){.heads = k->heads,
                                        .kv_heads = k->kv_heads,
                                        .scale = k->scale,
                                        .dropout = k->dropout,
                                        .causal = k->causal,
                                        .window = k->window});
}

/* By the definition: y, and the gradients of q, k and v for the seed that op_run() uses. */
typedef struct Reference {
    const Case *k;
    const Inputs *in;
    double *y, *dx[2];
} Reference;

/* One row of q, k or v (part 0, 1, 2) of one head, in values or in gradients. */
static int64_t place(const Reference *r, int part, int64_t row, int64_t head)
{
    const Case *k = r->k;
    const int64_t q = (int64_t)k->heads * k->D, kv = (int64_t)k->kv_heads * k->D;
    const int64_t width = k->cross ? (part ? 2 * kv : q) : q + 2 * kv;
    const int64_t start = part == 0 ? 0 : (k->cross ? 0 : q) + (part - 1) * kv;

    return row * width + start + head * k->D;
}

static double keep(const Case *k, int b, int64_t head, int64_t i, int64_t j)
{
    if (k->dropout == 0)
        return 1;
    const Philox p = philox(SEED, (uint32_t)head, (uint32_t)(j / 4), (uint32_t)i,
                            (uint32_t)k->sample[b], UPDATE);
    return p.word[j % 4] >= philox_threshold(k->dropout) ? 1 / (1 - (double)k->dropout) : 0;
}

static double dot(const float *a, const float *b, int n)
{
    double sum = 0;

    for (int i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static bool sees(const Case *k, int64_t diagonal, int64_t j)
{
    return (!k->causal || j <= diagonal) && (k->window == 0 || j > diagonal - k->window);
}

/* Query i (row n) of one head and sequence. */
static void reference_query(Reference *r, int b, int64_t head, int64_t i, int64_t S, int64_t T)
{
    const Case *k = r->k;
    const float *x = r->in->values[0], *other = k->cross ? r->in->values[1] : x;
    double *dq = r->dx[0], *dkv = k->cross ? r->dx[1] : r->dx[0];
    const int64_t n = r->in->places[0][b] + i, first = r->in->places[k->cross][b];
    const int64_t kv = head / (k->heads / k->kv_heads), at = place(r, 0, n, head),
                  C = k->heads * k->D;
    const double scale = k->scale != 0 ? (double)k->scale : 1 / sqrt((double)k->D);
    double *p = calloc((size_t)S + 1, sizeof *p), sum = 0, most = -INFINITY, delta = 0;
    float dy[256];

    for (int64_t j = 0; j < S; j++) {
        p[j] = sees(k, i + S - T, j) ? scale * dot(x + at, other + place(r, 1, first + j, kv), k->D)
                                     : -INFINITY;
        most = fmax(most, p[j]);
    }
    for (int64_t j = 0; j < S; j++)
        sum += p[j] = p[j] == -INFINITY ? 0 : exp(p[j] - most);
    for (int d = 0; d < k->D; d++) {
        const int64_t e = n * C + head * k->D + d;
        dy[d] = (float)(e * 7919 % 23) / 11 - 1;
        for (int64_t j = 0; j < S; j++)
            r->y[e] += p[j] > 0 ? p[j] / sum * keep(k, b, head, i, j) *
                                      (double)other[place(r, 2, first + j, kv) + d]
                                : 0;
        delta += r->y[e] * (double)dy[d];
    }
    for (int64_t j = 0; j < S; j++) {
        if (p[j] == 0)
            continue;
        const int64_t kj = place(r, 1, first + j, kv), vj = place(r, 2, first + j, kv);
        const double share = p[j] / sum, m = keep(k, b, head, i, j);
        const double ds = share * (m * dot(dy, other + vj, k->D) - delta) * scale;
        for (int d = 0; d < k->D; d++) {
            dq[at + d] += ds * (double)other[kj + d];
            dkv[kj + d] += ds * (double)x[at + d];
            dkv[vj + d] += share * m * (double)dy[d];
        }
    }
    free(p);
}

static Reference reference(const Case *k, const Inputs *in)
{
    Reference r = {.k = k, .in = in};

    r.y = calloc((size_t)(in->N * k->heads * k->D) + 1, sizeof *r.y);
    for (int i = 0; i < 2; i++)
        r.dx[i] = calloc((size_t)(in->in[i].dim[0] * in->in[i].dim[1]) + 1, sizeof(double));
    for (int b = 0; b < k->count; b++)
        for (int64_t head = 0; head < k->heads; head++)
            for (int64_t i = 0; i < k->queries[b]; i++)
                reference_query(&r, b, head, i, k->cross ? k->keys[b] : k->queries[b],
                                k->queries[b]);
    return r;
}

static void check_near(const float *got, const double *want, int64_t n, double tolerance,
                       const char *what)
{
    double largest = 1e-6, worst = 0;

    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(want[i]));
    for (int64_t i = 0; i < n; i++) {
        const double error = fabs((double)got[i] - want[i]) / largest;
        worst = error <= worst ? worst : isnan(error) ? INFINITY : error;
    }
    if (!CHECK(worst <= tolerance))
        printf("  %s: relative error %.3g, tolerance %.3g\n", what, worst, tolerance);
}

static const Case MANY[] = {
    // one block, several, several chunks; empty sequences, one key, primes
    {3, {5, 0, 1}, {0}, {0, 1, 2}, 2, 2, 4, .tail = 3},
    {4, {301, 1, 64, 0}, {0}, {0, 1, 2, 3}, 2, 2, 32, .tail = 5},
    {2, {130, 61}, {0}, {4, 2}, 4, 2, 64, .causal = true},
    {2, {257, 48}, {0}, {4, 2}, 4, 1, 17, .causal = true, .window = 50, .tail = 1},
    {2, {200, 97}, {0}, {4, 2}, 1, 1, 80, .window = 33},
    {1, {150}, {0}, {4}, 2, 1, 96, .scale = 0.3f},
    {1, {70}, {0}, {4}, 1, 1, 128, .dropout = 0.25f},
    {3, {7, 211, 3}, {0}, {4, 9, 1}, 2, 2, 32, .dropout = 0.1f, .tail = 2},
    // other keys: none at all, fewer than queries (the first queries see nothing), more
    {4, {5, 3, 40, 0}, {0, 9, 139, 4}, {0, 1, 2, 3}, 2, 1, 8, .cross = true, .tail = 2},
    {3, {9, 3, 131}, {4, 150, 260}, {0, 1, 2}, 2, 2, 16, .cross = true, .causal = true},
    {1, {3}, {700}, {0}, 2, 2, 64, .cross = true, .causal = true, .window = 300, .dropout = 0.5f},
};

/* With two threads; and with three the same bits. */
static void check_case(const Case *k, const Inputs *in, const Reference *want)
{
    OpRun two = {0}, three = {0};

    if (op_run(build, k, in->in, 6, (OpSetting){.threads = 2}, &two) &&
        op_run(build, k, in->in, 6, (OpSetting){.threads = 3}, &three)) {
        check_near(two.y, want->y, two.y_count, 2e-6, "y");
        CHECK(memcmp(two.y, three.y, (size_t)two.y_count * sizeof(float)) == 0);
        for (int x = 0; x < (k->cross ? 2 : 1); x++) {
            const int64_t n = in->in[x].dim[0] * in->in[x].dim[1];
            check_near(two.dx[x], want->dx[x], n, 1e-5, "dx");
            CHECK(memcmp(two.dx[x], three.dx[x], (size_t)n * sizeof(float)) == 0);
        }
        op_run_free(&three);
    }
    op_run_free(&two);
}

/* Gradients through dropout included: backward must draw forward's masks. */
static void agrees_with_the_definition(void)
{
    for (size_t i = 0; i < sizeof MANY / sizeof *MANY; i++) {
        Inputs in = inputs_open(&MANY[i], i);
        Reference want = reference(&MANY[i], &in);

        check_case(&MANY[i], &in, &want);
        free(want.y);
        free(want.dx[0]);
        free(want.dx[1]);
        inputs_close(&in);
    }
}

static void passes_what_every_operator_must(void)
{
    static const Case few[] = {
        {3, {5, 0, 1}, {0}, {0, 1, 2}, 2, 2, 3, .tail = 2},
        {2, {3, 4}, {0}, {5, 6}, 2, 1, 2, .causal = true, .window = 2},
        {2, {2, 3}, {5, 1}, {1, 0}, 2, 1, 2, .cross = true, .causal = true},
    };

    for (size_t i = 0; i < sizeof few / sizeof *few; i++) {
        Inputs in = inputs_open(&few[i], 50 + i);
        check_op(build, &few[i], in.in, 6, (OpCheck){0});
        inputs_close(&in);
    }
}

static void hand_values(void)
{
    // scores 0 and ln 3: p = 1/4, 3/4
    const float qkv[] = {1, 0, 8, 1, 1.0986123f, 4};
    const int32_t offsets[] = {0, 2}, sample[2] = {0};
    const Case k = {1, {2}, {0}, {0}, 1, 1, 1, .scale = 1};
    const OpInput in[] = {{2, {2, 3}, .values = qkv},  {0},
                          {1, {2}, .places = offsets}, {1, {2}, .places = offsets},
                          {1, {2}, .places = sample},  {0}};
    OpRun r;

    if (op_run(build, &k, in, 6, (OpSetting){.inference = true}, &r)) {
        CHECK_NEAR(r.y[0], 5, 1e-6);
        CHECK_NEAR(r.y[1], 5, 1e-6);
    }
    op_run_free(&r);
}

/* Sequence b of a batch alone: same values, same sample number. */
static void check_alone(const Case *k, const Inputs *in, const OpRun *packed, int b)
{
    Case one = *k;
    const int64_t first = in->places[0][b], C = k->heads * k->D, W = in->in[0].dim[1];

    one.count = 1, one.queries[0] = k->queries[b], one.sample[0] = k->sample[b], one.tail = 0;
    Inputs own = inputs_open(&one, 0);
    memcpy(own.values[0], in->values[0] + first * W, (size_t)(own.N * W) * sizeof(float));
    OpRun r;
    if (op_run(build, &one, own.in, 6, (OpSetting){.threads = 1}, &r)) {
        const int64_t n = own.N * C;
        CHECK(n == 0 || memcmp(r.y, packed->y + first * C, (size_t)n * sizeof(float)) == 0);
    }
    op_run_free(&r);
    inputs_close(&own);
}

/* So a batch split into micro-batches draws the same masks too. */
static void packed_equals_alone(void)
{
    static const Case cases[] = {
        {4, {150, 1, 0, 209}, {0}, {3, 0, 7, 1}, 2, 1, 32, .dropout = 0.1f, .tail = 7},
        {3, {20, 131, 47}, {0}, {3, 0, 7}, 3, 3, 24, .causal = true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Inputs in = inputs_open(&cases[i], 70 + i);
        OpRun r;
        if (op_run(build, &cases[i], in.in, 6, (OpSetting){0}, &r))
            for (int b = 0; b < cases[i].count; b++)
                check_alone(&cases[i], &in, &r, b);
        op_run_free(&r);
        inputs_close(&in);
    }
}

static void tail_rows_do_not_count(void)
{
    const Case k = {2, {150, 31}, {0}, {0, 1}, 2, 2, 16, .tail = 20};
    Inputs in = inputs_open(&k, 90);
    const int64_t W = in.in[0].dim[1], true_rows = in.N - k.tail, C = k.heads * k.D;
    OpRun a = {0}, b = {0};

    op_run(build, &k, in.in, 6, (OpSetting){0}, &a);
    for (int64_t i = true_rows * W; i < in.N * W; i++)
        in.values[0][i] = i % 2 ? 3e38f : -1e30f;
    op_run(build, &k, in.in, 6, (OpSetting){0}, &b);
    if (CHECK(a.y && b.y)) {
        CHECK(memcmp(a.y, b.y, (size_t)(in.N * C) * sizeof(float)) == 0);
        CHECK(memcmp(a.dx[0], b.dx[0], (size_t)(in.N * W) * sizeof(float)) == 0);
        for (int64_t i = true_rows; i < in.N; i++)
            CHECK(b.y[i * C] == 0 && b.dx[0][i * W] == 0 && b.dx[0][i * W + W - 1] == 0);
    }
    op_run_free(&a);
    op_run_free(&b);
    inputs_close(&in);
}

/* v = 1, so y is the sum of what dropout kept: 1 on average. */
static void dropout_keeps_the_scale(void)
{
    const Case k = {1, {256}, {0}, {3}, 4, 4, 8, .dropout = 0.4f};
    Inputs in = inputs_open(&k, 95);
    OpRun r;
    double sum = 0;

    for (int64_t n = 0; n < in.N; n++)
        for (int64_t i = 64; i < 96; i++)
            in.values[0][n * 96 + i] = 1;
    if (op_run(build, &k, in.in, 6, (OpSetting){0}, &r)) {
        for (int64_t i = 0; i < r.y_count; i++)
            sum += (double)r.y[i];
        CHECK_NEAR(sum / (double)r.y_count, 1, 5e-3);
        CHECK(r.y[0] != r.y[32]); // another query, another mask
        CHECK(r.y[0] != r.y[8]);  // another head
    }
    op_run_free(&r);
    if (op_run(build, &k, in.in, 6, (OpSetting){.inference = true}, &r))
        for (int64_t i = 0; i < r.y_count; i++)
            CHECK_NEAR(r.y[i], 1, 1e-6); // not where nothing is trained
    op_run_free(&r);
    inputs_close(&in);
}

/* What PyTorch computed from padded batches with masks, sequence by sequence. */
static void agrees_with_pytorch(void)
{
    Safetensors *file;
    static const Case cases[] = {
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
        Inputs in = inputs_open(&cases[i], 0);
        const int64_t n = in.N * in.in[0].dim[1];
        OpRun r;
        memcpy(in.values[0], golden[0], (size_t)n * sizeof(float));
        if (op_run(build, &cases[i], in.in, 6, (OpSetting){0}, &r)) {
            for (int64_t k = 0; k < r.y_count; k++)
                CHECK_NEAR(r.y[k], golden[1][k], 2e-6);
            for (int64_t k = 0; k < n; k++)
                CHECK_NEAR(r.dx[0][k], golden[2][k], 5e-6);
        }
        op_run_free(&r);
        inputs_close(&in);
    }
    safetensors_close(file);
}

static void refuses_what_does_not_fit(void)
{
    Case k = {1, {4}, {0}, {0}, 4, 3, 8, .scale = 0};
    Inputs in = inputs_open(&k, 0);

    check_refused(build, &k, in.in, 6, E_SHAPE, "3 heads of keys do not divide 4");
    k.kv_heads = 4;
    inputs_close(&in);
    in = inputs_open(&k, 0);
    k.dropout = 1.5f;
    check_refused(build, &k, in.in, 6, E_SHAPE, "dropout is 1.5");
    k.dropout = 0.5f;
    in.in[5] = (OpInput){0};
    check_refused(build, &k, in.in, 6, E_SHAPE, "no step integers given");
    k.dropout = 0;
    in.in[2].dim[0] = 0;
    check_refused(build, &k, in.in, 6, E_SHAPE, "attention: offsets");
    inputs_close(&in);
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
