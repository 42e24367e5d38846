/* Tests train/batch.c: buckets, what a batch holds, what the device gets. */
#include "train/batch.h"

#include "tests/test.h"

#include <string.h>

static const BatchField fields[] = {{"ids", true, 1}, {"spans", false, 2}, {0}};

static void buckets_hold_what_they_are_for(void)
{
    const BatchShape capacity = {2000, 100, 384};
    int64_t before = 0;
    int sizes = 0;

    for (int64_t n = 1; n <= capacity.rows; n++) {
        const BatchShape b =
            batch_bucket((BatchShape){n, n % 100 + 1, n < 384 ? n : 384}, capacity);
        CHECK(b.rows >= n && b.rows <= capacity.rows && b.rows >= before);
        CHECK(b.rows <= n + 1 + n / BATCH_BUCKETS); // at most that much is not used
        CHECK(b.sequences >= n % 100 + 1 && b.sequences <= 100);
        CHECK(b.longest >= (n < 384 ? n : 384) && b.longest <= 384);
        CHECK(b.longest % BATCH_LONGEST_STEP == 0);
        sizes += b.rows != before;
        before = b.rows;
    }
    CHECK(sizes < 12 * BATCH_BUCKETS);
    CHECK(before == capacity.rows);
}

static void buckets_end_at_the_capacity(void)
{
    const BatchShape b = batch_bucket((BatchShape){99, 7, 90}, (BatchShape){99, 7, 99});

    CHECK(b.rows == 99 && b.sequences == 7 && b.longest == 99);
}

static void appended_sequences_follow_one_another(void)
{
    Device *d = NULL;
    BatchBuffers *b = NULL;

    if (!CHECK_OK(device_open("cpu", 1, &d)) ||
        !CHECK_OK(batch_open(d, fields, (BatchShape){10, 3, 8}, &b)))
        return;
    HostBatch *h = NULL, *other = NULL, *third = NULL;
    CHECK_OK(batch_next(b, &h));
    CHECK(batch_append(h, 4, 7) == 0);
    CHECK(batch_append(h, 5, 9) == 4);
    CHECK(h->used.rows == 9 && h->used.sequences == 2 && h->used.longest == 5);
    CHECK(h->offsets[0] == 0 && h->offsets[1] == 4 && h->offsets[2] == 9);
    CHECK(h->sample[3] == 7 && h->sample[4] == 9 && h->sample[8] == 9);
    CHECK(h->position[3] == 3 && h->position[4] == 0 && h->position[8] == 4);
    CHECK_OK(batch_next(b, &other)); // the first is left alone: it may still be on its way
    CHECK(other != h && other->used.rows == 0 && h->used.rows == 9);
    CHECK_OK(batch_next(b, &third));
    CHECK(third == h && h->used.rows == 0 && h->used.longest == 0);
    batch_close(b);
    device_close(d);
}

static void the_device_sees_the_batch(void)
{
    Device *d = NULL;
    BatchBuffers *b = NULL;
    BatchTensors in;
    const BatchShape bucket = {8, 3, 8};
    const float scalars[STEP_SCALARS] = {0.5f, 0.25f};
    const int32_t integers[STEP_INTEGERS] = {11, 12};

    if (!CHECK_OK(device_open("cpu", 1, &d)) ||
        !CHECK_OK(batch_open(d, fields, (BatchShape){10, 4, 8}, &b)))
        return;
    CHECK(batch_capacity(b).rows == 10 && batch_bytes(b) > 0);
    HostBatch *h = NULL;
    CHECK_OK(batch_next(b, &h));
    for (int i = 0; i < 2; i++) {
        const int64_t row = batch_append(h, 3, i);
        for (int k = 0; k < 3; k++)
            h->field[0][row + k] = (int32_t)(100 * i + k);
        h->field[1][2 * i] = i, h->field[1][2 * i + 1] = 2 + i;
    }
    Graph *g = graph_new(d, (GraphOptions){0});
    batch_record(b, g, bucket, &in);
    CHECK_OK(graph_status(g));
    CHECK_OK(batch_upload(b, h, bucket, NULL));
    CHECK_OK(batch_upload_step(b, scalars, integers, NULL));
    CHECK(in.rows.longest == 8 && in.rows.offsets->dim[0] == 4 && in.rows.sample->dim[0] == 8);
    CHECK(in.field[0]->ndim == 1 && in.field[0]->dim[0] == 8);
    CHECK(in.field[1]->ndim == 2 && in.field[1]->dim[0] == 3 && in.field[1]->dim[1] == 2);
    const int32_t *offsets = in.rows.offsets->data, *ids = in.field[0]->data;
    CHECK(offsets[1] == 3 && offsets[2] == 6 && offsets[3] == 6); // past the end: the last
    CHECK(ids[2] == 2 && ids[3] == 100 && ids[5] == 102);
    CHECK(!memcmp(in.field[1]->data, (int32_t[]){0, 2, 1, 3}, 4 * sizeof(int32_t)));
    CHECK(!memcmp(in.scalars->data, scalars, sizeof scalars));
    CHECK(!memcmp(in.step->data, integers, sizeof integers));
    graph_free(g);
    batch_close(b);
    device_close(d);
}

static void a_batch_too_large_for_the_machine_is_an_error(void)
{
    Device *d = NULL;
    BatchBuffers *b = NULL;

    if (!CHECK_OK(device_open("cpu", 1, &d)))
        return;
    CHECK(batch_open(d, fields, (BatchShape){INT64_MAX / 64, 1, 1}, &b) == E_MEMORY && !b);
    batch_close(NULL);
    device_close(d);
}

int main(void)
{
    RUN(buckets_hold_what_they_are_for);
    RUN(buckets_end_at_the_capacity);
    RUN(appended_sequences_follow_one_another);
    RUN(the_device_sees_the_batch);
    RUN(a_batch_too_large_for_the_machine_is_an_error);
    return test_result();
}
