/* batch.c - memory of micro-batches, and their way to the device. */
#include "train/batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { HOST_BATCHES = 2 };

/* Host memory that a copy may still be reading. */
typedef struct Outgoing {
    void *memory;
    Event *sent;
    bool underway;
} Outgoing;

/* Step scalars and integers as they lie behind one another on the device. */
typedef struct StepNumbers {
    float scalars[ARENA_ALIGNMENT / sizeof(float)];
    int32_t integers[STEP_INTEGERS];
} StepNumbers;

struct BatchBuffers {
    Device *device;
    const BatchField *field;
    int fields;
    BatchShape capacity;
    HostBatch host[HOST_BATCHES];
    Outgoing batch[HOST_BATCHES], step[HOST_BATCHES];
    size_t host_bytes;
    int next, next_step;
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

static Status outgoing_open(const BatchBuffers *b, size_t bytes, Outgoing *o)
{
    const DeviceTable *t = b->device->table;
    const Status s = t->allocate_host(b->device, bytes, &o->memory);

    return s ? s : t->event_open(b->device, &o->sent);
}

static void outgoing_close(const BatchBuffers *b, size_t bytes, Outgoing *o)
{
    const DeviceTable *t = b->device->table;

    if (o->sent)
        t->event_close(b->device, o->sent);
    if (o->memory)
        t->release_host(b->device, o->memory, bytes);
}

/* Its memory may be written again. */
static Status outgoing_wait(const BatchBuffers *b, Outgoing *o)
{
    const Status s = o->underway ? b->device->table->event_synchronise(b->device, o->sent) : OK;

    o->underway = false;
    return s;
}

static Status outgoing_mark(const BatchBuffers *b, Outgoing *o, Stream *stream)
{
    const Status s = b->device->table->event_record(b->device, o->sent, stream);

    o->underway = !s;
    return s;
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
        s = outgoing_open(b, bytes, &b->batch[i]);
        if (!s)
            s = outgoing_open(b, sizeof(StepNumbers), &b->step[i]);
        if (!s)
            lay_out(b, &b->host[i], b->batch[i].memory);
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
    for (int i = 0; i < HOST_BATCHES; i++) {
        outgoing_close(b, b->host_bytes, &b->batch[i]);
        outgoing_close(b, sizeof(StepNumbers), &b->step[i]);
    }
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

Status batch_next(BatchBuffers *b, HostBatch **out)
{
    HostBatch *h = &b->host[b->next];
    const Status s = outgoing_wait(b, &b->batch[b->next]);

    b->next = (b->next + 1) % HOST_BATCHES;
    h->used = (BatchShape){0};
    h->offsets[0] = 0;
    *out = h;
    return s;
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
    return status ? status : outgoing_mark(b, &b->batch[h - b->host], s);
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
    Outgoing *o = &b->step[b->next_step];
    StepNumbers *numbers = o->memory;
    Status status = outgoing_wait(b, o);

    b->next_step = (b->next_step + 1) % HOST_BATCHES;
    memcpy(numbers->scalars, scalars, STEP_SCALARS * sizeof *scalars);
    memcpy(numbers->integers, integers, sizeof numbers->integers);
    if (!status)
        status =
            b->device->table->copy(b->device, s, b->scalars, numbers, sizeof *numbers, TO_DEVICE);
    return status ? status : outgoing_mark(b, o, s);
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
