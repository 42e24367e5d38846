/* squad_forward.c - packs windows into batches without padding, runs them, hands out logits. */
#include "train/squad_forward.h"

#include "runtime/half.h"

#include <stdlib.h>
#include <string.h>

enum { LOGITS = 2 }; // start, end

const BatchField squad_fields[] = {[SQUAD_IDS] = {"ids", true, 1},
                                   [SQUAD_SEGMENTS] = {"segments", true, 1},
                                   [SQUAD_TARGETS] = {"targets", false, LOGITS},
                                   {0}};

struct SquadForward {
    Device *device;
    const Bert *model;
    Dtype dtype;
    BatchBuffers *batches;
    Graphs *graphs;
    BatchShape capacity;
    int kind;
    Arena logits; // [rows, LOGITS] of dtype, on the device
    void *host;   // the same
    float *start, *end;
    SquadFeature feature;
};

BertInputs squad_inputs(const BatchTensors *in)
{
    return (BertInputs){.rows = in->rows,
                        .ids = in->field[SQUAD_IDS],
                        .segments = in->field[SQUAD_SEGMENTS],
                        .step = in->step};
}

void squad_fill(const SquadFeature *f, HostBatch *h, int64_t row)
{
    const size_t bytes = (size_t)f->count * sizeof(int32_t);
    int32_t *target = h->field[SQUAD_TARGETS] + (h->used.sequences - 1) * LOGITS;

    memcpy(h->field[SQUAD_IDS] + row, f->ids, bytes);
    memcpy(h->field[SQUAD_SEGMENTS] + row, f->segments, bytes);
    target[0] = f->start;
    target[1] = f->end;
}

static Status record(void *state, Graph *g, const BatchTensors *in)
{
    SquadForward *f = state;
    const BertInputs inputs = squad_inputs(in);
    Tensor *logits = bert_head(f->model, g, bert_encode(f->model, g, &inputs, -1));
    Tensor *kept = logits ? graph_state(g, "logits", f->dtype, logits->ndim, logits->dim) : NULL;

    if (kept)
        kept->data = f->logits.data;
    graph_store(g, kept, logits, false);
    return graph_status(g);
}

Status squad_forward_open(Device *d, const Bert *m, Dtype dtype, BatchBuffers *b, Graphs *graphs,
                          BatchShape capacity, SquadForward **out)
{
    SquadForward *f = calloc(1, sizeof *f);
    const size_t rows = (size_t)capacity.rows, bytes = rows * LOGITS * dtype_size(dtype);

    if (!f)
        return fail(E_MEMORY, "no memory for a forward pass");
    *f = (SquadForward){.device = d,
                        .model = m,
                        .dtype = dtype,
                        .batches = b,
                        .graphs = graphs,
                        .capacity = capacity};
    f->start = malloc(rows * sizeof(float) + 1);
    f->end = malloc(rows * sizeof(float) + 1);
    Status s = f->start && f->end ? arena_open(&f->logits, d, bytes)
                                  : fail(E_MEMORY, "no memory for logits");
    if (!s)
        s = d->table->allocate_host(d, bytes, &f->host);
    if (s) {
        squad_forward_close(f);
        return s;
    }
    f->kind = graphs_add_kind(graphs, "the forward pass", (GraphOptions){0}, capacity, record, f);
    *out = f;
    return OK;
}

void squad_forward_close(SquadForward *f)
{
    if (!f)
        return;
    if (f->host)
        f->device->table->release_host(f->device, f->host, f->logits.bytes);
    arena_close(&f->logits);
    squad_feature_free(&f->feature);
    free(f->start);
    free(f->end);
    free(f);
}

static float logit(const SquadForward *f, int64_t i)
{
    const uint16_t *half = f->host;

    return f->dtype == F32    ? ((const float *)f->host)[i]
           : f->dtype == BF16 ? float_from_bf16(half[i])
                              : float_from_f16(half[i]);
}

/* Windows [first, first + sequences) are in h: runs them, hands out their logits. */
static Status run_batch(SquadForward *f, const HostBatch *h, int64_t first,
                        SquadPredictionSet *answers)
{
    const DeviceTable *t = f->device->table;
    Graph *g = NULL;
    BatchShape bucket;
    const size_t bytes = (size_t)h->used.rows * LOGITS * dtype_size(f->dtype);
    Status s = graphs_get(f->graphs, f->kind, h->used, &g, &bucket);

    if (!s)
        s = batch_upload(f->batches, h, bucket, NULL);
    if (!s)
        s = graph_run(g, NULL);
    if (!s)
        s = t->copy(f->device, NULL, f->host, f->logits.data, bytes, TO_HOST);
    if (!s)
        s = t->synchronise(f->device, NULL);
    for (int64_t i = 0; i < h->used.sequences && !s; i++) {
        const int64_t row = h->offsets[i], length = h->offsets[i + 1] - row;
        for (int64_t k = 0; k < length; k++) {
            f->start[k] = logit(f, (row + k) * LOGITS);
            f->end[k] = logit(f, (row + k) * LOGITS + 1);
        }
        s = squad_answers_add(answers, first + i, f->start, f->end);
    }
    return s;
}

Status squad_forward_run(SquadForward *f, const SquadFeatures *features,
                         SquadPredictionSet *answers, Progress *progress,
                         const volatile sig_atomic_t *stop)
{
    const int64_t count = squad_features_count(features);
    HostBatch *h = NULL;
    int64_t first = 0;
    Status s = batch_next(f->batches, &h);

    for (int64_t i = 0; i < count && !s; i++) {
        const int64_t length = squad_features_length(features, i);
        if (h->used.sequences > 0 && (h->used.rows + length > f->capacity.rows ||
                                      h->used.sequences == f->capacity.sequences)) {
            s = run_batch(f, h, first, answers);
            if (!s && stop && *stop)
                s = fail(E_STOPPED, "stopped by a signal");
            if (!s)
                s = batch_next(f->batches, &h);
            first = i;
            progress_set(progress, i, NULL);
        }
        if (!s)
            s = squad_features_read(features, i, &f->feature);
        if (!s)
            squad_fill(&f->feature, h, batch_append(h, length, i - first));
    }
    if (!s && h->used.sequences > 0)
        s = run_batch(f, h, first, answers);
    progress_set(progress, count, NULL);
    return s ? s : squad_answers_finish(answers);
}
