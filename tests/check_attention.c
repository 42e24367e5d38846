/* check_attention.c - batches of sequences, and attention by its definition. */
#include "tests/check_attention.h"

#include "kernels/ops.h"
#include "runtime/half.h"
#include "runtime/philox.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static float rounded(Dtype dtype, float x)
{
    return dtype == BF16  ? float_from_bf16(bf16_from_float(x))
           : dtype == F16 ? float_from_f16(f16_from_float(x))
                          : x;
}

static int64_t offsets_of(const AttentionCase *k, const int *length, int32_t **out)
{
    *out = calloc((size_t)k->count + 1, sizeof **out);
    for (int b = 0; b < k->count; b++)
        (*out)[b + 1] = (*out)[b] + length[b];
    return (*out)[k->count];
}

AttentionInputs attention_inputs_open(const AttentionCase *k, uint64_t seed)
{
    AttentionInputs p = {0};
    const int64_t q = (int64_t)k->heads * k->D, kv = (int64_t)2 * k->kv_heads * k->D;

    p.N = offsets_of(k, k->queries, &p.places[0]) + k->tail;
    p.S = offsets_of(k, k->cross ? k->keys : k->queries, &p.places[1]) + k->tail;
    const int64_t width = k->cross ? q : q + kv;
    p.values[0] = normal_values(p.N * width, seed);
    p.values[1] = normal_values(p.S * kv, seed + 1000);
    for (int64_t i = 0; i < p.N * width; i++)
        p.values[0][i] = rounded(k->dtype, p.values[0][i]);
    for (int64_t i = 0; i < p.S * kv; i++)
        p.values[1][i] = rounded(k->dtype, p.values[1][i]);
    p.places[2] = calloc((size_t)p.N + 1, sizeof(int32_t));
    for (int b = 0; b < k->count; b++)
        for (int32_t n = p.places[0][b]; n < p.places[0][b + 1]; n++)
            p.places[2][n] = k->sample[b];
    p.places[3] = calloc(STEP_INTEGERS, sizeof(int32_t));
    p.places[3][STEP_SEED] = ATTENTION_SEED;
    p.places[3][STEP_UPDATE] = ATTENTION_UPDATE;

    p.in[0] = (OpInput){2, {p.N, width}, .values = p.values[0], .wants_gradient = true};
    if (k->cross)
        p.in[1] = (OpInput){2, {p.S, kv}, .values = p.values[1], .wants_gradient = true};
    p.in[2] = (OpInput){1, {k->count + 1}, .places = p.places[0]};
    p.in[3] = (OpInput){1, {k->count + 1}, .places = p.places[1]};
    p.in[4] = (OpInput){1, {p.N}, .places = p.places[2]};
    p.in[5] = (OpInput){1, {STEP_INTEGERS}, .places = p.places[3]};
    return p;
}

void attention_inputs_close(AttentionInputs *p)
{
    for (int i = 0; i < 2; i++)
        free(p->values[i]);
    for (int i = 0; i < 4; i++)
        free(p->places[i]);
}

static int64_t longest(const AttentionCase *k, const int *length)
{
    int most = 0;

    for (int b = 0; b < k->count; b++)
        most = length[b] > most ? length[b] : most;
    return most;
}

Tensor *attention_build(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const AttentionCase *k = context;
    const int64_t q = (int64_t)k->heads * k->D, kv = (int64_t)k->kv_heads * k->D;
    const Rows rows = {in[2], in[4], NULL, longest(k, k->queries)};
    const Rows keys = {k->cross ? in[3] : NULL, NULL, NULL, longest(k, k->keys)};
    Tensor *other = k->cross ? in[1] : in[0];
    const int64_t start = k->cross ? 0 : q;

    (void)dtype;
    const Status forced =
        k->kernel ? device_force_kernel(graph_device(g), "attention", k->kernel) : OK;
    if (forced)
        graph_fail(g, forced);
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

/* One row of q, k or v (part 0, 1, 2) of one head, in values or in gradients. */
static int64_t place(const AttentionReference *r, int part, int64_t row, int64_t head)
{
    const AttentionCase *k = r->k;
    const int64_t q = (int64_t)k->heads * k->D, kv = (int64_t)k->kv_heads * k->D;
    const int64_t width = k->cross ? (part ? 2 * kv : q) : q + 2 * kv;
    const int64_t start = part == 0 ? 0 : (k->cross ? 0 : q) + (part - 1) * kv;

    return row * width + start + head * k->D;
}

static double keep(const AttentionCase *k, int b, int64_t head, int64_t i, int64_t j)
{
    if (k->dropout == 0)
        return 1;
    const Philox p = philox(ATTENTION_SEED, (uint32_t)head, (uint32_t)(j / 4), (uint32_t)i,
                            (uint32_t)k->sample[b], ATTENTION_UPDATE);
    return p.word[j % 4] >= philox_threshold(k->dropout) ? 1 / (1 - (double)k->dropout) : 0;
}

static double dot(const float *a, const float *b, int n)
{
    double sum = 0;

    for (int i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static bool sees(const AttentionCase *k, int64_t diagonal, int64_t j)
{
    return (!k->causal || j <= diagonal) && (k->window == 0 || j > diagonal - k->window);
}

/* Query i (row n) of one head and sequence. */
static void reference_query(AttentionReference *r, int b, int64_t head, int64_t i, int64_t S,
                            int64_t T)
{
    const AttentionCase *k = r->k;
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
        dy[d] = rounded(k->dtype, (float)(e * 7919 % 23) / 11 - 1);
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

AttentionReference attention_reference(const AttentionCase *k, const AttentionInputs *in)
{
    AttentionReference r = {.k = k, .in = in};

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

bool attention_near(const float *got, const double *want, int64_t n, double tolerance,
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
    return worst <= tolerance;
}
void attention_reference_free(AttentionReference *r)
{
    free(r->y);
    free(r->dx[0]);
    free(r->dx[1]);
}

void attention_adds_and_keeps(const AttentionCase *k)
{
    const OpSetting plain = {.dtype = k->dtype}, add = {.dtype = k->dtype, .twice = true},
                    infer = {.dtype = k->dtype, .inference = true};
    AttentionInputs in = attention_inputs_open(k, 5);
    const int64_t n = in.in[0].dim[0] * in.in[0].dim[1];
    double *doubled = calloc((size_t)n, sizeof *doubled);
    OpRun once = {0}, twice = {0}, alone = {0};

    if (op_run(attention_build, k, in.in, ATTENTION_INPUT_COUNT, plain, &once) &&
        op_run(attention_build, k, in.in, ATTENTION_INPUT_COUNT, add, &twice) &&
        op_run(attention_build, k, in.in, ATTENTION_INPUT_COUNT, infer, &alone)) {
        for (int64_t i = 0; i < n; i++)
            doubled[i] = 2 * (double)once.dx[0][i];
        attention_near(twice.dx[0], doubled, n, k->dtype == BF16 ? 4e-3 : 5e-4, "sum");
        CHECK(memcmp(once.y, alone.y, (size_t)once.y_count * sizeof(float)) == 0);
    }
    op_run_free(&once);
    op_run_free(&twice);
    op_run_free(&alone);
    free(doubled);
    attention_inputs_close(&in);
}
