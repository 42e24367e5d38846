/* Tests models/bert.c against PyTorch and transformers: the golden values of
 * tests/reference/bert.py, of tiny models in each naming and of MiniLM-L6 where its weights are.
 *
 * Tolerances are shares of the largest value of each tensor, of a gradient at least of a small share
 * of the whole gradient's norm: the gradients of key biases, of the head's bias and of the last
 * norm's bias are zero in exact arithmetic, because a softmax does not see what is added to all its
 * rows. The golden values were computed in F64.
 */
#include "datasets/model_source.h"
#include "tests/bert_run.h"
#include "tests/test.h"
#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Tolerance {
    double hidden, loss, gradient, least, step_loss, moved; // least: of a gradient's scale
} Tolerance;

static const Tolerance F32_TOLERANCE = {1e-5, 1e-6, 4e-5, 1e-3, 1e-5, 2e-3};
static const Tolerance BF16_TOLERANCE = {3e-2, 1e-2, 6e-2, 3e-2, 3e-2, 0.3};

static void check_hidden(BertWorld *w, const Golden *k, double tolerance)
{
    const BertBatch b = golden_batch(k);

    for (int64_t i = 0; i <= w->config.layers; i++) {
        char name[40];
        BertResult r;
        snprintf(name, sizeof name, "hidden.%d", (int)i);
        if (bert_run(w, &b, (BertPass){.inference = true, .layers = i}, &r))
            golden_check(k, name, r.hidden, b.rows * w->config.hidden_size, tolerance, 0);
        bert_result_free(&r);
    }
}

static void check_gradients(BertWorld *w, const Golden *k, const Tolerance *t)
{
    const BertBatch b = golden_batch(k);
    const float *loss = golden_floats(k, "loss", NULL), *norm = golden_floats(k, "norm", NULL);
    BertResult r;

    CHECK(bert_run(w, &b, (BertPass){.layers = -1}, &r));
    float *gradients = bert_gradients(w);
    for (int i = 0; i < bert_names(w->m)->count; i++) {
        char name[160];
        int64_t count;
        snprintf(name, sizeof name, "gradient.%s", bert_names(w->m)->piece[i].name);
        const float *got = bert_piece(w, gradients, i, &count);
        golden_check(k, name, got, count, t->gradient, t->least * (double)*norm);
    }
    CHECK(isfinite(r.loss) && loss);
    free(gradients);
    bert_result_free(&r);
}

static void check_forward(BertWorld *w, const Golden *k, const Tolerance *t)
{
    const BertBatch b = golden_batch(k);
    BertResult r;

    bert_world_set_head(w, golden_floats(k, "qa_outputs.weight", NULL),
                        golden_floats(k, "qa_outputs.bias", NULL));
    check_hidden(w, k, t->hidden);
    if (CHECK(bert_run(w, &b, (BertPass){.inference = true, .layers = -1}, &r))) {
        golden_check(k, "logits", r.logits, 2 * b.rows, t->hidden, 0);
        golden_check(k, "loss", &r.loss, 1, t->loss, 0);
    }
    bert_result_free(&r);
    check_gradients(w, k, t);
}

/* One update by the gradients that are there; gives their norm. */
static float update(BertWorld *w, Optimizer *o, float learning_rate)
{
    float scalars[STEP_SCALARS] = {[STEP_LEARNING_RATE] = learning_rate};
    Graph *g = graph_new(w->d, (GraphOptions){0});
    Tensor *x = graph_state(g, "scalars", F32, DIMS(STEP_SCALARS));
    Arena arena = {0};

    x->data = scalars;
    optimizer_record(o, g, x);
    CHECK_OK(graph_plan(g));
    CHECK_OK(arena_open(&arena, w->d, graph_bytes(g)));
    CHECK_OK(graph_compile(g, &arena));
    CHECK_OK(graph_run(g, NULL));
    graph_free(g);
    arena_close(&arena);
    return optimizer_state(o).scalars[TRAINING_GRADIENT_NORM];
}

static bool has_no_gradient(const BertWorld *w, const char *piece)
{
    char last[80];

    snprintf(last, sizeof last, "encoder.layer.%d.output.LayerNorm.bias",
             (int)w->config.layers - 1);
    return strstr(piece, "key.bias") || !strcmp(piece, "qa_outputs.bias") || !strcmp(piece, last);
}

/* Adam divides a gradient by its own size, so where it is zero but for rounding the parameter walks
 * at random. Elsewhere what counts is the difference against how far the
 * parameter has moved, in the mean square over all of it. */
static void check_moved(const BertWorld *w, const Golden *k, const char *kind, const float *before,
                        double tolerance)
{
    const float *after = params_range(w->p).master;

    for (int i = 0; i < bert_names(w->m)->count; i++) {
        const char *piece = bert_names(w->m)->piece[i].name;
        char name[200], part[300];
        int64_t count, wanted = 0, samples = 0;
        double moved = 0, difference = 0;
        if (has_no_gradient(w, piece))
            continue;
        snprintf(name, sizeof name, "%s.parameter.%s", kind, piece);
        const float *got = bert_piece(w, after, i, &count), *was = bert_piece(w, before, i, &count);
        snprintf(part, sizeof part, "%s.index", name);
        const int32_t *index = golden_integers(k, part, &samples);
        snprintf(part, sizeof part, "%s%s", name, index ? ".value" : "");
        const float *want = golden_floats(k, part, &wanted);
        if (!want || !CHECK(wanted == (index ? samples : count)))
            continue;
        for (int64_t j = 0; j < wanted; j++) {
            const int64_t at = index ? index[j] : j;
            moved += pow((double)want[j] - (double)was[at], 2);
            difference += pow((double)want[j] - (double)got[at], 2);
        }
        snprintf(part, sizeof part, "%s: off by %.3g of its way", name, sqrt(difference / moved));
        test_check(difference <= tolerance * tolerance * moved, __FILE__, __LINE__, part);
    }
}

static void check_steps(const char *folder, const Golden *k, Dtype dtype, const char *kind,
                        const Tolerance *t)
{
    const bool adamw = !strcmp(kind, "adamw");
    const OptimizerOptions options = {.beta1 = 0.9f,
                                      .beta2 = 0.999f,
                                      .epsilon = adamw ? 1e-8f : 1e-6f,
                                      .weight_decay = adamw ? 0 : 0.01f,
                                      .bias_correction = adamw,
                                      .max_grad_norm = 1};
    const BertBatch b = golden_batch(k);
    char name[60];
    int64_t steps;
    BertWorld w;
    Optimizer *o = NULL;

    if (!bert_world_open(&w, folder, (BertSetting){.dtype = dtype}) ||
        !CHECK_OK(optimizer_new(w.d, w.p, options, &o))) {
        bert_world_close(&w);
        return;
    }
    bert_world_set_head(&w, golden_floats(k, "qa_outputs.weight", NULL),
                        golden_floats(k, "qa_outputs.bias", NULL));
    const ParamsRange range = params_range(w.p);
    float *before = malloc((size_t)range.total * sizeof *before);
    memcpy(before, range.master, (size_t)range.total * sizeof *before);
    snprintf(name, sizeof name, "%s.loss", kind);
    const float *loss = golden_floats(k, name, &steps);
    snprintf(name, sizeof name, "%s.norm", kind);
    const float *norm = golden_floats(k, name, NULL);
    snprintf(name, sizeof name, "%s.learning_rate", kind);
    const float *rate = golden_floats(k, name, NULL);
    for (int64_t i = 0; i < steps && loss && norm && rate; i++) {
        BertResult r;
        CHECK(bert_run(&w, &b, (BertPass){.layers = -1, .update = (int32_t)i}, &r));
        CHECK_NEAR((double)r.loss, (double)loss[i], t->step_loss);
        CHECK_NEAR((double)update(&w, o, rate[i]) / (double)norm[i], 1, 4 * t->step_loss);
        bert_result_free(&r);
    }
    check_moved(&w, k, kind, before, t->moved);
    free(before);
    optimizer_free(o);
    bert_world_close(&w);
}

static void check_model(const char *folder, const char *golden, bool steps)
{
    Golden *k = golden_open(golden);

    for (int i = 0; i < 2 && k; i++) {
        const Dtype dtype = i ? BF16 : F32;
        const Tolerance *t = i ? &BF16_TOLERANCE : &F32_TOLERANCE;
        BertWorld w;
        if (bert_world_open(&w, folder, (BertSetting){.dtype = dtype}))
            check_forward(&w, k, t);
        bert_world_close(&w);
        for (int a = 0; a < 2 && steps; a++)
            check_steps(folder, k, dtype, a ? "bert_adam" : "adamw", t);
    }
    golden_close(k);
}

static void question_answering_agrees(void)
{
    check_model(test_source("tests/fixtures/bert-question-answering"), "question-answering", true);
}

static void encoder_without_prefix_agrees(void)
{
    check_model(test_source("tests/fixtures/bert-encoder"), "encoder", false);
}

static void old_names_agree(void)
{
    check_model(test_source("tests/fixtures/bert-pretraining"), "pretraining", false);
}

static void minilm_agrees(void)
{
    const char *given = getenv("CAIRN_MINILM");
    const CatalogueEntry *e = catalogue_find("minilm");
    char *cached = given || !e ? NULL : model_source_present(e);

    if (given || cached)
        check_model(given ? given : cached, "minilm", true);
    else
        SKIP("no weights of MiniLM-L6: neither $CAIRN_MINILM nor the cache has them");
    free(cached);
}

int main(void)
{
    RUN(question_answering_agrees);
    RUN(encoder_without_prefix_agrees);
    RUN(old_names_agree);
    RUN(minilm_agrees);
    return test_result();
}
