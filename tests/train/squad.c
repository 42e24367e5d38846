/* Tests train/squad.c: the whole recipe on a tiny BERT and forty questions. */
#include "tests/run_folder.h"
#include "tests/test.h"
#include "tests/tiny_questions.h"

#include "runtime/file.h"
#include "runtime/safetensors.h"
#include "train/squad.h"
#include "train/squad_model.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_KEYS = 16 };

typedef struct Run {
    const char *folder;
    const char *keys[MOST_KEYS]; // NULL ends them
    const char *stop_at;         // a piece of a message: asks for a stop when it is said
    bool dry_run;
    const char *model; // a fixture; NULL: one with a head
    char *messages, *results;
    volatile sig_atomic_t stop;
    size_t room;
} Run;

static ssize_t listen(void *cookie, const char *text, size_t bytes)
{
    Run *r = cookie;
    const size_t used = r->messages ? strlen(r->messages) : 0;
    char *more = realloc(r->messages, used + bytes + 1);

    if (!more)
        return -1;
    memcpy(more + used, text, bytes);
    more[used + bytes] = '\0';
    r->messages = more;
    if (r->stop_at && strstr(more, r->stop_at))
        r->stop = SIGINT;
    return (ssize_t)bytes;
}

static Status run(Run *r)
{
    char fixed[4][800];
    const char *words[MOST_KEYS + 4];
    int count = 0;
    Config *c = NULL;
    FILE *messages = fopencookie(r, "w", (cookie_io_functions_t){.write = listen});

    setvbuf(messages, NULL, _IOLBF, 0);
    snprintf(fixed[0], sizeof fixed[0], "output_dir=%s", r->folder);
    snprintf(fixed[1], sizeof fixed[1], "train_data=%s", run_folder("train.jsonl"));
    snprintf(fixed[2], sizeof fixed[2], "model=%s",
             test_source(r->model ? r->model : "tests/fixtures/bert-question-answering"));
    for (int i = 0; i < 3; i++)
        words[count++] = fixed[i];
    for (int i = 0; r->keys[i]; i++)
        words[count++] = r->keys[i];
    Status s = config_create(&c, squad_tables);
    if (!s)
        s = config_set(c, "max_seq_length", "40", "test");
    if (!s)
        s = config_set(c, "doc_stride", "8", "test");
    if (!s)
        s = config_set(c, "learning_rate", "1e-3", "test");
    if (!s)
        s = config_override(c, count, words);
    if (!s)
        s = config_check(c);
    if (!s)
        s = loop_resolve(c);
    const TrainerHooks hooks = {.messages = messages,
                                .stop = &r->stop,
                                .command = "cairn train this",
                                .tables = squad_tables};
    if (!s)
        s = squad_train(c, hooks, NULL, stdout, r->dry_run, &r->results);
    config_free(c);
    fclose(messages);
    return s;
}

static void run_free(Run *r)
{
    free(r->messages);
    free(r->results);
}

static const char *validation(void)
{
    static char key[800];

    snprintf(key, sizeof key, "validation_data=%s", run_folder("validation.jsonl"));
    return key;
}

static void learns_who_built_what(void)
{
    Run r = {.folder = run_folder("learns"),
             .keys = {"epochs=25", "batch_size=8", "learning_rate=3e-3", "logging_steps=5",
                      "eval_on_start=true", "eval_steps=25", validation()}};

    if (CHECK_OK(run(&r))) {
        CHECK(run_metric(r.folder, 0, "train/loss") > 2 * run_metric(r.folder, -1, "train/loss"));
        CHECK(run_result(r.results, "f1") > run_metric(r.folder, 0, "eval/f1") + 20);
        CHECK(run_result(r.results, "total") == 12);
    }
    run_free(&r);
}

/* predictions.json is of the model that lies in model/, and scores what results.json says. */
static void predictions_are_the_best_models(void)
{
    Run r = {.folder = run_folder("best"),
             .keys = {"max_steps=8", "batch_size=8", "eval_steps=1", "learning_rate=1e-2",
                      "lr_scheduler=constant", validation()}};
    Squad *data = NULL;
    SquadPredictions *p = NULL;
    SquadScore score;
    char path[800];

    if (!CHECK_OK(run(&r)))
        return;
    snprintf(path, sizeof path, "%s/predictions.json", r.folder);
    CHECK_OK(squad_read(run_folder("validation.jsonl"), &data));
    CHECK_OK(squad_predictions_read(path, &p));
    if (data && p && CHECK_OK(squad_score(data, SQUAD_1_1, p, NULL, 1, &score)))
        CHECK_NEAR(score.all.f1, run_result(r.results, "f1"), 1e-9);
    CHECK(run_metric(r.folder, -1, "eval/f1") < run_result(r.results, "f1")); // so they differ
    squad_predictions_free(p);
    squad_free(data);
    run_free(&r);
}

static bool same_model(const char *a, const char *b)
{
    return run_same_file(run_folder(a), run_folder(b), "model/model.safetensors");
}

/* Runs with these keys into the folder `name`. */
static bool train(const char *name, const char *const keys[])
{
    Run r = {.folder = run_folder(name),
             .keys = {"max_steps=7", "batch_size=6", "logging_steps=1"}};
    char folder[800];

    snprintf(folder, sizeof folder, "%s", r.folder);
    r.folder = folder;
    for (int i = 0; keys[i]; i++)
        r.keys[3 + i] = keys[i];
    const bool good = CHECK_OK(run(&r));
    run_free(&r);
    return good;
}

#define KEYS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void recomputation_and_threads_do_not_change_bits(void)
{
    if (!train("plain", KEYS("threads=1")) || !train("two", KEYS("threads=2")) ||
        !train("cheap", KEYS("recompute=cheap")) || !train("block", KEYS("recompute=block")))
        return;
    CHECK(same_model("plain", "two"));
    CHECK(same_model("plain", "cheap"));
    CHECK(same_model("plain", "block"));
    if (train("other", KEYS("seed=43"))) // the comparison can fail
        CHECK(!same_model("plain", "other"));
}

static float *weights(const char *run_name, const char *tensor, int64_t *count)
{
    char folder[900];
    Safetensors *f = NULL;
    float *values = NULL;

    *count = 0;
    snprintf(folder, sizeof folder, "%s/model", run_folder(run_name));
    if (!CHECK_OK(safetensors_open(folder, &f)))
        return NULL;
    const StoredTensor *t = safetensors_find(f, tensor);
    if (CHECK(t) && (values = calloc((size_t)t->size + 1, sizeof *values))) {
        *count = t->size;
        CHECK_OK(stored_floats(t, 0, t->size, values));
    }
    safetensors_close(f);
    return values;
}

static double distance(const char *a, const char *b, const char *tensor)
{
    int64_t m, n;
    float *x = weights(a, tensor, &m), *y = weights(b, tensor, &n);
    double worst = m == n ? 0 : HUGE_VAL;

    for (int64_t i = 0; i < m && m == n; i++)
        worst = fmax(worst, fabs((double)x[i] - (double)y[i]));
    free(x);
    free(y);
    return worst;
}

/* With dropout: the same masks, whatever the cut. */
static void micro_batches_agree(void)
{
    static const char query[] = "bert.encoder.layer.0.attention.self.query.weight";

    if (!train("in-1", KEYS("optimizer=bert_adam")) ||
        !train("in-2", KEYS("optimizer=bert_adam", "gradient_accumulation_steps=2")) ||
        !train("in-3", KEYS("optimizer=bert_adam", "gradient_accumulation_steps=3")) ||
        !train("in-6", KEYS("optimizer=bert_adam", "micro_batch_tokens=10")))
        return;
    static const char *const cut[] = {"in-2", "in-3", "in-6"};
    for (int i = 0; i < 3; i++) {
        const double off = distance("in-1", cut[i], query);
        if (!CHECK(off < 1e-5))
            printf("  %s is off by %.3g\n", cut[i], off);
        CHECK(distance("in-1", cut[i], "qa_outputs.weight") < 1e-5);
        for (int line = 0; line < 7; line++)
            CHECK_NEAR(run_metric(run_folder(cut[i]), line, "train/loss"),
                       run_metric(run_folder("in-1"), line, "train/loss"), 1e-5);
    }
}

static void frozen_weights_stay(void)
{
    static const char *const names[] = {
        "bert.encoder.layer.0.attention.self.key.weight",
        "bert.encoder.layer.0.output.LayerNorm.bias",
        "bert.embeddings.word_embeddings.weight",
        "bert.encoder.layer.1.attention.self.key.weight",
    };

    if (!train("frozen", KEYS("freeze_layers=1", "freeze_embeddings=true", "weight_decay=0.1")) ||
        !train("half-frozen", KEYS("freeze_layers=1", "weight_decay=0.1")) ||
        !train("start", KEYS("learning_rate=0")))
        return;
    for (int i = 0; i < 4; i++) {
        CHECK((distance("frozen", "start", names[i]) == 0) == (i < 3));
        CHECK((distance("half-frozen", "start", names[i]) == 0) == (i < 2));
    }
    CHECK(distance("frozen", "start", "qa_outputs.weight") > 0);
}

/* Frozen weights have no master in BF16: what a stopped run saves of them is what it goes on with. */
static void frozen_weights_resume(void)
{
    Run whole = {.folder = run_folder("frozen-whole"),
                 .keys = {"epochs=2", "eval_steps=3", "dtype=bf16", "freeze_layers=1",
                          "freeze_embeddings=true", validation()}};
    Run first = whole, second = whole;

    first.folder = second.folder = run_folder("frozen-stopped");
    first.stop_at = "after update 3:";
    second.keys[6] = "resume=true";
    if (CHECK_OK(run(&whole)) && CHECK(run(&first) == E_STOPPED) && CHECK_OK(run(&second))) {
        CHECK(same_model("frozen-whole", "frozen-stopped"));
        run_check_metrics(whole.folder, second.folder);
    }
    run_free(&whole);
    run_free(&first);
    run_free(&second);
}

/* Stopped while it evaluated, with BF16, accumulation and a border of epochs on both sides. */
static void a_stopped_run_ends_with_the_same_bits(void)
{
    static const char *const stops[] = {"after update 3:", "after update 6:", "after update 18:"};
    Run whole = {.folder = run_folder("whole"),
                 .keys = {"epochs=3", "batch_size=6", "dtype=bf16", "gradient_accumulation_steps=2",
                          "eval_steps=3", "logging_steps=4", validation()}};

    if (!CHECK_OK(run(&whole)))
        return;
    for (int i = 0; i < 3; i++) {
        char name[20];
        snprintf(name, sizeof name, "stopped-%d", i);
        Run first = whole;
        first.folder = run_folder(name);
        first.stop_at = stops[i];
        first.messages = first.results = NULL;
        Run second = first;
        second.stop_at = NULL;
        second.keys[7] = "resume=true";
        CHECK(run(&first) == E_STOPPED && first.stop == SIGINT);
        if (CHECK_OK(run(&second))) {
            CHECK(same_model("whole", name));
            CHECK(run_same_file(whole.folder, second.folder, "predictions.json"));
            CHECK(run_same_file(whole.folder, second.folder, "results.json"));
            run_check_metrics(whole.folder, second.folder);
        }
        run_free(&first);
        run_free(&second);
    }
    run_free(&whole);
}

static void a_signal_cuts_an_evaluation_short(void)
{
    Run first = {
        .folder = run_folder("cut-short"),
        .keys = {"max_steps=2", "batch_size=2", "eval_on_start=true", validation(), "resume=true"},
        .stop_at = "the run starts afresh"};
    Run second = first;

    second.stop_at = NULL;
    CHECK(run(&first) == E_STOPPED && !strstr(first.messages, "evaluation after"));
    if (CHECK_OK(run(&second)))
        CHECK(strstr(second.messages, "evaluation after update 0:"));
    run_free(&first);
    run_free(&second);
}

/* Nothing is saved before the first update: what is told is the command that was given. */
static void a_signal_before_the_run_is_heeded(void)
{
    static const char *const stops[] = {
        "model: ", "train_data: ", "validation_data: ", "weights: "};

    for (int i = 0; i < 8; i++) {
        Run r = {.folder = run_folder("not-begun"),
                 .keys = {"max_steps=2", validation()},
                 .stop_at = stops[i / 2],
                 .model = "tests/fixtures/bert-encoder",
                 .dry_run = i % 2};
        CHECK(run(&r) == E_STOPPED && !file_exists(r.folder));
        CHECK(strstr(status_text(), "stopped by a signal before the run began"));
        CHECK(r.messages && strstr(r.messages, "\nto go on: cairn train this\n"));
        const char *later = i / 2 < 3 ? strstr(r.messages, stops[i / 2 + 1]) : NULL;
        CHECK(!later);
        run_free(&r);
    }
}

int main(void)
{
    setenv("CAIRN_CACHE", run_folder("cache"), 1);
    if (tiny_questions_write(run_folder("train.jsonl"), 0, 40) &&
        tiny_questions_write(run_folder("validation.jsonl"), 100, 12)) {
        RUN(learns_who_built_what);
        RUN(predictions_are_the_best_models);
        RUN(recomputation_and_threads_do_not_change_bits);
        RUN(micro_batches_agree);
        RUN(frozen_weights_stay);
        RUN(frozen_weights_resume);
        RUN(a_stopped_run_ends_with_the_same_bits);
        RUN(a_signal_cuts_an_evaluation_short);
        RUN(a_signal_before_the_run_is_heeded);
    }
    return test_result();
}
