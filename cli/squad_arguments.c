/* squad_arguments.c - model folders and files of questions for predict, eval and ask. */
#include "cli/squad_arguments.h"

#include "cli/download_bar.h"
#include "cli/signals.h"
#include "datasets/data_source.h"
#include "datasets/model_source.h"
#include "runtime/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the device differs from what was asked. */
static void say_notes(const char *folder, const SquadModel *m)
{
    if (m->device->note)
        fprintf(stderr, "note: %s\n", m->device->note);
    if (m->tf32_note)
        fprintf(stderr, "note: %s\n", m->tf32_note);
    if (m->note[0])
        fprintf(stderr, "%s: %s\n", folder, m->note);
}

static Status override_answers(const Arguments *a, SquadAnswerSettings *s)
{
    const int64_t best = arguments_int(a, "n-best-size", s->n_best_size);
    const int64_t length = arguments_int(a, "max-answer-length", s->max_answer_length);

    if (best < 1 || best > 1000)
        return fail(E_USAGE, "--n-best-size is %lld, expected 1 to 1000", (long long)best);
    if (length < 1 || length > 1 << 20)
        return fail(E_USAGE, "--max-answer-length is %lld, expected 1 to 1048576",
                    (long long)length);
    s->n_best_size = (int32_t)best;
    s->max_answer_length = (int32_t)length;
    s->version_2_with_negative |= arguments_flag(a, "version-2");
    s->null_score_diff_threshold =
        arguments_real(a, "null-score-diff-threshold", s->null_score_diff_threshold);
    return OK;
}

Status squad_arguments_data(const Arguments *a, Squad **out)
{
    const char *text = arguments_text(a, "data", NULL);
    DownloadBar bar;
    char *path = NULL;

    // Before signals are caught: who reads from a pipe may be waiting for it.
    if (file_exists(text) && !file_is_folder(text))
        return squad_read(text, out);
    download_bar_open(&bar);
    Status s = data_source_find(text, PART_VALIDATION, &bar.progress, &path);
    download_bar_close(&bar);
    if (!s)
        s = squad_read(path, out);
    free(path);
    return s;
}

static Status model_find(const char *model, ModelSource *out)
{
    DownloadBar bar;

    download_bar_open(&bar);
    const Status s = model_source_find(model, &bar.progress, out);
    download_bar_close(&bar);
    if (!s && strcmp(model, out->folder) != 0)
        fprintf(stderr, "model: %s\n", out->origin);
    return s;
}

static Status model_open(const char *model, SquadModelOptions o, SquadModel *m)
{
    ModelSource source = {0};
    Status s = model_find(model, &source);

    if (!s)
        s = squad_model_open(source.folder, o, m);
    if (!s)
        say_notes(source.folder, m);
    model_source_free(&source);
    return s;
}

Status squad_arguments_open(const Arguments *a, const char *model, bool answers, SquadModel *m)
{
    const int64_t threads = arguments_int(a, "threads", 0);
    SquadModelOptions o = {.device = arguments_text(a, "device", "auto"),
                           .threads = (int)threads,
                           .kernel = arguments_text(a, "kernel.attention", "auto")};
    Status s = arguments_dtype(a, "f32", &o.dtype, &o.tf32);

    if (!s && (threads < 0 || threads > 1024))
        s = fail(E_USAGE, "--threads is %lld, expected 0 to 1024", (long long)threads);
    if (!s)
        s = model_open(model, o, m);
    if (!s && answers)
        s = override_answers(a, &m->options.answers);
    return s;
}

Status squad_work_open(SquadModel *m, Squad *data, SquadWork *out)
{
    Progress *progress = NULL;

    *out = (SquadWork){.data = data};
    m->options.windows.training = false;
    Status s = squad_features_open(data, m->tokenizer, &m->options.windows, NULL, signals_flag(),
                                   &out->features);
    if (!s)
        s = progress_open(
            &progress, stderr,
            &(ProgressOptions){.label = "answering", .total = squad_features_count(out->features)});
    if (!s)
        s = squad_model_answer(m, data, out->features, progress, signals_flag(), &out->answers);
    progress_close(progress);
    return s;
}

void squad_work_close(SquadWork *w)
{
    squad_answers_free(w->answers);
    squad_features_close(w->features);
    squad_free(w->data);
    *w = (SquadWork){0};
}
