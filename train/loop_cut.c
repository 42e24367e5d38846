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

Status cut_survey(Trainer *t)
{
    const int64_t most = t->updates > 0 ? t->updates : INT64_MAX;
    const int64_t whole = (int64_t)floor(t->epochs);
    int64_t updates = 0;

    t->largest = (BatchShape){0};
    t->per_epoch = updates_of_epoch(t, 0, INT64_MAX);
    if (t->updates > 0) {
        for (int64_t e = 0; updates < most; e++)
            updates += updates_of_epoch(t, e, most - updates);
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
