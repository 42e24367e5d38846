/* recurrent_cases.c - batches for rnn, lstm and gru, and what they should give. */
#include "tests/recurrent_cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEED = 42, UPDATE = 7 };

const char *recurrent_name(Cell cell)
{
    return cell == CELL_RNN ? "rnn" : cell == CELL_LSTM ? "lstm" : "gru";
}

static int gates_of(const RecurrentCase *k)
{
    return k->cell == CELL_RNN ? 1 : k->cell == CELL_LSTM ? 4 : 3;
}

static int directions_of(const RecurrentCase *k)
{
    return k->bidirectional ? 2 : 1;
}

static int64_t inputs_of(const RecurrentCase *k, int layer)
{
    return layer ? directions_of(k) * k->H : k->C;
}

static int64_t layer_size(const RecurrentCase *k, int layer)
{
    const int64_t rows = directions_of(k) * gates_of(k) * k->H;
    return rows * (inputs_of(k, layer) + k->H + (k->biases ? 2 : 0));
}

static void fill_places(const RecurrentCase *k, RecurrentInputs *p)
{
    int32_t *offsets = p->places[IN_OFFSETS];

    for (int b = 0; b < k->count; b++)
        for (int t = 0; t < k->length[b]; t++) {
            p->places[IN_SAMPLE][offsets[b] + t] = k->sample[b];
            p->places[IN_POSITION][offsets[b] + t] = t;
        }
    for (int i = 0; i < directions_of(k) * k->count; i++)
        p->places[IN_INDEX][i] = i % 5 == 4 || p->N == 0 ? -1 : (int32_t)(i * 31 % p->N);
    p->places[IN_STEP][STEP_SEED] = SEED;
    p->places[IN_STEP][STEP_UPDATE] = UPDATE;
}

RecurrentInputs recurrent_inputs(const RecurrentCase *k, uint64_t seed)
{
    RecurrentInputs p = {0};
    const int64_t states = k->layers * directions_of(k) * k->count;

    p.places[IN_OFFSETS] = calloc((size_t)k->count + 1, sizeof(int32_t));
    for (int b = 0; b < k->count; b++)
        p.places[IN_OFFSETS][b + 1] = p.places[IN_OFFSETS][b] + k->length[b];
    p.N = p.places[IN_OFFSETS][k->count] + k->tail;
    for (int i = 0; i < k->layers; i++)
        p.weights += layer_size(k, i);
    const int64_t dim[][2] = {{p.N, k->C},    {k->count + 1, 1}, {p.weights, 1},
                              {states, k->H}, {states, k->H},    {directions_of(k) * k->count, 1},
                              {p.N, 1},       {p.N, 1},          {STEP_INTEGERS, 1}};
    for (int i = 0; i < RECURRENT_CASE_INPUTS; i++) {
        const bool numbers = i == IN_X || i == IN_WEIGHTS || i == IN_H0 || i == IN_C0;
        const bool absent =
            ((i == IN_H0 || i == IN_C0) && !k->states) || (i == IN_C0 && k->cell != CELL_LSTM);
        if (numbers) {
            p.values[i] = normal_values(dim[i][0] * dim[i][1], seed + (uint64_t)i);
            p.in[i] = (OpInput){
                2, {dim[i][0], dim[i][1]}, .values = p.values[i], .wants_gradient = !absent};
        } else {
            p.places[i] = p.places[i] ? p.places[i] : calloc((size_t)dim[i][0] + 1, 4);
            p.in[i] = (OpInput){1, {dim[i][0]}, .places = p.places[i]};
        }
        if (absent)
            p.in[i].ndim = 0;
    }
    for (int64_t i = 0; i < p.weights; i++)
        p.values[IN_WEIGHTS][i] *= k->H > 4 ? 1 / sqrtf((float)k->H) : 0.5f; // not chaotic
    fill_places(k, &p);
    return p;
}

void recurrent_inputs_free(RecurrentInputs *p)
{
    for (int i = 0; i < RECURRENT_CASE_INPUTS; i++) {
        free(p->values[i]);
        free(p->places[i]);
    }
}

static Tensor *cut(Graph *g, Tensor *x, int64_t *at, int64_t rows, int64_t columns)
{
    Tensor *part = graph_rows(g, x, *at, rows * columns);

    *at += rows * columns;
    return columns == 1 ? graph_reshape(g, part, DIMS(rows))
                        : graph_reshape(g, part, DIMS(rows, columns));
}

Tensor *recurrent_build(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const RecurrentCase *k = context;
    const int64_t D = directions_of(k), rows = D * gates_of(k) * k->H, states = D * k->count;
    RecurrentLayer layer[4] = {{0}};
    Rows batch = {in[IN_OFFSETS], in[IN_SAMPLE], in[IN_POSITION], 0};
    int64_t at = 0;
    const Status forced =
        k->kernel ? device_force_kernel(graph_device(g), recurrent_name(k->cell), k->kernel) : OK;

    (void)dtype;
    if (forced)
        graph_fail(g, forced);
    for (int b = 0; b < k->count; b++)
        batch.longest = k->length[b] > batch.longest ? k->length[b] : batch.longest;
    for (int i = 0; i < k->layers; i++) {
        RecurrentLayer *l = &layer[i];
        l->w_ih = cut(g, in[IN_WEIGHTS], &at, rows, inputs_of(k, i));
        l->w_hh = graph_reshape(g, cut(g, in[IN_WEIGHTS], &at, rows * k->H, 1), DIMS(rows, k->H));
        l->b_ih = k->biases ? cut(g, in[IN_WEIGHTS], &at, rows, 1) : NULL;
        l->b_hh = k->biases ? cut(g, in[IN_WEIGHTS], &at, rows, 1) : NULL;
        l->h0 = in[IN_H0] ? graph_rows(g, in[IN_H0], i * states, states) : NULL;
        l->c0 = in[IN_C0] ? graph_rows(g, in[IN_C0], i * states, states) : NULL;
        if (l->w_ih && l->w_ih->ndim == 1)
            l->w_ih = graph_reshape(g, l->w_ih, DIMS(rows, 1));
    }
    Tensor *(*const record)(Graph *, Tensor *, const Rows *, Tensor *, RecurrentLayer *, int,
                            RecurrentArgs) = k->cell == CELL_RNN    ? op_rnn
                                             : k->cell == CELL_LSTM ? op_lstm
                                                                    : op_gru;
    Tensor *y = record(g, in[IN_X], &batch, in[IN_STEP], layer, k->layers,
                       (RecurrentArgs){k->bidirectional, k->relu, k->dropout});
    if (k->look == LOOK_Y)
        return y;
    const RecurrentLayer *last = &layer[k->layers - 1];
    Tensor *sum = last->h_last;
    if (last->c_last)
        sum = op_add(g, sum, last->c_last);
    for (int64_t d = 0; d < D; d++)
        sum = op_add(g, sum, op_gather(g, graph_columns(g, y, d * k->H, k->H), in[IN_INDEX]));
    return sum;
}

static double squash(double x)
{
    return 1 / (1 + exp(-x));
}

/* One unit of one cell. a, b: the gates' sums on the sides of x and of h. */
static void define_cell(const RecurrentCase *k, const double *a, const double *b, int64_t H,
                        int64_t u, double before, double *h, double *c)
{
    if (k->cell == CELL_RNN) {
        const double sum = a[u] + b[u];
        *h = !k->relu ? tanh(sum) : sum > 0 ? sum : 0;
    } else if (k->cell == CELL_LSTM) {
        const double i = squash(a[u] + b[u]), f = squash(a[H + u] + b[H + u]);
        const double g = tanh(a[2 * H + u] + b[2 * H + u]);
        *c = f * *c + i * g;
        *h = squash(a[3 * H + u] + b[3 * H + u]) * tanh(*c);
    } else {
        const double r = squash(a[u] + b[u]), z = squash(a[H + u] + b[H + u]);
        const double n = tanh(a[2 * H + u] + r * b[2 * H + u]);
        *h = (1 - z) * n + z * before;
    }
}

typedef struct Definition {
    const RecurrentCase *k;
    const double *w, *h0, *c0; // of this layer
    int64_t C;
    const double *x; // [N, C]
    double *y;       // [N, D*H]
    double *last;    // [2][D*B, H]
} Definition;

static void define_sequence(const Definition *p, const int32_t *offsets, int64_t b, int64_t d)
{
    const RecurrentCase *k = p->k;
    const int64_t H = k->H, D = directions_of(k), GH = gates_of(k) * H, row = d * k->count + b;
    const double *w_ih = p->w + d * GH * p->C, *w_hh = p->w + D * GH * p->C + d * GH * H;
    const double *bias = p->w + D * GH * (p->C + H);
    double *h = p->last + row * H, *c = h + D * k->count * H;
    double *a = calloc((size_t)(2 * GH + H), sizeof *a), *e = a + GH, *before = e + GH;

    for (int64_t u = 0; u < H; u++) {
        h[u] = k->states ? p->h0[row * H + u] : 0;
        c[u] = k->states && k->cell == CELL_LSTM ? p->c0[row * H + u] : 0;
    }
    for (int64_t t = 0; t < k->length[b]; t++) {
        const int64_t n = d ? offsets[b + 1] - 1 - t : offsets[b] + t;
        memcpy(before, h, (size_t)H * sizeof *h);
        for (int64_t i = 0; i < GH; i++) {
            a[i] = k->biases ? bias[d * GH + i] : 0;
            e[i] = k->biases ? bias[D * GH + d * GH + i] : 0;
            for (int64_t j = 0; j < p->C; j++)
                a[i] += w_ih[i * p->C + j] * p->x[n * p->C + j];
            for (int64_t j = 0; j < H; j++)
                e[i] += w_hh[i * H + j] * before[j];
        }
        for (int64_t u = 0; u < H; u++)
            define_cell(k, a, e, H, u, before[u], &h[u], &c[u]);
        memcpy(p->y + (n * D + d) * H, h, (size_t)H * sizeof *h);
    }
    free(a);
}

void recurrent_define(const RecurrentCase *k, const RecurrentInputs *p, double *const value[],
                      double *out)
{
    const int64_t D = directions_of(k), B = k->count, H = k->H;
    double *y[2] = {calloc((size_t)(p->N * D * H) + 1, sizeof(double)),
                    calloc((size_t)(p->N * D * H) + 1, sizeof(double))};
    double *last = calloc((size_t)(2 * D * B * H), sizeof *last);
    const double *w = value[IN_WEIGHTS], *x = value[IN_X];

    for (int i = 0; i < k->layers; i++) {
        memset(y[i % 2], 0, (size_t)(p->N * D * H) * sizeof(double));
        const Definition layer = {k,
                                  w,
                                  value[IN_H0] + i * D * B * H,
                                  value[IN_C0] + i * D * B * H,
                                  inputs_of(k, i),
                                  x,
                                  y[i % 2],
                                  last};
        for (int64_t b = 0; b < D * B; b++)
            define_sequence(&layer, p->places[IN_OFFSETS], b % B, b / B);
        w += layer_size(k, i);
        x = y[i % 2];
    }
    if (k->look == LOOK_Y)
        memcpy(out, x, (size_t)(p->N * D * H) * sizeof *out);
    for (int64_t row = 0; row < D * B && k->look == LOOK_STATES; row++)
        for (int64_t u = 0; u < H; u++) {
            const int64_t n = p->places[IN_INDEX][row];
            double sum =
                last[row * H + u] + (k->cell == CELL_LSTM ? last[(D * B + row) * H + u] : 0);
            for (int64_t d = 0; d < D && n >= 0; d++)
                sum += x[(n * D + d) * H + u];
            out[row * H + u] = sum;
        }
    free(y[0]);
    free(y[1]);
    free(last);
}
