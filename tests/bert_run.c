/* bert_run.c - runs models/bert.c for its tests. */
#include "tests/bert_run.h"

#include "runtime/half.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool bert_world_open(BertWorld *w, const char *folder, BertSetting s)
{
    *w = (BertWorld){0};
    bool good = CHECK_OK(bert_config_read(folder, &w->config));

    if (!s.dropout)
        w->config.hidden_dropout = w->config.attention_dropout = 0;
    good = good && CHECK_OK(device_open("cpu", s.threads ? s.threads : 2, &w->d));
    good = good && CHECK((w->p = params_new(w->d, s.dtype)) != NULL);
    good = good && CHECK_OK(bert_new(&w->config, w->p, 2, &w->m));
    good = good && CHECK_OK(params_layout(w->p, NULL, false));
    good = good && CHECK_OK(params_initialise(w->p, 42));
    return good && CHECK_OK(weights_read(folder, bert_names(w->m), w->p, &w->report));
}

void bert_world_close(BertWorld *w)
{
    arena_close(&w->arena);
    bert_free(w->m);
    params_free(w->p);
    if (w->d)
        device_close(w->d);
}

void bert_world_set_head(BertWorld *w, const float *weight, const float *bias)
{
    const int i = params_find(w->p, "qa_outputs.weight"), k = params_find(w->p, "qa_outputs.bias");

    if (CHECK(i >= 0 && k >= 0)) {
        CHECK_OK(params_write(w->p, i, weight));
        CHECK_OK(params_write(w->p, k, bias));
    }
}

/* The device's memory of one micro-batch. */
typedef struct Inputs {
    int64_t rows, sequences, bucket_rows, bucket_sequences;
    int32_t *ids, *segments, *sample, *position, *offsets, *targets, step[STEP_INTEGERS];
    float scalars[STEP_SCALARS], loss;
    void *logits, *hidden; // of the activations' dtype
} Inputs;

static int32_t *integers(int64_t count, int32_t value)
{
    int32_t *x = malloc((size_t)(count + 1) * sizeof *x);

    for (int64_t i = 0; x && i < count; i++)
        x[i] = value;
    return x;
}

static void inputs_fill(Inputs *in, const BertBatch *b, const BertPass *p)
{
    const int64_t count = p->count ? p->count : b->sequences - p->first;
    const int32_t from = b->offsets[p->first];

    in->sequences = count;
    in->rows = b->offsets[p->first + count] - from;
    in->bucket_rows = in->rows + p->more_rows;
    in->bucket_sequences = count + p->more_sequences;
    in->ids = integers(in->bucket_rows, p->garbage);
    in->segments = integers(in->bucket_rows, p->garbage);
    in->sample = integers(in->bucket_rows, p->garbage);
    in->position = integers(in->bucket_rows, p->garbage);
    in->targets = integers(2 * in->bucket_sequences, p->garbage);
    in->offsets = integers(in->bucket_sequences + 1, (int32_t)in->rows);
    memcpy(in->ids, b->ids + from, (size_t)in->rows * sizeof *in->ids);
    memcpy(in->segments, b->segments + from, (size_t)in->rows * sizeof *in->segments);
    memcpy(in->targets, b->targets + 2 * p->first, 2 * (size_t)count * sizeof *in->targets);
    for (int64_t i = 0; i < count; i++) {
        in->offsets[i] = b->offsets[p->first + i] - from;
        for (int32_t n = in->offsets[i]; n < b->offsets[p->first + i + 1] - from; n++) {
            in->sample[n] = (int32_t)(p->first + i);
            in->position[n] = n - in->offsets[i];
        }
    }
    in->scalars[STEP_TARGET_WEIGHT] = 1 / (float)b->sequences;
    in->step[STEP_SEED] = 1234567;
    in->step[STEP_UPDATE] = p->update;
}

static void inputs_free(Inputs *in)
{
    free(in->ids);
    free(in->segments);
    free(in->sample);
    free(in->position);
    free(in->offsets);
    free(in->targets);
    free(in->logits);
    free(in->hidden);
}

static Tensor *state(Graph *g, const char *name, Dtype dtype, int64_t rows, int64_t columns,
                     void *data)
{
    Tensor *x = columns > 1 ? graph_state(g, name, dtype, DIMS(rows, columns))
                            : graph_state(g, name, dtype, DIMS(rows));

    if (x)
        x->data = data;
    return x;
}

static void keep(Graph *g, Tensor *x, const char *name, void **data)
{
    if (!x)
        return;
    *data = calloc(1, tensor_bytes(x) + 1);
    graph_store(g, state(g, name, x->dtype, tensor_rows(x), tensor_columns(x), *data), x, false);
}

static void record(const BertWorld *w, Graph *g, Inputs *in, const BertPass *p, int64_t longest)
{
    const int64_t N = in->bucket_rows, B = in->bucket_sequences;
    BertInputs x = {.rows = {.offsets = state(g, "offsets", I32, B + 1, 1, in->offsets),
                             .sample = state(g, "sample", I32, N, 1, in->sample),
                             .position = state(g, "position", I32, N, 1, in->position),
                             .longest = longest},
                    .ids = state(g, "ids", I32, N, 1, in->ids),
                    .segments = state(g, "segments", I32, N, 1, in->segments),
                    .step = state(g, "step", I32, STEP_INTEGERS, 1, in->step)};
    Tensor *scalars = state(g, "scalars", F32, STEP_SCALARS, 1, in->scalars);
    Tensor *targets = state(g, "targets", I32, B, 2, in->targets);

    if (p->inference && p->layers >= 0) {
        keep(g, bert_encode(w->m, g, &x, p->layers), "kept hidden", &in->hidden);
        return;
    }
    Tensor *hidden = bert_encode(w->m, g, &x, -1);
    if (p->layers >= 0)
        keep(g, hidden, "kept hidden", &in->hidden);
    Tensor *logits = bert_head(w->m, g, hidden);
    if (p->keep_logits || p->inference)
        keep(g, logits, "kept logits", &in->logits);
    Tensor *loss = op_span_cross_entropy(g, logits, targets, &x.rows, scalars);
    graph_store(g, state(g, "kept loss", F32, 1, 1, &in->loss), loss, false);
    if (!p->inference)
        CHECK_OK(graph_backward(g, loss, NULL));
}

static float *floats_of(const void *data, Dtype dtype, int64_t count)
{
    float *out = malloc((size_t)count * sizeof *out + 1);
    const uint16_t *half = data;

    for (int64_t i = 0; out && i < count; i++)
        out[i] = dtype == F32    ? ((const float *)data)[i]
                 : dtype == BF16 ? float_from_bf16(half[i])
                                 : float_from_f16(half[i]);
    return out;
}

static bool run_graph(BertWorld *w, Graph *g, size_t *bytes)
{
    bool good = CHECK_OK(graph_plan(g));

    if (good && w->arena.bytes < graph_bytes(g)) {
        arena_close(&w->arena);
        good = CHECK_OK(arena_open(&w->arena, w->d, graph_bytes(g)));
    }
    if (good)
        memset(w->arena.data, 0xFF, w->arena.bytes); // NaN: what is read unwritten shows
    *bytes = graph_bytes(g);
    return good && CHECK_OK(graph_compile(g, &w->arena)) && CHECK_OK(graph_run(g, NULL));
}

bool bert_run(BertWorld *w, const BertBatch *b, BertPass p, BertResult *out)
{
    Inputs in = {0};
    const Dtype dtype = params_value(w->p, 0)->dtype;
    int64_t longest = 1;

    *out = (BertResult){0};
    inputs_fill(&in, b, &p);
    for (int64_t i = 0; i < in.sequences; i++)
        if (in.offsets[i + 1] - in.offsets[i] > longest)
            longest = in.offsets[i + 1] - in.offsets[i];
    Graph *g = graph_new(w->d, (GraphOptions){.training = !p.inference,
                                              .accumulate_parameters = p.accumulate,
                                              .recompute = p.recompute});
    record(w, g, &in, &p, longest);
    const bool good = run_graph(w, g, &out->bytes);
    if (good) {
        out->rows = in.rows;
        out->loss = in.loss;
        if (in.logits)
            out->logits = floats_of(in.logits, dtype, in.rows * 2);
        if (in.hidden)
            out->hidden = floats_of(in.hidden, dtype, in.rows * w->config.hidden_size);
    }
    graph_free(g);
    inputs_free(&in);
    return good;
}

void bert_result_free(BertResult *r)
{
    free(r->logits);
    free(r->hidden);
    *r = (BertResult){0};
}

float *bert_gradients(const BertWorld *w)
{
    const ParamsRange r = params_range(w->p);
    float *copy = malloc((size_t)r.trained * sizeof *copy + 1);

    if (copy)
        memcpy(copy, r.gradient, (size_t)r.trained * sizeof *copy);
    return copy;
}

const float *bert_piece(const BertWorld *w, const float *flat, int piece, int64_t *count)
{
    const WeightPiece *k = &bert_names(w->m)->piece[piece];
    const Tensor *x = params_master(w->p, k->param);
    const int64_t row = tensor_size(x) / x->dim[0];

    *count = k->rows * row;
    return flat + params_offset(w->p, k->param) + k->row * row;
}
