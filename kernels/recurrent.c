/* recurrent.c - rnn, lstm and gru on the CPU: plans, products over all rows; see recurrent.h. */
#include "kernels/recurrent_parts.h"

#include "kernels/vector.h"

#include <stdlib.h>

enum { BIAS_COLUMNS = 64 };

static Status plan_products(Call *c, const RecurrentShape *s, RecurrentPlan *p)
{
    Status status = OK;

    if (c->pass == FORWARD)
        return gemm_make(&p->gates, c->device, recurrent_gates(c, s));
    const GemmMatrix gates = {F32, p->gates_row, false};
    if (c->din[X])
        status = gemm_make(&p->dx, c->device, recurrent_dx(c, s, gates));
    if (!status && c->din[W_IH])
        status = gemm_make(&p->dw_ih, c->device, recurrent_dw_ih(c, s, gates));
    if (!status && c->din[W_HH])
        status = gemm_make(&p->dw_hh, c->device, recurrent_dw_hh(c, s, gates, p->before_row));
    return status;
}

/* Takes `count` elements of `size` bytes of scratch. */
static size_t take(Call *c, int64_t count, size_t size)
{
    const size_t at = c->scratch_bytes;

    c->scratch_bytes += arena_round((size_t)count * size);
    return at;
}

static size_t largest_product(const RecurrentPlan *p)
{
    const GemmPlan *all[] = {p->gates, p->dx, p->dw_ih, p->dw_hh};
    size_t most = 0;

    for (int i = 0; i < 4; i++)
        if (all[i] && gemm_scratch(all[i]) > most)
            most = gemm_scratch(all[i]);
    return most;
}

static void lay_out_scratch(Call *c, const RecurrentShape *s, RecurrentPlan *p)
{
    const int64_t gates = s->D * s->G * s->H, rows = s->items * s->D * s->most;
    const bool forward = c->pass == FORWARD, gru = s->kind == GRU;

    c->scratch_bytes = 0;
    p->order = take(c, 2 * s->B, sizeof(int32_t));
    p->places = take(c, rows, sizeof(int64_t));
    p->left_floats = recurrent_left(s->most, forward ? s->H : s->G * s->H);
    p->left = take(c, s->items * s->D * p->left_floats, sizeof(float));
    p->weight = take(c, gates * s->state, sizeof(float));
    p->states = take(c, (forward ? 3 : 2) * rows * s->state, sizeof(float));
    if (!forward || !c->save[GATES])
        p->gates_at = take(c, s->N * (forward ? gates : p->gates_row), sizeof(float));
    if (forward)
        p->bias = take(c, gates + s->D * s->state, sizeof(float));
    if (!forward && gru)
        p->dgates_h = take(c, s->N * p->gates_row, sizeof(float));
    if (!forward)
        p->sums = take(c, s->D * s->B * (gru ? 4 : s->G) * s->H, sizeof(float));
    if (!forward && c->din[W_HH])
        p->before = take(c, s->N * p->before_row, dtype_size(c->out[Y]->dtype));
    p->products = take(c, (int64_t)largest_product(p), 1);
}

Status recurrent_prepare_cpu(Call *c)
{
    RecurrentPlan *p = calloc(1, sizeof *p);

    if (!p)
        return fail(E_MEMORY, "%s: no memory for its plan", c->op->name);
    c->plan = p;
    const RecurrentShape s = recurrent_shape_of(c);
    p->blocks = __builtin_cpu_supports("x86-64-v4") ? &recurrent_avx512 : &recurrent_avx2;
    p->gates_row = gemm_odd_lines(s.D * s.G * s.H);
    p->before_row = gemm_odd_lines(s.D * s.H);
    const Status status = s.N == 0 ? OK : plan_products(c, &s, p);
    if (!status)
        lay_out_scratch(c, &s, p);
    return status;
}

void recurrent_release_cpu(Call *c)
{
    RecurrentPlan *p = c->plan;

    gemm_free(p->gates);
    gemm_free(p->dx);
    gemm_free(p->dw_ih);
    gemm_free(p->dw_hh);
    free(p);
    c->plan = NULL;
}

static float *floats_at(const Call *c, size_t at)
{
    return (float *)(void *)((char *)c->scratch + at);
}

static int threads_of(const Call *c, const RecurrentShape *s)
{
    return vector_threads(c->device, s->N * s->D * s->G * s->H);
}

/* b_ih + b_hh, but for the third gate of gru, whose b_hh stays apart, padded. */
static void sum_biases(const Call *c, const RecurrentShape *s, float *sum)
{
    const int64_t gates = s->D * s->G * s->H;
    const Tensor *ih = c->in[B_IH], *hh = c->in[B_HH];
    float *apart = sum + gates;

    memset(sum, 0, (size_t)(gates + s->D * s->state) * sizeof *sum);
    if (!ih)
        return;
    vector_give(sum, F32, false, vector_read(ih->data, ih->dtype, gates, sum), gates);
    for (int64_t k = 0; k < s->D * s->G; k++)
        for (int64_t u = 0; u < s->H; u += VECTOR_STRETCH) {
            float room[VECTOR_STRETCH];
            const int64_t n = vector_stretch(s->H - u);
            const bool third = s->kind == GRU && k % 3 == 2;
            float *to = third ? apart + k / 3 * s->state : sum + k * s->H;
            vector_give(to + u, F32, true,
                        vector_read(vector_at(hh, 0, k * s->H + u), hh->dtype, n, room), n);
        }
}

static void clear_tail(const Tensor *x, int64_t from)
{
    for (int64_t n = from; n < tensor_rows(x); n++)
        memset(tensor_row(x, n), 0, (size_t)tensor_columns(x) * dtype_size(x->dtype));
}

void recurrent_forward_cpu(Call *c)
{
    const RecurrentPlan *p = c->plan;
    const RecurrentShape s = recurrent_shape_of(c);
    const int32_t *offsets = c->in[OFFSETS]->data;
    float *bias = floats_at(c, p->bias);
    float *gates = c->save[GATES] ? c->save[GATES]->data : floats_at(c, p->gates_at);

    sum_biases(c, &s, bias);
    recurrent_rank(offsets, s.B, (int32_t *)(void *)floats_at(c, p->order));
    recurrent_panels_forward(c->in[W_HH], &s, p->blocks->lanes, floats_at(c, p->weight),
                             c->device->threads);
    if (p->gates)
        gemm_run(p->gates, c->stream, c->in[X]->data, c->in[W_IH]->data, gates, bias,
                 (char *)c->scratch + p->products);
#pragma omp parallel for num_threads(threads_of(c, &s)) schedule(dynamic, 1)
    for (int64_t item = 0; item < s.D * s.items; item++)
        recurrent_forward_item(c, &s, item);
    clear_tail(c->out[Y], offsets[s.B]);
}

/* before [N, D*H] = the state that each row started from, in the dtype of y. */
static void gather_before(const Call *c, const RecurrentShape *s, char *before)
{
    const int32_t *offsets = c->in[OFFSETS]->data;
    const Tensor *y = c->out[Y], *h0 = c->in[H0];
    const size_t size = dtype_size(y->dtype), bytes = (size_t)s->H * size;
    const int64_t row_step = ((const RecurrentPlan *)c->plan)->before_row;
    const int threads = vector_threads(c->device, s->N * s->D * s->H);

#pragma omp parallel for num_threads(threads) schedule(static) collapse(2)
    for (int64_t d = 0; d < s->D; d++)
        for (int64_t b = 0; b < s->B; b++)
            for (int64_t t = 0; t < offsets[b + 1] - offsets[b]; t++) {
                const int64_t row = recurrent_row(offsets, b, d, t);
                char *to = before + (size_t)(row * row_step + d * s->H) * size;
                if (t > 0)
                    memcpy(to, vector_at(y, recurrent_row(offsets, b, d, t - 1), d * s->H), bytes);
                else if (h0)
                    memcpy(to, vector_at(h0, d * s->B + b, 0), bytes);
                else
                    memset(to, 0, bytes);
            }
    memset(before + (size_t)(offsets[s->B] * row_step) * size, 0,
           (size_t)((s->N - offsets[s->B]) * row_step) * size);
}

/* Gate k of direction d of one bias: the sums of all sequences, in order; part: which of the sums. */
static void fold_bias(const Call *c, const RecurrentShape *s, int which, int64_t d, int64_t k)
{
    const RecurrentPlan *p = c->plan;
    const bool gru = s->kind == GRU;
    const int64_t parts = gru ? 4 : s->G, part = gru && k == 2 && which == B_HH ? 3 : k;
    const float *sums = floats_at(c, p->sums) + d * s->B * parts * s->H + part * s->H;
    const Tensor *to = c->din[which];

    for (int64_t u = 0; to && u < s->H; u += BIAS_COLUMNS) {
        float total[BIAS_COLUMNS] = {0};
        const int64_t n = s->H - u < BIAS_COLUMNS ? s->H - u : BIAS_COLUMNS;
        for (int64_t b = 0; b < s->B; b++)
            for (int64_t i = 0; i < n; i++)
                total[i] += sums[b * parts * s->H + u + i];
        vector_give(vector_at(to, 0, (d * s->G + k) * s->H + u), to->dtype,
                    c->accumulate >> which & 1, total, n);
    }
}

/* No rows: gradients that are not added to are zero. */
static void clear_products(const Call *c)
{
    static const int which[] = {X, W_IH, W_HH};

    for (int i = 0; i < 3; i++)
        if (c->din[which[i]] && !(c->accumulate >> which[i] & 1))
            clear_tail(c->din[which[i]], 0);
}

static void multiply_all(const Call *c, const RecurrentShape *s)
{
    const RecurrentPlan *p = c->plan;
    char *scratch = c->scratch, *products = scratch + p->products;
    const float *d = floats_at(c, p->gates_at);
    const float *d_h = s->kind == GRU ? floats_at(c, p->dgates_h) : d;

    if (p->dx)
        gemm_run(p->dx, c->stream, d, c->in[W_IH]->data, c->din[X]->data, NULL, products);
    if (p->dw_ih)
        gemm_run(p->dw_ih, c->stream, d, c->in[X]->data, c->din[W_IH]->data, NULL, products);
    if (!p->dw_hh)
        return;
    gather_before(c, s, scratch + p->before);
    for (int64_t k = 0; k < s->D; k++)
        gemm_run(p->dw_hh, c->stream, d_h + k * s->G * s->H,
                 scratch + p->before + (size_t)(k * s->H) * dtype_size(c->out[Y]->dtype),
                 tensor_row(c->din[W_HH], k * s->G * s->H), NULL, products);
}

void recurrent_backward_cpu(Call *c)
{
    const RecurrentPlan *p = c->plan;
    const RecurrentShape s = recurrent_shape_of(c);
    const int32_t *offsets = c->in[OFFSETS]->data;
    const int64_t gates = p->gates_row, tail = (s.N - offsets[s.B]) * gates;

    recurrent_rank(offsets, s.B, (int32_t *)(void *)floats_at(c, p->order));
    recurrent_panels_backward(c->in[W_HH], &s, p->blocks->lanes, floats_at(c, p->weight),
                              c->device->threads);
#pragma omp parallel for num_threads(threads_of(c, &s)) schedule(dynamic, 1)
    for (int64_t item = 0; item < s.D * s.items; item++)
        recurrent_backward_item(c, &s, item);
    memset(floats_at(c, p->gates_at) + offsets[s.B] * gates, 0, (size_t)tail * sizeof(float));
    if (s.kind == GRU)
        memset(floats_at(c, p->dgates_h) + offsets[s.B] * gates, 0, (size_t)tail * sizeof(float));
#pragma omp parallel for num_threads(threads_of(c, &s)) schedule(static)
    for (int64_t k = 0; k < s.D * s.G; k++) {
        fold_bias(c, &s, B_IH, k / s.G, k % s.G);
        fold_bias(c, &s, B_HH, k / s.G, k % s.G);
    }
    if (s.N == 0)
        clear_products(c);
    else
        multiply_all(c, &s);
}
