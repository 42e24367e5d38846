/* batch.c - memory of micro-batches, and their way to the device. */
#include "train/batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { HOST_BATCHES = 2 };

struct BatchBuffers {
    Device *device;
    const BatchField *field;
    int fields;
    BatchShape capacity;
    HostBatch host[HOST_BATCHES];
    void *host_memory[HOST_BATCHES];
    size_t host_bytes;
    int next;
    Arena arena;
    HostBatch on_device; // device addresses
    float *scalars;
    int32_t *integers;
};

static size_t field_count(const BatchField *f, BatchShape s)
{
    return (size_t)(f->per_row ? s.rows : s.sequences) * (size_t)f->width;
}

/* Gives h its addresses in memory (NULL: only counts); returns the bytes. */
static size_t lay_out(const BatchBuffers *b, HostBatch *h, char *memory)
{
    const BatchShape s = b->capacity;
    size_t at = 0;
    int32_t **part[3 + BATCH_FIELDS] = {&h->offsets, &h->sample, &h->position};
    size_t count[3 + BATCH_FIELDS] = {(size_t)s.sequences + 1, (size_t)s.rows, (size_t)s.rows};

    for (int i = 0; i < b->fields; i++) {
        part[3 + i] = &h->field[i];
        count[3 + i] = field_count(&b->field[i], s);
    }
    for (int i = 0; i < 3 + b->fields; i++) {
        *part[i] = memory ? (int32_t *)(void *)(memory + at) : NULL;
        at += arena_round(count[i] * sizeof(int32_t));
    }
    return at;
}

Status batch_open(Device *d, const BatchField fields[], BatchShape capacity, BatchBuffers **out)
{
    BatchBuffers *b = calloc(1, sizeof *b);

    if (!b)
        return fail(E_MEMORY, "no memory for batches");
    b->device = d;
    b->field = fields;
    b->capacity = capacity;
    while (fields[b->fields].name)
        b->fields++;
    assert(b->fields <= BATCH_FIELDS);
    const size_t bytes = lay_out(b, &b->on_device, NULL);
    Status s = arena_open(&b->arena, d, bytes + 2 * (size_t)ARENA_ALIGNMENT);
    if (!s) {
        lay_out(b, &b->on_device, b->arena.data);
        b->scalars = (float *)(void *)(b->arena.data + bytes);
        b->integers = (int32_t *)(void *)(b->arena.data + bytes + ARENA_ALIGNMENT);
    }
    b->host_bytes = bytes;
    for (int i = 0; i < HOST_BATCHES && !s; i++) {
        s = d->table->allocate_host(d, bytes, &b->host_memory[i]);
        if (!s)
            lay_out(b, &b->host[i], b->host_memory[i]);
        b->host[i].capacity = capacity;
    }
    if (s)
        batch_close(b);
    else
        *out = b;
    return s;
}

void batch_close(BatchBuffers *b)
{
    if (!b)
        return;
    for (int i = 0; i < HOST_BATCHES; i++)
        if (b->host_memory[i])
            b->device->table->release_host(b->device, b->host_memory[i], b->host_bytes);
    arena_close(&b->arena);
    free(b);
}

BatchShape batch_capacity(const BatchBuffers *b)
{
    return b->capacity;
}

size_t batch_bytes(const BatchBuffers *b)
{
    return b->arena.bytes;
}

HostBatch *batch_next(BatchBuffers *b)
{
    HostBatch *h = &b->host[b->next];

    b->next = (b->next + 1) % HOST_BATCHES;
    h->used = (BatchShape){0};
    h->offsets[0] = 0;
    return h;
}

int64_t batch_append(HostBatch *h, int64_t length, int64_t sample)
{
    const int64_t first = h->used.rows;

    assert(first + length <= h->capacity.rows && h->used.sequences < h->capacity.sequences);
    for (int64_t i = 0; i < length; i++) {
        h->sample[first + i] = (int32_t)sample;
        h->position[first + i] = (int32_t)i;
    }
    h->used.rows += length;
    h->used.sequences++;
    h->offsets[h->used.sequences] = (int32_t)h->used.rows;
    if (length > h->used.longest)
        h->used.longest = length;
    return first;
}

Status batch_upload(BatchBuffers *b, const HostBatch *h, BatchShape bucket, Stream *s)
{
    const DeviceTable *t = b->device->table;
    const HostBatch *d = &b->on_device;
    const size_t rows = (size_t)h->used.rows * sizeof(int32_t);

    for (int64_t i = h->used.sequences + 1; i <= bucket.sequences; i++)
        h->offsets[i] = (int32_t)h->used.rows;
    Status status = t->copy(b->device, s, d->offsets, h->offsets,
                            (size_t)(bucket.sequences + 1) * sizeof(int32_t), TO_DEVICE);
    if (!status)
        status = t->copy(b->device, s, d->sample, h->sample, rows, TO_DEVICE);
    if (!status)
        status = t->copy(b->device, s, d->position, h->position, rows, TO_DEVICE);
    for (int i = 0; i < b->fields && !status; i++)
        status = t->copy(b->device, s, d->field[i], h->field[i],
                         field_count(&b->field[i], h->used) * sizeof(int32_t), TO_DEVICE);
    return status;
}

static Tensor *state(Graph *g, const char *name, Dtype dtype, int64_t count, int width, void *data)
{
    Tensor *x = width == 1 ? graph_state(g, name, dtype, DIMS(count))
                           : graph_state(g, name, dtype, DIMS(count, width));

    if (x)
        x->data = data;
    return x;
}

void batch_record(BatchBuffers *b, Graph *g, BatchShape bucket, BatchTensors *out)
{
    const HostBatch *d = &b->on_device;

    *out = (BatchTensors){0};
    out->rows.longest = bucket.longest;
    out->rows.offsets = state(g, "offsets", I32, bucket.sequences + 1, 1, d->offsets);
    out->rows.sample = state(g, "sample", I32, bucket.rows, 1, d->sample);
    out->rows.position = state(g, "position", I32, bucket.rows, 1, d->position);
    for (int i = 0; i < b->fields; i++)
        out->field[i] =
            state(g, b->field[i].name, I32, b->field[i].per_row ? bucket.rows : bucket.sequences,
                  b->field[i].width, d->field[i]);
    out->scalars = state(g, "step scalars", F32, STEP_SCALARS, 1, b->scalars);
    out->step = state(g, "step integers", I32, STEP_INTEGERS, 1, b->integers);
}

Status batch_upload_step(BatchBuffers *b, const float scalars[STEP_SCALARS],
                         const int32_t integers[STEP_INTEGERS], Stream *s)
{
    const DeviceTable *t = b->device->table;
    Status status =
        t->copy(b->device, s, b->scalars, scalars, STEP_SCALARS * sizeof *scalars, TO_DEVICE);

    return status ? status
                  : t->copy(b->device, s, b->integers, integers, STEP_INTEGERS * sizeof *integers,
                            TO_DEVICE);
}

BatchShape batch_bucket(BatchShape used, BatchShape capacity)
{
    const int64_t step = BATCH_LONGEST_STEP;
    const int64_t longest = (used.longest + step - 1) / step * step;

    return (BatchShape){.rows = bucket_round(used.rows, capacity.rows, BATCH_BUCKETS),
                        .sequences =
                            bucket_round(used.sequences, capacity.sequences, BATCH_BUCKETS),
                        .longest = longest < capacity.longest ? longest : capacity.longest};
}
