/* Tests train/loop_state.c: a run that was stopped or killed, then resumed, ends with the bits of
 * one that was not; what cannot be resumed says so. */
#include "tests/run_folder.h"
#include "tests/test.h"
#include "tests/tiny_task.h"

#include "runtime/checkpoint.h"
#include "runtime/file.h"
#include "train/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void set_keys(TinyRun *r, const char *const keys[])
{
    for (int i = 0; keys[i]; i++)
        r->keys[i] = keys[i];
}

static void add_key(TinyRun *r, const char *key)
{
    int i = 0;

    while (r->keys[i])
        i++;
    r->keys[i] = key;
}

static const char *const SETTINGS[][8] = {
    {"epochs=3", "batch_size=6", "save_steps=4", "logging_steps=5"},
    {"epochs=2.5", "batch_size=8", "gradient_accumulation_steps=3", "save_steps=1"},
    {"max_steps=20", "batch_tokens=40", "micro_batch_tokens=13", "dtype=bf16", "save_steps=3",
     "logging_steps=4"},
    {"epochs=2", "batch_size=5", "optimizer=bert_adam", "eval_steps=3", "save_steps=6",
     "warmup_ratio=0.2"},
};
enum { SETTING_COUNT = sizeof SETTINGS / sizeof *SETTINGS };
static const double RISING[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static void check_same_end(const TinyRun *want, const TinyRun *got)
{
    CHECK(run_same_file(want->folder, got->folder, "model/weights"));
    CHECK(run_same_file(want->folder, got->folder, "results.json"));
    run_check_metrics(want->folder, got->folder);
}

static void stop_and_resume(const TinyRun *whole, const char *const keys[], int64_t stop_at)
{
    TinyRun first = {.folder = run_folder("stopped"), .stop_at = stop_at, .scores = whole->scores};
    TinyRun second = {.folder = first.folder, .scores = whole->scores};

    set_keys(&first, keys);
    set_keys(&second, keys);
    add_key(&second, "resume=true");
    CHECK(tiny_run(&first) == E_STOPPED);
    CHECK(strstr(status_text(), "the state is saved") && strstr(status_text(), "resume=true"));
    CHECK(!first.results && first.fills < whole->fills);
    second.evaluations = first.evaluations;
    if (CHECK_OK(tiny_run(&second))) {
        CHECK(strstr(second.messages, "resumed from"));
        CHECK(first.fills + second.fills == whole->fills);
        check_same_end(whole, &second);
    }
    tiny_free(&first);
    tiny_free(&second);
    char command[900];
    snprintf(command, sizeof command, "rm -r '%s'", first.folder);
    CHECK(system(command) == 0);
}

/* Within an epoch, at its last sample, at the first of the next, near the end. */
static void a_stopped_run_ends_with_the_same_bits(void)
{
    static const int64_t stops[] = {3, 27, TINY_SAMPLES, TINY_SAMPLES + 1, 71};

    for (int i = 0; i < SETTING_COUNT; i++) {
        char name[20];
        snprintf(name, sizeof name, "whole-%d", i);
        TinyRun whole = {.folder = run_folder(name), .scores = i == 3 ? RISING : NULL};
        char kept[700];
        snprintf(kept, sizeof kept, "%s", whole.folder);
        whole.folder = kept;
        set_keys(&whole, SETTINGS[i]);
        if (CHECK_OK(tiny_run(&whole)))
            for (int k = 0; k < 5; k++)
                stop_and_resume(&whole, SETTINGS[i], stops[k]);
        tiny_free(&whole);
    }
}

/* The evaluation that a signal cut short is done when the run goes on, be it the first, one at the
 * end of an epoch or the last of all, or the one that ends the run early. */
static void a_stopped_evaluation_is_done_again(void)
{
    static const double scores[] = {4, 1, 2, 3, 2, 1, 0};
    static const char *const keys[] = {"epochs=5", "batch_size=9", "eval_on_start=true",
                                       "early_stopping_patience=2", NULL};

    for (int late = 0; late < 2; late++) // five epochs, or an early end after three
        for (int stop_in = 1; stop_in <= 4; stop_in++) {
            char name[2][30];
            snprintf(name[0], sizeof name[0], "evaluated-%d-%d", late, stop_in);
            snprintf(name[1], sizeof name[1], "unevaluated-%d-%d", late, stop_in);
            TinyRun whole = {.folder = run_folder(name[0]), .scores = scores + 2 * late};
            TinyRun first = {
                .folder = run_folder(name[1]), .scores = whole.scores, .stop_in = stop_in};
            TinyRun second = {.folder = first.folder, .scores = whole.scores};
            set_keys(&whole, keys);
            set_keys(&first, keys);
            set_keys(&second, keys);
            add_key(&second, "resume=true");
            CHECK_OK(tiny_run(&whole));
            CHECK(tiny_run(&first) == E_STOPPED && strstr(status_text(), "resume=true"));
            second.evaluations = first.evaluations;
            if (CHECK_OK(tiny_run(&second))) {
                CHECK(second.evaluations == whole.evaluations);
                CHECK(first.fills + second.fills == whole.fills);
                check_same_end(&whole, &second);
                for (int i = 0; i < 4; i++)
                    CHECK(run_metric(whole.folder, i, "eval/score") ==
                          run_metric(second.folder, i, "eval/score"));
            }
            tiny_free(&whole);
            tiny_free(&first);
            tiny_free(&second);
        }
}

static void a_killed_run_ends_with_the_same_bits(void)
{
    static const int64_t kills[] = {2, 26, TINY_SAMPLES, 66};

    for (int k = 0; k < 4; k++) {
        char name[2][20];
        snprintf(name[0], sizeof name[0], "unhurt-%d", k);
        snprintf(name[1], sizeof name[1], "killed-%d", k);
        TinyRun whole = {.folder = run_folder(name[0])};
        TinyRun first = {.folder = run_folder(name[1]), .kill_at = kills[k]};
        TinyRun second = {.folder = first.folder};
        set_keys(&whole, SETTINGS[k % 3]);
        set_keys(&first, SETTINGS[k % 3]);
        set_keys(&second, SETTINGS[k % 3]);
        add_key(&second, "resume=true");
        const int status = tiny_run_apart(&first);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        if (CHECK_OK(tiny_run(&whole)) && CHECK_OK(tiny_run(&second)))
            check_same_end(&whole, &second);
        CHECK(strstr(second.messages, k ? "resumed from" : "the run starts afresh"));
        CHECK(k == 0 || second.fills < whole.fills);
        tiny_free(&whole);
        tiny_free(&second);
    }
}

/* A checkpoint that was cut short is passed over for the one before it. */
static void a_torn_checkpoint_is_passed_over(void)
{
    static const char *const keys[] = {"epochs=2", "batch_size=8", "save_steps=2", NULL};
    TinyRun whole = {.folder = run_folder("untorn")};
    TinyRun first = {.folder = run_folder("torn"), .stop_at = 50};
    TinyRun second = {.folder = first.folder};
    char path[800];

    set_keys(&whole, keys);
    set_keys(&first, keys);
    set_keys(&second, keys);
    add_key(&second, "resume=true");
    CHECK_OK(tiny_run(&whole));
    CHECK(tiny_run(&first) == E_STOPPED);
    snprintf(path, sizeof path, "%s/checkpoints/step-7.h5", first.folder);
    FILE *f = fopen(path, "r+");
    if (CHECK(f)) {
        CHECK(fseek(f, 3000, SEEK_SET) == 0 && fwrite("torn", 4, 1, f) == 1);
        fclose(f);
        CHECK(truncate(path, 5000) == 0);
    }
    if (CHECK_OK(tiny_run(&second))) {
        CHECK(strstr(second.messages, "step-7.h5") && strstr(second.messages, "step-6.h5"));
        check_same_end(&whole, &second);
    }
    tiny_free(&whole);
    tiny_free(&first);
    tiny_free(&second);
}

/* Everything is as it was; only the folder's last state is read. */
static void a_finished_run_stays_as_it_is(void)
{
    TinyRun first = {
        .folder = run_folder("finished"), .keys = {"epochs=1", "batch_size=8"}, .scores = RISING};
    TinyRun second = {.folder = first.folder,
                      .keys = {"epochs=1", "batch_size=8", "resume=true"},
                      .scores = RISING};
    char results[400] = "";

    if (CHECK_OK(tiny_run(&first)))
        snprintf(results, sizeof results, "%s", first.results);
    if (CHECK_OK(tiny_run(&second))) {
        CHECK(second.fills == 0 && second.evaluations == 0 && second.models == 0);
        CHECK_TEXT(second.results, results);
    }
    tiny_free(&first);
    tiny_free(&second);
}

static void resume_in_an_empty_folder_starts_afresh(void)
{
    TinyRun r = {.folder = run_folder("afresh/below"), .keys = {"max_steps=3", "resume=true"}};

    if (CHECK_OK(tiny_run(&r))) {
        CHECK(strstr(r.messages, "afresh/below holds no checkpoint: the run starts afresh"));
        CHECK(run_result(r.results, "updates") == 3);
    }
    tiny_free(&r);
}

static void a_changed_key_names_both_values(void)
{
    static const struct {
        const char *key[3], *want;
    } changes[] = {{{"epochs=2", "batch_size=8", "learning_rate=0.5"}, "learning_rate"},
                   {{"epochs=3", "batch_size=8", "learning_rate=0.25"}, "epochs"},
                   {{"max_steps=9", "batch_size=8", "learning_rate=0.25"}, "epochs"},
                   {{"epochs=2", "batch_tokens=50", "learning_rate=0.25"}, "batch_size"},
                   {{"epochs=2", "batch_size=8", "dtype=bf16"}, "learning_rate"}};
    TinyRun first = {.folder = run_folder("changed"),
                     .keys = {"epochs=2", "batch_size=8", "learning_rate=0.25"},
                     .stop_at = 20};

    CHECK(tiny_run(&first) == E_STOPPED);
    for (int i = 0; i < 5; i++) {
        TinyRun second = {.folder = first.folder, .keys = {"resume=true"}};
        for (int k = 0; k < 3; k++)
            add_key(&second, changes[i].key[k]);
        CHECK(tiny_run(&second) == E_CONFIG && second.fills == 0);
        CHECK(strstr(status_text(), changes[i].want));
        CHECK(i != 0 || (strstr(status_text(), "0.5") && strstr(status_text(), "0.25")));
        tiny_free(&second);
    }
    TinyRun other = {.folder = first.folder, // these alter no bits
                     .keys = {"resume=true", "epochs=2", "batch_size=8", "learning_rate=0.25",
                              "logging_steps=1", "save_steps=2", "recompute=block", "threads=1"}};
    CHECK_OK(tiny_run(&other));
    tiny_free(&first);
    tiny_free(&other);
}

/* Writes a checkpoint anew with another text for one attribute; NULL: without it. */
static void alter(const char *path, const char *name, const char *text)
{
    Checkpoint *c = NULL;
    CheckpointWriter *w = NULL;
    Status s = checkpoint_open(path, &c);

    if (!s)
        s = checkpoint_create(path, &w);
    for (int i = 0; !s && i < checkpoint_attribute_count(c); i++) {
        const CheckpointAttribute *a = checkpoint_attribute_at(c, i);
        const bool here = !strcmp(a->name, name);
        if (a->kind == ATTRIBUTE_INT)
            s = checkpoint_put_int(w, a->name, a->number);
        else if (a->kind == ATTRIBUTE_REAL)
            s = checkpoint_put_real(w, a->name, a->real);
        else if (!here || text)
            s = checkpoint_put_text(w, a->name, here ? text : a->text);
    }
    for (int i = 0; !s && i < checkpoint_array_count(c); i++) {
        const StoredTensor *x = checkpoint_array_at(c, i);
        void *bytes = malloc(x->bytes + 1);
        s = checkpoint_get_array(c, x->name, x->dtype, x->ndim, x->dim, bytes);
        if (!s)
            s = checkpoint_put_array(w, x->name, x->dtype, x->ndim, x->dim, bytes);
        free(bytes);
    }
    checkpoint_close(c);
    CHECK_OK(s ? s : checkpoint_commit(w));
}

static char *attribute(const char *path, const char *name)
{
    Checkpoint *c = NULL;
    const char *text = NULL;
    char *copy = NULL;

    if (CHECK_OK(checkpoint_open(path, &c)) && CHECK_OK(checkpoint_get_text(c, name, &text)))
        copy = strdup(text);
    checkpoint_close(c);
    return copy;
}

/* Goes on after `alter`; returns what was said, freed by the caller. */
static char *said_after(const TinyRun *first, const char *name, const char *text)
{
    char path[900];
    TinyRun second = {.folder = first->folder, .keys = {"max_steps=2", "resume=true"}};

    snprintf(path, sizeof path, "%s/checkpoints/step-2.h5", first->folder);
    alter(path, name, text);
    CHECK_OK(tiny_run(&second));
    free(second.results);
    return second.messages;
}

/* Other libraries are told; a checkpoint of a version that recorded none, or that saved null for
 * what the optimizer decides, is gone on with. */
static void what_made_a_checkpoint_is_told(void)
{
    static const char changed[] = "with oneDNN 0.0.1, glibc 2.0; here is ";
    TinyRun first = {.folder = run_folder("origin"), .keys = {"max_steps=2"}};
    char path[900];

    CHECK_OK(tiny_run(&first));
    snprintf(path, sizeof path, "%s/checkpoints/step-2.h5", first.folder);
    char *libraries = attribute(path, "libraries"), *recipe = attribute(path, "recipe");
    CHECK(libraries && !strncmp(libraries, "oneDNN ", 7) && strstr(libraries, ", glibc "));
    char *same = said_after(&first, "libraries", libraries);
    CHECK(strstr(same, "resumed from") && !strstr(same, "the bits may differ"));
    char *other = said_after(&first, "libraries", "oneDNN 0.0.1, glibc 2.0");
    CHECK(strstr(other, changed) && strstr(other, "the bits may differ"));
    char *none = said_after(&first, "libraries", NULL);
    CHECK(strstr(none, "resumed from") && !strstr(none, "the bits may differ"));
    char *epsilon = recipe ? strstr(recipe, "\nadam_epsilon: 1e-8\n") : NULL;
    if (CHECK(epsilon)) {
        memcpy(epsilon + strlen("\nadam_epsilon: "), "null", 4);
        char *old = said_after(&first, "recipe", recipe);
        CHECK(strstr(old, "resumed from"));
        free(old);
    }
    free(same);
    free(other);
    free(none);
    free(libraries);
    free(recipe);
    tiny_free(&first);
}

static void another_runs_folder_is_refused(void)
{
    TinyRun first = {.folder = run_folder("owned"), .keys = {"max_steps=2"}};
    TinyRun second = {.folder = first.folder, .keys = {"max_steps=2"}};
    size_t bytes;

    CHECK_OK(tiny_run(&first));
    char *before = run_text(first.folder, "metrics.jsonl", &bytes);
    CHECK(tiny_run(&second) == E_CONFIG && second.fills == 0);
    CHECK(strstr(status_text(), "owned holds another run; resume=true goes on with it"));
    char *after = run_text(first.folder, "metrics.jsonl", &bytes);
    CHECK(before && after && !strcmp(before, after));
    free(before);
    free(after);
    tiny_free(&first);
    tiny_free(&second);
}

/* Its checkpoints gone, a finished run is not trained over; a killed one that had none may be. */
static void a_model_without_checkpoints_is_kept(void)
{
    TinyRun first = {.folder = run_folder("bare"), .keys = {"max_steps=2"}};
    TinyRun second = {.folder = first.folder, .keys = {"max_steps=2", "seed=7", "resume=true"}};
    TinyRun third = {.folder = first.folder, .keys = {"max_steps=2", "resume=true"}};
    char command[900];
    size_t bytes;

    CHECK_OK(tiny_run(&first));
    char *before = run_text(first.folder, "model/weights", &bytes);
    snprintf(command, sizeof command, "rm -r '%s/checkpoints'", first.folder);
    CHECK(system(command) == 0);
    for (int i = 0; i < 2; i++) {
        size_t now = 0;
        CHECK(tiny_run(&second) == E_CONFIG && second.fills == 0);
        CHECK(
            strstr(status_text(), i ? "bare/model is there, but no checkpoint of its run"
                                    : "bare/results.json is there, but no checkpoint of its run"));
        char *after = run_text(first.folder, "model/weights", &now);
        CHECK(before && after && now == bytes && !memcmp(before, after, bytes));
        free(after);
        tiny_free(&second);
        snprintf(command, sizeof command, "rm '%s/results.json'", first.folder);
        CHECK(i == 1 || system(command) == 0);
    }
    snprintf(command, sizeof command, "rm -r '%s/model'", first.folder);
    CHECK(system(command) == 0);
    CHECK_OK(tiny_run(&third));
    free(before);
    tiny_free(&first);
    tiny_free(&third);
}

static void old_checkpoints_go(void)
{
    TinyRun r = {.folder = run_folder("limit"),
                 .keys = {"max_steps=9", "save_steps=2", "save_total_limit=3"}};

    if (CHECK_OK(tiny_run(&r))) {
        CHECK(run_files(r.folder, "checkpoints") == 3); // 6, 8 and the end
        CHECK(run_same_file(r.folder, r.folder, "checkpoints/step-6.h5"));
        CHECK(run_same_file(r.folder, r.folder, "checkpoints/step-9.h5"));
    }
    tiny_free(&r);
}

/* What a killed process was writing goes; what one that lives is writing stays. */
static void orphans_are_swept(void)
{
    TinyRun r = {.folder = run_folder("orphans"), .keys = {"max_steps=1", "resume=true"}};
    char path[3][900];
    const long living = (long)getppid();

    CHECK_OK(file_make_folder(run_folder("orphans/model")));
    snprintf(path[0], 900, "%s/results.json.part-99999999", r.folder);
    snprintf(path[1], 900, "%s/model/weights.part-99999999", r.folder);
    snprintf(path[2], 900, "%s/model/weights.part-%ld", r.folder, living);
    for (int i = 0; i < 3; i++) {
        FILE *f = fopen(path[i], "w");
        if (CHECK(f))
            fclose(f);
    }
    CHECK_OK(tiny_run(&r));
    CHECK(!file_exists(path[0]) && !file_exists(path[1]) && file_exists(path[2]));
    tiny_free(&r);
}

int main(int argc, char *argv[])
{
    int code = 0;

    if (tiny_main(argc, argv, &code))
        return code;
    RUN(a_stopped_run_ends_with_the_same_bits);
    RUN(a_stopped_evaluation_is_done_again);
    RUN(a_killed_run_ends_with_the_same_bits);
    RUN(a_torn_checkpoint_is_passed_over);
    RUN(a_finished_run_stays_as_it_is);
    RUN(resume_in_an_empty_folder_starts_afresh);
    RUN(a_changed_key_names_both_values);
    RUN(what_made_a_checkpoint_is_told);
    RUN(another_runs_folder_is_refused);
    RUN(a_model_without_checkpoints_is_kept);
    RUN(old_checkpoints_go);
    RUN(orphans_are_swept);
    return test_result();
}
