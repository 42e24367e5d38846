/* batch.h - micro-batches on their way from the host to the device.
 *
 * A recipe names the I32 fields of its batches: per row (token ids) or per sequence (targets). The
 * BatchBuffers own device memory for the largest bucket, at addresses that never change, and two
 * host batches (pinned memory on a GPU), so that one is filled while the other is on its way.
 */
#ifndef TRAIN_BATCH_H
#define TRAIN_BATCH_H

#include "runtime/batch.h"
#include "runtime/device.h"
#include "runtime/graph.h"

enum { BATCH_FIELDS = 6 };

typedef struct BatchField {
    const char *name; // NULL ends a table
    bool per_row;     // else per sequence
    int width;        // numbers for each
} BatchField;

typedef struct BatchShape {
    int64_t rows, sequences, longest;
} BatchShape;

/* One micro-batch on the host. */
typedef struct HostBatch {
    BatchShape used, capacity;
    int32_t *offsets, *sample, *position;
    int32_t *field[BATCH_FIELDS];
} HostBatch;

typedef struct BatchBuffers BatchBuffers;

MUST_CHECK Status batch_open(Device *d, const BatchField fields[], BatchShape capacity,
                             BatchBuffers **out);
void batch_close(BatchBuffers *b); // accepts NULL
BatchShape batch_capacity(const BatchBuffers *b);
size_t batch_bytes(const BatchBuffers *b); // on the device

/* The next host batch, empty. The one before it may still be on its way to the device; where this
 * one still is, waits until it has arrived. */
MUST_CHECK Status batch_next(BatchBuffers *b, HostBatch **out);

/* Appends a sequence of `length` rows that belongs to sample number `sample` of the update. Returns
 * its first row; its number is h->used.sequences - 1. The caller writes the fields. */
int64_t batch_append(HostBatch *h, int64_t length, int64_t sample);

/* Copies it to the device for graphs of this bucket; offsets past the end repeat the last. */
MUST_CHECK Status batch_upload(BatchBuffers *b, const HostBatch *h, BatchShape bucket, Stream *s);

/* The device's tensors, as a graph of this bucket sees them. */
typedef struct BatchTensors {
    Rows rows;
    Tensor *field[BATCH_FIELDS];
    Tensor *scalars; // F32 [STEP_SCALARS]
    Tensor *step;    // I32 [STEP_INTEGERS]
} BatchTensors;
void batch_record(BatchBuffers *b, Graph *g, BatchShape bucket, BatchTensors *out);

/* Step scalars and integers, once an update. */
MUST_CHECK Status batch_upload_step(BatchBuffers *b, const float scalars[STEP_SCALARS],
                                    const int32_t integers[STEP_INTEGERS], Stream *s);

/* The bucket of a micro-batch: rows and sequences rounded up to BATCH_BUCKETS sizes an octave. */
enum { BATCH_BUCKETS = 32, BATCH_LONGEST_STEP = 64 };
BatchShape batch_bucket(BatchShape used, BatchShape capacity);

#endif
