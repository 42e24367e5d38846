/* recurrent_checks.c - the checks of rnn, lstm and gru: definition, differences, PyTorch, packing,
 * threads, refusals. */
#include "runtime/safetensors.h"
#include "tests/on_device.h"
#include "tests/recurrent_cases.h"
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t look_size(const RecurrentCase *k, const RecurrentInputs *p)
{
    const int64_t D = k->bidirectional ? 2 : 1;
    return k->look == LOOK_Y ? p->N * D * k->H : D * k->count * k->H;
}

static int64_t input_size(const OpInput *in)
{
    return in->ndim == 0 ? 0 : in->dim[0] * (in->ndim > 1 ? in->dim[1] : 1);
}

static double weighted(const RecurrentCase *k, const RecurrentInputs *p, double *const value[],
                       double *out)
{
    const int64_t n = look_size(k, p);
    double sum = 0;

    recurrent_define(k, p, value, out);
    for (int64_t i = 0; i < n; i++)
        sum += out[i] * (double)((float)(i * 7919 % 23) / 11 - 1);
    return sum;
}

/* The gradient of input i along some direction, by differences of the definition. */
static double slope_along(const RecurrentCase *k, const RecurrentInputs *p, double *const value[],
                          double *out, int i, const float *direction)
{
    const double step = 1e-6;
    double high, low;

    for (int64_t n = 0; n < input_size(&p->in[i]); n++)
        value[i][n] += step * (double)direction[n];
    high = weighted(k, p, value, out);
    for (int64_t n = 0; n < input_size(&p->in[i]); n++)
        value[i][n] -= 2 * step * (double)direction[n];
    low = weighted(k, p, value, out);
    for (int64_t n = 0; n < input_size(&p->in[i]); n++)
        value[i][n] = (double)p->values[i][n];
    return (high - low) / (2 * step);
}

static void check_definition(const RecurrentCase *k, int threads)
{
    RecurrentInputs p = recurrent_inputs(k, 3);
    double *value[RECURRENT_CASE_INPUTS] = {0}, worst = 0;
    double *out = calloc((size_t)look_size(k, &p) + 1, sizeof *out);
    OpRun r;

    for (int i = 0; i < RECURRENT_CASE_INPUTS; i++)
        if (p.values[i]) {
            value[i] = calloc((size_t)input_size(&p.in[i]) + 1, sizeof(double));
            for (int64_t n = 0; n < input_size(&p.in[i]); n++)
                value[i][n] = (double)p.values[i][n];
        }
    if (op_run(recurrent_build, k, p.in, RECURRENT_CASE_INPUTS, (OpSetting){.threads = threads},
               &r)) {
        weighted(k, &p, value, out);
        for (int64_t i = 0; i < r.y_count; i++)
            worst = fmax(worst, isnan(r.y[i]) ? INFINITY
                                              : fabs((double)r.y[i] - out[i]) / (1 + fabs(out[i])));
        CHECK_NEAR(worst, 0, 5e-6);
        for (int i = 0; i < RECURRENT_CASE_INPUTS; i++) {
            const int64_t n = input_size(&p.in[i]);
            if (!r.dx[i] || n == 0)
                continue;
            float *direction = normal_values(n, 77);
            double got = 0, size = 0;
            for (int64_t j = 0; j < n; j++) {
                got += (double)r.dx[i][j] * (double)direction[j];
                size += pow((double)r.dx[i][j], 2);
            }
            const double want = slope_along(k, &p, value, out, i, direction);
            if (!CHECK_NEAR((got - want) / (1 + sqrt(size)), 0, 5e-5))
                printf("  input %d of %d sequences, H %d: slope %g, expected %g\n", i, k->count,
                       (int)k->H, got, want);
            free(direction);
        }
    }
    op_run_free(&r);
    for (int i = 0; i < RECURRENT_CASE_INPUTS; i++)
        free(value[i]);
    free(out);
    recurrent_inputs_free(&p);
}

static RecurrentCase ragged(Cell cell, int count, int longest, int64_t C, int64_t H)
{
    RecurrentCase k = {.cell = cell, .count = count, .C = C, .H = H, .layers = 1, .biases = true};

    for (int b = 0; b < count; b++) {
        k.length[b] = longest == 1 ? 1 : (b * 7 + 3) % (longest + 1); // some are empty
        k.sample[b] = b * 3 + 1;
    }
    return k;
}

/* Widths on both sides of every panel, more rows than a tile, one sequence, none longer than 1. */
static void agrees_with_the_definition(Cell cell)
{
    static const int64_t width[] = {1, 7, 16, 17, 33, 64, 67, 130};

    for (size_t i = 0; i < sizeof width / sizeof *width; i++)
        for (int form = 0; form < 8; form++) {
            if (test_briefly() && !((width[i] == 17 || width[i] == 67) && (form == 3 || form == 6)))
                continue;
            RecurrentCase k = ragged(cell, form & 1 ? 13 : 5, 6, form & 1 ? 5 : 1, width[i]);
            k.bidirectional = form & 2;
            k.states = form & 1;
            k.biases = (form & 3) != 2;
            k.look = form & 4 ? LOOK_STATES : LOOK_Y;
            k.tail = form & 1 ? 3 : 0;
            check_definition(&k, 1 + form % 3);
        }
    RecurrentCase k = ragged(cell, 40, 11, 17, 19);
    k.layers = test_briefly() ? 1 : 3;
    k.bidirectional = k.states = true;
    for (k.look = LOOK_Y; k.look <= LOOK_STATES; k.look++)
        check_definition(&k, 2);
    k = ragged(cell, SEQUENCES, 4, 3, 19); // more than the sums of a step hold
    check_definition(&k, 1);
    k = ragged(cell, 1, 1, 3, 5);
    check_definition(&k, 2);
    k = ragged(cell, 7, 1, 3, 5);
    check_definition(&k, 2);
    k.states = true;
    k.look = LOOK_STATES;
    check_definition(&k, 2);
    if (cell == CELL_RNN) {
        k = ragged(cell, 13, 5, 3, 21);
        k.relu = k.states = true;
        check_definition(&k, 2);
    }
}

/* All sequences empty, with rows beyond the true count and without any rows. */
static void nothing_to_do(Cell cell)
{
    for (int tail = 0; tail <= 3; tail += 3) {
        RecurrentCase k = ragged(cell, 3, 1, 4, 6);
        memset(k.length, 0, sizeof k.length);
        k.tail = tail;
        k.states = true;
        k.look = LOOK_STATES;
        check_definition(&k, 2);
    }
}

static void passes_what_every_operator_must(Cell cell)
{
    for (int form = 0; form < 4; form++) {
        RecurrentCase k = ragged(cell, 4, 5, 3, form == 1 ? 1 : 5);
        k.layers = form == 3 ? 2 : 1;
        k.bidirectional = form == 2;
        k.states = form & 1;
        k.tail = form == 2 ? 2 : 0;
        k.look = form & 1 ? LOOK_STATES : LOOK_Y;
        RecurrentInputs p = recurrent_inputs(&k, (uint64_t)form);
        p.in[IN_WEIGHTS].keep_f32 = form == 2;
        check_op(recurrent_build, &k, p.in, RECURRENT_CASE_INPUTS,
                 (OpCheck){.tolerance = 1e-2, .bf16_tolerance = 6e-2, .f16_tolerance = 8e-3});
        recurrent_inputs_free(&p);
    }
}

/* Enough work for three threads: the same bits as with one. */
static void gives_the_same_bits_on_any_threads(Cell cell)
{
    if (test_briefly()) {
        SKIP("these are threads of the CPU");
        return;
    }
    RecurrentCase k = ragged(cell, 29, 23, 64, 96);
    k.bidirectional = true;
    RecurrentInputs p = recurrent_inputs(&k, 5);
    OpRun one, three;

    if (op_run(recurrent_build, &k, p.in, RECURRENT_CASE_INPUTS, (OpSetting){.threads = 1}, &one) &&
        op_run(recurrent_build, &k, p.in, RECURRENT_CASE_INPUTS, (OpSetting){.threads = 3},
               &three)) {
        CHECK(memcmp(one.y, three.y, (size_t)one.y_count * sizeof(float)) == 0);
        CHECK(memcmp(one.dx[IN_X], three.dx[IN_X], (size_t)(p.N * k.C) * sizeof(float)) == 0);
        CHECK(memcmp(one.dx[IN_WEIGHTS], three.dx[IN_WEIGHTS], (size_t)p.weights * sizeof(float)) ==
              0);
        op_run_free(&three);
    }
    op_run_free(&one);
    recurrent_inputs_free(&p);
}

static RecurrentCase alone(const RecurrentCase *k, int b)
{
    RecurrentCase one = *k;

    one.count = 1;
    one.length[0] = k->length[b];
    one.sample[0] = k->sample[b];
    one.tail = 0;
    return one;
}

static void packed_equals_alone(Cell cell)
{
    RecurrentCase k = ragged(cell, 9, 7, 6, 21);
    k.layers = 2;
    k.bidirectional = true;
    k.dropout = 0.3f;
    k.tail = 2;
    RecurrentInputs p = recurrent_inputs(&k, 5);
    OpRun all, dry, one;

    op_run(recurrent_build, &k, p.in, RECURRENT_CASE_INPUTS, (OpSetting){0}, &all);
    k.dropout = 0;
    op_run(recurrent_build, &k, p.in, RECURRENT_CASE_INPUTS, (OpSetting){0}, &dry);
    CHECK(all.y_count == dry.y_count && memcmp(all.y, dry.y, (size_t)dry.y_count * 4) != 0);
    k.dropout = 0.3f;
    for (int b = 0; b < k.count; b++) {
        const RecurrentCase own = alone(&k, b);
        RecurrentInputs q = recurrent_inputs(&own, 5);
        const int64_t row = p.places[IN_OFFSETS][b];
        memcpy(q.values[IN_X], p.values[IN_X] + row * k.C, (size_t)(q.N * k.C) * sizeof(float));
        memcpy(q.values[IN_WEIGHTS], p.values[IN_WEIGHTS], (size_t)p.weights * sizeof(float));
        if (op_run(recurrent_build, &own, q.in, RECURRENT_CASE_INPUTS, (OpSetting){.threads = 1},
                   &one))
            for (int64_t i = 0; i < one.y_count; i++)
                CHECK_NEAR(one.y[i], all.y[row * 2 * k.H + i], 2e-6);
        op_run_free(&one);
        recurrent_inputs_free(&q);
    }
    op_run_free(&all);
    op_run_free(&dry);
    recurrent_inputs_free(&p);
}

static void compare(const char *what, const Safetensors *file, const char *name, const float *got,
                    int64_t n)
{
    const StoredTensor *want = safetensors_find(file, name);

    if (!CHECK(want != NULL))
        return;
    for (int64_t i = 0; i < n; i++)
        if (!CHECK_NEAR(got[i], ((const float *)want->data)[i], 1e-5)) {
            printf("  %s: element %d of %s\n", what, (int)i, name);
            return;
        }
}

/* Two layers, both directions, ragged, unsorted; tests/reference/kernels_recurrent.py. */
static void agrees_with_pytorch(Cell cell)
{
    RecurrentCase k = {.cell = cell,
                       .count = 5,
                       .length = {4, 7, 1, 9, 4},
                       .C = 6,
                       .H = 10,
                       .layers = 2,
                       .bidirectional = true,
                       .states = true,
                       .biases = true};
    static const char *const input[] = {
        [IN_X] = "x", [IN_WEIGHTS] = "weights", [IN_H0] = "h0", [IN_C0] = "c0"};
    char path[96], gradient[32];
    Safetensors *file;

    snprintf(path, sizeof path, "tests/golden/kernels/%s.safetensors", recurrent_name(cell));
    if (!CHECK_OK(safetensors_open(test_source(path), &file)))
        return;
    RecurrentInputs p = recurrent_inputs(&k, 0);
    for (int i = 0; i <= IN_C0; i++) {
        const StoredTensor *e = p.in[i].ndim && input[i] ? safetensors_find(file, input[i]) : NULL;
        if (e)
            memcpy(p.values[i], e->data, (size_t)input_size(&p.in[i]) * sizeof(float));
    }
    for (k.look = LOOK_Y; k.look <= LOOK_STATES; k.look++) {
        const char *look = k.look == LOOK_Y ? "y" : "states";
        OpRun r;
        if (op_run(recurrent_build, &k, p.in, RECURRENT_CASE_INPUTS, (OpSetting){0}, &r)) {
            compare(look, file, look, r.y, r.y_count);
            for (int i = 0; i <= IN_C0; i++)
                if (r.dx[i]) {
                    snprintf(gradient, sizeof gradient, "%s.d%s", look, input[i]);
                    compare(look, file, gradient, r.dx[i], input_size(&p.in[i]));
                }
        }
        op_run_free(&r);
    }
    recurrent_inputs_free(&p);
    safetensors_close(file);
}

typedef struct Wrong {
    Cell cell;
    int64_t rows_ih, columns_ih, rows_hh, columns_hh, b_ih, b_hh, h0, c0;
    Dtype offsets, state;
    int layers;
} Wrong;

static Tensor *build_wrong(Graph *g, Tensor *const in[], Dtype dtype, const void *context)
{
    const Wrong *w = context;
    const Rows rows = {.offsets = graph_state(g, "offsets", w->offsets, DIMS(3))};
    RecurrentLayer l = {
        .w_ih = graph_state(g, "w_ih", F32, DIMS(w->rows_ih, w->columns_ih)),
        .w_hh = graph_state(g, "w_hh", F32, DIMS(w->rows_hh, w->columns_hh)),
        .b_ih = w->b_ih ? graph_state(g, "b_ih", F32, DIMS(w->b_ih)) : NULL,
        .b_hh = w->b_hh ? graph_state(g, "b_hh", F32, DIMS(w->b_hh)) : NULL,
        .h0 = w->h0 ? graph_state(g, "h0", w->state, DIMS(w->h0, 2)) : NULL,
        .c0 = w->c0 ? graph_state(g, "c0", w->state, DIMS(w->c0, 2)) : NULL,
    };

    (void)dtype;
    return (w->cell == CELL_RNN ? op_rnn
            : w->cell == CELL_LSTM
                ? op_lstm
                : op_gru)(g, in[0], &rows, NULL, &l, w->layers, (RecurrentArgs){0});
}

static void refuses_what_does_not_fit(Cell cell)
{
    const int64_t G = cell == CELL_RNN ? 1 : cell == CELL_LSTM ? 4 : 3;
    const Wrong good = {cell, 2 * G, 3, 2 * G, 2, 2 * G, 2 * G, 2, 0, I32, F32, 1};
    const float x[12] = {0};
    const OpInput in[] = {{2, {4, 3}, .values = x}};
    Wrong w[10];
    char text[10][80];
    Status code[10];
    int n = 0;

    for (int i = 0; i < 10; i++)
        w[i] = good, code[i] = E_SHAPE;
    w[n].rows_hh = 7, snprintf(text[n++], 80, "w_hh has 7 rows of 2, expected %d", (int)(2 * G));
    w[n].columns_ih = 4, snprintf(text[n++], 80, "w_ih has %d rows of 4, expected", (int)(2 * G));
    w[n].b_hh = 0, snprintf(text[n++], 80, "b_hh is missing, expected both biases or neither");
    w[n].b_ih = 5, snprintf(text[n++], 80, "b_ih has 5 elements, expected %d", (int)(2 * G));
    w[n].h0 = 3, snprintf(text[n++], 80, "%s: h0 is [3, 2], expected [2, 2]", recurrent_name(cell));
    code[n] = E_DTYPE, w[n].state = BF16, snprintf(text[n++], 80, "h0 is bf16, expected f32");
    code[n] = E_DTYPE, w[n].offsets = F32, snprintf(text[n++], 80, "offsets is f32, expected i32");
    code[n] = E_CONFIG, w[n].layers = 0, snprintf(text[n++], 80, "0 layers, expected at least 1");
    w[n].c0 = cell == CELL_LSTM ? 1 : 2;
    snprintf(text[n++], 80, cell == CELL_LSTM ? "c0 is [1, 2], expected" : "c0 is given");
    for (int i = 0; i < n; i++)
        check_refused(build_wrong, &w[i], in, 1, code[i], text[i]);
}

#define RUN_CELL(test) (test_begin(#test), test(cell), test_end())

void recurrent_checks(Cell cell)
{
    RUN_CELL(agrees_with_the_definition);
    RUN_CELL(nothing_to_do);
    RUN_CELL(passes_what_every_operator_must);
    RUN_CELL(gives_the_same_bits_on_any_threads);
    RUN_CELL(packed_equals_alone);
    RUN_CELL(agrees_with_pytorch);
    RUN_CELL(refuses_what_does_not_fit);
}
