/* Tests train/loop*.c on a task of milliseconds: how updates are cut, when it evaluates, what it
 * keeps, when it ends. */
#include "tests/run_folder.h"
#include "tests/test.h"
#include "tests/tiny_task.h"

#include "runtime/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void every_epoch_visits_every_sample_once_and_the_loss_falls(void)
{
    TinyRun r = {.folder = run_folder("falls"),
                 .keys = {"epochs=12", "batch_size=6", "learning_rate=0.1", "logging_steps=7"}};

    CHECK_OK(tiny_run(&r));
    CHECK(r.fills == 12 * TINY_SAMPLES && run_result(r.results, "updates") == 12 * 7);
    for (int epoch = 0; epoch < 12; epoch++) {
        int seen[TINY_SAMPLES] = {0}, once = 0, same = 0;
        for (int i = 0; i < TINY_SAMPLES; i++) {
            seen[r.sample[epoch * TINY_SAMPLES + i]]++;
            same += r.sample[epoch * TINY_SAMPLES + i] == r.sample[i];
        }
        for (int i = 0; i < TINY_SAMPLES; i++)
            once += seen[i] == 1;
        CHECK(once == TINY_SAMPLES && (epoch == 0 || same < 12));
    }
    CHECK(run_metric(r.folder, 0, "train/loss") > 2 * run_metric(r.folder, -1, "train/loss"));
    CHECK(r.models == 1 && isnan(r.saved_score)); // nothing evaluated: the last model
    CHECK(run_result(r.results, "train_tokens") == 12 * 180);
    tiny_free(&r);
}

/* One update in 1, 2, 3 and many micro-batches: the same loss, masks and weights but for rounding. */
static void micro_batches_do_not_change_the_update(void)
{
    static const char *const cuts[] = {"gradient_accumulation_steps=1",
                                       "gradient_accumulation_steps=2",
                                       "gradient_accumulation_steps=3", "micro_batch_tokens=8"};
    static const int micros[] = {3, 6, 9, 0};
    float *first = NULL;

    for (int i = 0; i < 4; i++) {
        TinyRun r = {.folder = run_folder("cut"),
                     .keys = {"max_steps=3", "batch_size=13", "learning_rate=0.1",
                              "logging_steps=1", cuts[i], "resume=false"}};
        char name[20];
        size_t bytes;
        snprintf(name, sizeof name, "cut-%d", i);
        r.folder = run_folder(name);
        if (!CHECK_OK(tiny_run(&r)))
            return;
        CHECK(i == 3 ? r.micros > 18 : r.micros == micros[i]);
        float *weights = (float *)(void *)run_text(r.folder, "model/weights", &bytes);
        double worst = 0;
        for (size_t k = 0; first && k < bytes / sizeof(float); k++)
            worst = fmax(worst, fabs((double)weights[k] - (double)first[k]));
        if (!CHECK(worst < 2e-5))
            printf("  off by %.3g\n", worst);
        for (int line = 0; line < 3; line++)
            CHECK_NEAR(run_metric(r.folder, line, "train/loss"),
                       run_metric(run_folder("cut-0"), line, "train/loss"), 1e-6);
        if (first)
            free(weights);
        else
            first = weights;
        tiny_free(&r);
    }
    free(first);
}

static void batch_tokens_bound_an_update(void)
{
    TinyRun r = {.folder = run_folder("tokens"),
                 .keys = {"epochs=2", "batch_tokens=30", "micro_batch_tokens=1000"}};
    int64_t all = 0, fullest = 0;

    if (CHECK_OK(tiny_run(&r))) {
        for (int64_t i = 0; i < r.micros; i++) {
            CHECK(r.micro_rows[i] <= 30);
            all += r.micro_rows[i];
            fullest += r.micro_rows[i] > 30 - 8; // else the next sample would have fitted
        }
        CHECK(all == 2 * 180 && fullest >= r.micros - 2); // the last of an epoch may be small
        CHECK(run_result(r.results, "updates") == (double)r.micros);
    }
    tiny_free(&r);
}

static void micro_batch_tokens_bound_a_micro_batch(void)
{
    TinyRun r = {.folder = run_folder("micro"),
                 .keys = {"epochs=1", "batch_size=20", "micro_batch_tokens=6"}};

    if (CHECK_OK(tiny_run(&r)))
        for (int64_t i = 0; i < r.micros; i++)
            CHECK(r.micro_rows[i] <= 6 || r.micro_samples[i] == 1); // a longer one goes alone
    CHECK(run_result(r.results, "updates") == 2);
    tiny_free(&r);
}

static void runs_are_as_long_as_asked(void)
{
    static const struct {
        const char *key[2];
        double updates, fills;
    } cases[] = {{{"max_steps=1", "batch_size=8"}, 1, 8},
                 {{"max_steps=12", "batch_size=8"}, 12, 96},
                 {{"epochs=1", "batch_size=7"}, 6, 40},
                 {{"epochs=1.5", "batch_size=8"}, 8, 64}, // ceil(2.5) of 5
                 {{"epochs=0.05", "batch_size=8"}, 1, 8},
                 {{"epochs=2", "batch_size=1000"}, 2, 80}};

    for (int i = 0; i < 6; i++) {
        char name[20];
        snprintf(name, sizeof name, "long-%d", i);
        TinyRun r = {.folder = run_folder(name), .keys = {cases[i].key[0], cases[i].key[1]}};
        if (CHECK_OK(tiny_run(&r)))
            CHECK(run_result(r.results, "updates") == cases[i].updates &&
                  (double)r.fills == cases[i].fills);
        tiny_free(&r);
    }
}

/* Of 15 updates a tenth is 2 by transformers' Trainer and 1 by Google's run_squad. */
static void warmup_ratio_is_rounded_as_its_schedule_does(void)
{
    static const struct {
        const char *schedule;
        double rate; // of the second update: half way up; past the warm-up and its jump
    } cases[] = {{"lr_scheduler=linear", 0.5}, {"lr_scheduler=google", 14.0 / 15}};

    for (int i = 0; i < 2; i++) {
        char name[20];
        snprintf(name, sizeof name, "warmup-%d", i);
        TinyRun r = {.folder = run_folder(name),
                     .keys = {"max_steps=15", "warmup_ratio=0.1", "learning_rate=1",
                              "logging_steps=1", cases[i].schedule}};
        if (CHECK_OK(tiny_run(&r)))
            CHECK_NEAR(run_metric(r.folder, 1, "train/learning_rate"), cases[i].rate, 1e-12);
        tiny_free(&r);
    }
}

static void the_best_model_is_kept(void)
{
    static const double scores[] = {1, 3, 2, 3, 2.5};
    TinyRun r = {
        .folder = run_folder("best"), .keys = {"epochs=5", "batch_size=8"}, .scores = scores};
    TinyRun two = {.folder = run_folder("best-of-two"),
                   .keys = {"epochs=5", "batch_size=8", "early_stopping_patience=1"},
                   .scores = scores};

    if (CHECK_OK(tiny_run(&r)) && CHECK_OK(tiny_run(&two))) {
        CHECK(r.evaluations == 5 && r.models == 2 &&
              r.saved_score == 3); // an equal one is no better
        CHECK(run_result(r.results, "score") == 3 && run_result(r.results, "best_update") == 10);
        CHECK(run_result(r.results, "updates") == 25);
        CHECK(run_metric(r.folder, 4, "eval/score") == 2.5);
        CHECK(run_same_file(r.folder, two.folder, "model/weights"));
    }
    tiny_free(&r);
    tiny_free(&two);
}

static void stops_early(void)
{
    static const double scores[] = {1, 3, 2, 2.5, 9, 9, 9};
    TinyRun r = {.folder = run_folder("early"),
                 .keys = {"epochs=7", "batch_size=8", "early_stopping_patience=2"},
                 .scores = scores};
    TinyRun again = {
        .folder = r.folder,
        .keys = {"epochs=7", "batch_size=8", "early_stopping_patience=2", "resume=true"},
        .scores = scores};

    if (CHECK_OK(tiny_run(&r))) {
        CHECK(r.evaluations == 4 && run_result(r.results, "updates") == 20);
        CHECK(strstr(r.messages, "no better score for 2 evaluations: training stops"));
    }
    if (CHECK_OK(tiny_run(&again))) // it is over
        CHECK(again.fills == 0 && again.evaluations == 0);
    tiny_free(&r);
    tiny_free(&again);
}

static void evaluates_when_asked(void)
{
    static const double scores[] = {5, 1, 2, 3, 4};
    TinyRun r = {.folder = run_folder("when"),
                 .keys = {"max_steps=7", "batch_size=8", "eval_steps=3", "eval_on_start=true"},
                 .scores = scores};

    if (CHECK_OK(tiny_run(&r))) { // before, after 3, after 6, at the end
        CHECK(r.evaluations == 4 && r.saved_score == 3);
        CHECK(run_metric(r.folder, 0, "eval/score") == 5); // shown, but no model of this run
        CHECK(run_result(r.results, "score") == 3);
    }
    tiny_free(&r);
}

static void averages_are_over_the_lines_updates(void)
{
    TinyRun one = {.folder = run_folder("each"), .keys = {"max_steps=6", "logging_steps=1"}};
    TinyRun two = {.folder = run_folder("pairs"), .keys = {"max_steps=6", "logging_steps=2"}};

    if (CHECK_OK(tiny_run(&one)) && CHECK_OK(tiny_run(&two)))
        for (int i = 0; i < 3; i++)
            CHECK_NEAR(run_metric(two.folder, i, "train/loss"),
                       (run_metric(one.folder, 2 * i, "train/loss") +
                        run_metric(one.folder, 2 * i + 1, "train/loss")) /
                           2,
                       1e-12);
    tiny_free(&one);
    tiny_free(&two);
}

static void gives_up_where_no_gradient_is_finite(void)
{
    TinyRun r = {.folder = run_folder("bad"), .keys = {"max_steps=150"}, .bad = true};

    CHECK(tiny_run(&r) == E_DEVICE);
    CHECK(strstr(status_text(), "update 100: the gradient is not finite, for 100 updates now"));
    CHECK(strstr(status_text(), "detect_anomaly=true names the instruction"));
    CHECK(strstr(r.messages, "update 1: the gradient is not finite; the update is skipped"));
    tiny_free(&r);
}

/* The bias is not a number: the product that adds it is the first to make one. A healthy run is the
 * same with every number looked at. */
static void an_anomaly_is_named_where_it_begins(void)
{
    TinyRun bad = {.folder = run_folder("anomaly"),
                   .keys = {"max_steps=150", "detect_anomaly=true"},
                   .bad = true};
    TinyRun good = {.folder = run_folder("healthy"), .keys = {"max_steps=9", "batch_size=7"}};
    TinyRun seen = {.folder = run_folder("looked-at"),
                    .keys = {"max_steps=9", "batch_size=7", "detect_anomaly=true"}};

    CHECK(tiny_run(&bad) == E_DEVICE && bad.micros == 1);
    CHECK(strstr(status_text(), "update 1: instruction "));
    CHECK(strstr(status_text(), "(linear, forward): output 0 is not finite at row 0, column 0"));
    if (CHECK_OK(tiny_run(&good)) && CHECK_OK(tiny_run(&seen)))
        CHECK(run_same_file(good.folder, seen.folder, "model/weights"));
    tiny_free(&bad);
    tiny_free(&good);
    tiny_free(&seen);
}

/* The number behind `name` in a plan, in bytes; the plan rounds to a tenth of a MiB. */
static double planned(const char *plan, const char *name)
{
    const char *line = plan ? strstr(plan, name) : NULL;

    return CHECK(line) ? strtod(line + strlen(name), NULL) * 1048576 : 0;
}

/* Before a weight is read, whatever part of the memory is too much; and a dry run only says so. */
static void what_does_not_fit_is_refused(void)
{
    enum { SPARE = 200000 };
    TinyRun plan = {.keys = {"max_steps=1"}, .folder = "plan", .dry_run = true, .spare = SPARE};

    CHECK_OK(tiny_run(&plan));
    const double all = planned(plan.plan, "\n  all"), tenth = 0.1 * 1048576;
    const double activations = planned(plan.plan, "\n  activations and scratch");
    const double kept = all - activations;
    const size_t rooms[] = {(size_t)(kept / 2), (size_t)(kept + activations / 2),
                            (size_t)(all - tenth)};
    CHECK(kept > 2 * tenth && activations > 2 * tenth && plan.loaded);
    for (int i = 0; i < 3; i++) {
        TinyRun r = {.folder = run_folder("unfit"),
                     .keys = {"max_steps=1"},
                     .memory = rooms[i],
                     .spare = SPARE};
        TinyRun dry = r;
        dry.dry_run = true;
        CHECK(tiny_run(&r) == E_MEMORY && !r.loaded && r.fills == 0 && !file_exists(r.folder));
        CHECK(strstr(status_text(), "this recipe wants ") &&
              strstr(status_text(), "device cpu has"));
        CHECK(strstr(status_text(), i == 0 ? "take a smaller model"
                                           : "set micro_batch_tokens below 2048, or recompute"));
        if (CHECK_OK(tiny_run(&dry))) {
            CHECK(!dry.loaded && strstr(dry.messages, "note: this recipe wants "));
            CHECK_NEAR(planned(dry.plan, "available: it does not fit"), (double)rooms[i], 0.1);
            CHECK(planned(dry.plan, "\n  all") == all);
        }
        tiny_free(&r);
        tiny_free(&dry);
    }
    plan.memory = (size_t)(all + tenth);
    tiny_free(&plan);
    CHECK_OK(tiny_run(&plan));
    CHECK(plan.loaded && !strstr(plan.messages, "note: ") && !strstr(plan.plan, "not fit"));
    tiny_free(&plan);
}

static void threads_do_not_change_bits(void)
{
    TinyRun one = {.folder = run_folder("one"), .keys = {"epochs=1", "threads=1"}};
    TinyRun two = {.folder = run_folder("two"), .keys = {"epochs=1", "threads=2"}};

    if (CHECK_OK(tiny_run(&one)) && CHECK_OK(tiny_run(&two)))
        CHECK(run_same_file(one.folder, two.folder, "model/weights"));
    tiny_free(&one);
    tiny_free(&two);
}

int main(void)
{
    RUN(every_epoch_visits_every_sample_once_and_the_loss_falls);
    RUN(micro_batches_do_not_change_the_update);
    RUN(batch_tokens_bound_an_update);
    RUN(micro_batch_tokens_bound_a_micro_batch);
    RUN(runs_are_as_long_as_asked);
    RUN(warmup_ratio_is_rounded_as_its_schedule_does);
    RUN(the_best_model_is_kept);
    RUN(stops_early);
    RUN(evaluates_when_asked);
    RUN(averages_are_over_the_lines_updates);
    RUN(gives_up_where_no_gradient_is_finite);
    RUN(an_anomaly_is_named_where_it_begins);
    RUN(what_does_not_fit_is_refused);
    RUN(threads_do_not_change_bits);
    return test_result();
}
