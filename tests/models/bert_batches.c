/* Tests what must not matter to models/bert.c, bit for bit: what a sequence is packed with, what
 * lies in rows beyond the true ones, recomputation, the number of threads; and, but for the order of
 * F32 sums, how an update is cut into micro-batches.
 */
#include "tests/bert_run.h"
#include "tests/test.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static Golden *golden;
static BertBatch batch;

static bool open_world(BertWorld *w, Dtype dtype, int threads)
{
    return bert_world_open(w, test_source("tests/fixtures/bert-question-answering"),
                           (BertSetting){.dtype = dtype, .threads = threads, .dropout = true});
}

static bool same(const float *a, const float *b, int64_t count)
{
    return a && b && !memcmp(a, b, (size_t)count * sizeof *a);
}

/* A pass and its gradients, compared with another's. */
typedef struct Outcome {
    BertResult result;
    float *gradients;
} Outcome;

static Outcome outcome(BertWorld *w, BertPass p)
{
    Outcome o = {0};

    p.layers = w->config.layers;
    CHECK(bert_run(w, &batch, p, &o.result));
    o.gradients = bert_gradients(w);
    return o;
}

static void outcome_free(Outcome *o)
{
    free(o->gradients);
    bert_result_free(&o->result);
}

static void check_equal(const BertWorld *w, const Outcome *a, const Outcome *b)
{
    CHECK(a->result.loss == b->result.loss && isfinite(a->result.loss));
    CHECK(same(a->result.hidden, b->result.hidden, a->result.rows * w->config.hidden_size));
    CHECK(same(a->gradients, b->gradients, params_range(w->p).trained));
}

static void packed_equals_alone(void)
{
    for (int i = 0; i < 4; i++) {
        BertWorld w;
        BertResult all, one;
        const bool training = i & 1; // with dropout: draws go by sample and place, too
        if (open_world(&w, i & 2 ? BF16 : F32, 2)) {
            const int64_t C = w.config.hidden_size;
            BertPass p = {.inference = !training, .keep_logits = true, .layers = -1};
            if (training)
                p.layers = w.config.layers;
            CHECK(bert_run(&w, &batch, p, &all));
            for (p.first = 0, p.count = 1; p.first < batch.sequences; p.first++) {
                const int64_t row = batch.offsets[p.first];
                CHECK(bert_run(&w, &batch, p, &one));
                CHECK(same(one.logits, all.logits + 2 * row, 2 * one.rows));
                if (training)
                    CHECK(same(one.hidden, all.hidden + C * row, C * one.rows));
                bert_result_free(&one);
            }
            bert_result_free(&all);
        }
        bert_world_close(&w);
    }
}

static void recomputation_keeps_bits(void)
{
    for (int i = 0; i < 2; i++) {
        BertWorld w;
        if (open_world(&w, i ? BF16 : F32, 2)) {
            Outcome none = outcome(&w, (BertPass){.update = 3});
            Outcome cheap = outcome(&w, (BertPass){.update = 3, .recompute = RECOMPUTE_CHEAP});
            Outcome block = outcome(&w, (BertPass){.update = 3, .recompute = RECOMPUTE_BLOCK});
            check_equal(&w, &none, &cheap);
            check_equal(&w, &none, &block);
            CHECK(cheap.result.bytes < none.result.bytes);
            CHECK(block.result.bytes < cheap.result.bytes);
            outcome_free(&none);
            outcome_free(&cheap);
            outcome_free(&block);
        }
        bert_world_close(&w);
    }
}

static void tail_rows_do_not_matter(void)
{
    static const int32_t garbage[] = {0, -1, 7, INT_MAX, INT_MIN};
    enum { KINDS = sizeof garbage / sizeof *garbage };

    for (int i = 0; i < 2; i++) {
        BertWorld w;
        if (open_world(&w, i ? BF16 : F32, 2)) {
            Outcome plain = outcome(&w, (BertPass){0});
            Outcome first = {0};
            for (int k = 0; k < KINDS; k++) {
                Outcome o = outcome(
                    &w, (BertPass){.more_rows = 11, .more_sequences = 3, .garbage = garbage[k]});
                CHECK(o.result.loss == plain.result.loss);
                CHECK(same(o.result.hidden, plain.result.hidden,
                           plain.result.rows * w.config.hidden_size));
                if (k == 0)
                    first = o;
                else
                    check_equal(&w, &first, &o); // gradients: of one bucket
                if (k > 0)
                    outcome_free(&o);
            }
            outcome_free(&first);
            outcome_free(&plain);
        }
        bert_world_close(&w);
    }
}

static void threads_do_not_matter(void)
{
    BertWorld one, three;

    if (open_world(&one, F32, 1) & open_world(&three, F32, 3)) {
        Outcome a = outcome(&one, (BertPass){0}), b = outcome(&three, (BertPass){0});
        check_equal(&one, &a, &b);
        outcome_free(&a);
        outcome_free(&b);
    }
    bert_world_close(&one);
    bert_world_close(&three);
}

static void draws_follow_update_and_sample(void)
{
    const int32_t *ids = batch.ids, offsets[] = {0, 5, 10}, targets[] = {0, 0, 0, 0};
    const int32_t twice[] = {ids[0], ids[1], ids[2], ids[3], ids[4],
                             ids[0], ids[1], ids[2], ids[3], ids[4]};
    const BertBatch equals = {10, 2, twice, (int32_t[10]){0}, offsets, targets};
    BertWorld w;
    BertResult r;

    if (open_world(&w, F32, 2)) {
        const int64_t half = 5 * w.config.hidden_size;
        for (int inference = 0; inference < 2; inference++) {
            CHECK(bert_run(&w, &equals,
                           (BertPass){.inference = inference, .layers = w.config.layers}, &r));
            CHECK(same(r.hidden, r.hidden + half, half) == (inference == 1));
            bert_result_free(&r);
        }
        Outcome a = outcome(&w, (BertPass){.update = 0}), b = outcome(&w, (BertPass){.update = 1});
        CHECK(!same(a.result.hidden, b.result.hidden, a.result.rows * w.config.hidden_size));
        outcome_free(&a);
        outcome_free(&b);
    }
    bert_world_close(&w);
}

/* The update cut before each of cuts[]. */
static Outcome in_parts(BertWorld *w, const int64_t *cuts, int count)
{
    const int64_t C = w->config.hidden_size;
    Outcome o = {.result = {.rows = batch.rows}};

    o.result.hidden = calloc((size_t)(batch.rows * C), sizeof *o.result.hidden);
    for (int i = 0; i < count; i++) {
        BertResult r;
        CHECK(bert_run(w, &batch,
                       (BertPass){.accumulate = i > 0,
                                  .layers = w->config.layers,
                                  .first = cuts[i],
                                  .count = cuts[i + 1] - cuts[i]},
                       &r));
        if (r.hidden)
            memcpy(o.result.hidden + C * batch.offsets[cuts[i]], r.hidden,
                   (size_t)(C * r.rows) * sizeof *r.hidden);
        o.result.loss += r.loss;
        bert_result_free(&r);
    }
    o.gradients = bert_gradients(w);
    return o;
}

static double largest_difference(const float *a, const float *b, int64_t count, double *scale)
{
    double largest = 0;

    *scale = 0;
    for (int64_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
        *scale = fmax(*scale, fabs((double)a[i]));
    }
    return largest;
}

static void micro_batches_do_not_matter(void)
{
    static const int64_t cuts[3][4] = {{0, 3}, {0, 1, 3}, {0, 1, 2, 3}};

    for (int i = 0; i < 2; i++) {
        BertWorld w;
        if (open_world(&w, i ? BF16 : F32, 2)) {
            const int64_t count = params_range(w.p).trained;
            Outcome whole = in_parts(&w, cuts[0], 1);
            for (int parts = 2; parts <= 3; parts++) {
                Outcome o = in_parts(&w, cuts[parts - 1], parts);
                double scale, d = largest_difference(whole.gradients, o.gradients, count, &scale);
                /* Equal hidden states after every dropout: equal masks. */
                CHECK(
                    same(whole.result.hidden, o.result.hidden, batch.rows * w.config.hidden_size));
                CHECK_NEAR((double)o.result.loss, (double)whole.result.loss, 1e-6);
                CHECK_NEAR(d / scale, 0, i ? 2e-3 : 1e-6);
                outcome_free(&o);
            }
            outcome_free(&whole);
        }
        bert_world_close(&w);
    }
}

int main(void)
{
    golden = golden_open("question-answering");
    if (golden) {
        batch = golden_batch(golden);
        RUN(packed_equals_alone);
        RUN(recomputation_keeps_bits);
        RUN(tail_rows_do_not_matter);
        RUN(threads_do_not_matter);
        RUN(draws_follow_update_and_sample);
        RUN(micro_batches_do_not_matter);
    }
    golden_close(golden);
    return test_result();
}
