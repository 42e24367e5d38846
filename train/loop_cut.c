/* loop_cut.c - cuts the run into updates and each update into micro-batches.
 *
 * An update ends at batch_size sequences, or before the sequence that would exceed batch_tokens
 * rows, or with the epoch. A micro-batch ends before the sequence that would exceed
 * micro_batch_tokens rows, or at its share of the update's sequences.
 */
#include "train/loop_parts.h"

#include "train/order.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum { SURVEYED_SAMPLES = 1 << 24 }; // of a longer run the largest batch is bounded, not sought

Status cut_open(Trainer *t)
{
    const size_t n = (size_t)t->task->samples;

    t->cut.order = calloc(n + 1, sizeof *t->cut.order);
    t->cut.sample = calloc(n + 1, sizeof *t->cut.sample);
    t->cut.last = calloc(n + 1, sizeof *t->cut.last);
    if (!t->cut.order || !t->cut.sample || !t->cut.last)
        return fail(E_MEMORY, "no memory for the order of %" PRId64 " samples", t->task->samples);
    cut_seek(t, 0, 0);
    return OK;
}

void cut_close(Trainer *t)
{
    free(t->cut.order);
    free(t->cut.sample);
    free(t->cut.last);
}

void cut_seek(Trainer *t, int64_t epoch, int64_t index)
{
    t->cut.epoch = epoch;
    t->cut.index = index;
    order_epoch(t->cut.order, t->task->samples, t->seed, epoch, t->shuffle);
}

static int64_t rows_of(const Trainer *t, int64_t i)
{
    return t->task->rows(t->task->state, t->cut.sample[i]);
}

static void cut_micros(Trainer *t)
{
    Cut *c = &t->cut;
    const int64_t share = (c->samples + t->accumulation - 1) / t->accumulation;
    int64_t rows = 0, sequences = 0;

    c->micros = 0;
    for (int64_t i = 0; i < c->samples; i++) {
        const int64_t n = rows_of(t, i);
        if (sequences > 0 && (rows + n > t->micro_rows || sequences == share)) {
            c->last[c->micros++] = i;
            rows = sequences = 0;
        }
        rows += n;
        sequences++;
    }
    c->last[c->micros++] = c->samples;
}

void cut_next(Trainer *t)
{
    Cut *c = &t->cut;
    const Task *task = t->task;

    if (c->index == task->samples)
        cut_seek(t, c->epoch + 1, 0);
    c->samples = c->rows = c->targets = 0;
    while (c->index < task->samples) {
        const int32_t sample = c->order[c->index];
        const int64_t rows = task->rows(task->state, sample);
        if (t->batch_tokens ? c->samples > 0 && c->rows + rows > t->batch_tokens
                            : c->samples == t->batch_size)
            break;
        c->sample[c->samples++] = sample;
        c->rows += rows;
        c->targets += task->targets(task->state, sample);
        c->index++;
    }
    cut_micros(t);
}

static void survey_micros(Trainer *t)
{
    int64_t first = 0;

    for (int64_t i = 0; i < t->cut.micros; i++) {
        int64_t rows = 0;
        for (int64_t k = first; k < t->cut.last[i]; k++) {
            const int64_t n = rows_of(t, k);
            rows += n;
            if (n > t->largest.longest)
                t->largest.longest = n;
        }
        if (rows > t->largest.rows)
            t->largest.rows = rows;
        if (t->cut.last[i] - first > t->largest.sequences)
            t->largest.sequences = t->cut.last[i] - first;
        first = t->cut.last[i];
    }
}

static int64_t updates_of_epoch(Trainer *t, int64_t epoch, int64_t most)
{
    int64_t count = 0;

    cut_seek(t, epoch, 0);
    while (t->cut.index < t->task->samples && count < most) {
        cut_next(t);
        survey_micros(t);
        count++;
    }
    return count;
}

static int compare_lengths(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* What no micro-batch exceeds, whatever the order: the longest samples together, or the most of the
 * shortest. */
static Status survey_bound(Trainer *t)
{
    const int64_t n = t->task->samples;
    const int64_t share = (t->batch_size + t->accumulation - 1) / t->accumulation;
    const int64_t most = t->batch_tokens || share > n ? n : share;
    int64_t *length = calloc((size_t)n + 1, sizeof *length);
    int64_t rows = 0, sequences = 0;

    if (!length)
        return fail(E_MEMORY, "no memory for the lengths of %" PRId64 " samples", n);
    for (int64_t i = 0; i < n; i++)
        length[i] = t->task->rows(t->task->state, i);
    qsort(length, (size_t)n, sizeof *length, compare_lengths);
    const int64_t room = length[n - 1] > t->micro_rows ? length[n - 1] : t->micro_rows;
    for (int64_t i = n - 1; i >= n - most && rows < room; i--)
        rows += length[i];
    for (int64_t i = 0, used = 0; i < most && (used += length[i]) <= room; i++)
        sequences++;
    t->largest.longest = length[n - 1];
    t->largest.rows = rows < room ? rows : room;
    t->largest.sequences = sequences;
    free(length);
    return OK;
}

Status cut_survey(Trainer *t)
{
    const int64_t most = t->updates > 0 ? t->updates : INT64_MAX;
    const int64_t whole = (int64_t)floor(t->epochs);
    int64_t updates = 0;

    t->largest = (BatchShape){0};
    t->per_epoch = updates_of_epoch(t, 0, INT64_MAX);
    if (t->updates > 0) {
        for (int64_t e = 0; updates < most && e < SURVEYED_SAMPLES / t->task->samples + 1; e++)
            updates += updates_of_epoch(t, e, most - updates);
        if (updates < most) {
            const Status s = survey_bound(t);
            if (s)
                return s;
        }
        updates = most;
    } else {
        for (int64_t e = 0; e < whole; e++)
            updates += updates_of_epoch(t, e, INT64_MAX);
        const double part = (t->epochs - (double)whole) * (double)t->per_epoch;
        updates += updates_of_epoch(t, whole, (int64_t)ceil(part - 1e-9));
    }
    t->updates = updates;
    cut_seek(t, 0, 0);
    return updates > 0 ? OK
                       : fail(E_CONFIG, "epochs: %g of %" PRId64 " samples is no update", t->epochs,
                              t->task->samples);
}
