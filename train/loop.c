/* loop.c - runs updates, evaluates, saves, stops. */
#include "train/loop_parts.h"

#include "runtime/file.h"
#include "runtime/philox.h"
#include "runtime/shell_word.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum { SAVE_SECONDS = 300, MOST_SKIPPED = 100 };

BatchBuffers *trainer_batches(const Trainer *t)
{
    return t->batches;
}

Graphs *trainer_graphs(const Trainer *t)
{
    return t->graphs;
}

static Status run_micro(Trainer *t, int64_t first, int64_t last, bool later)
{
    HostBatch *h = NULL;
    Graph *g = NULL;
    BatchShape bucket;
    Status s = batch_next(t->batches, &h);

    for (int64_t k = first; k < last && !s; k++) {
        const int32_t sample = t->cut.sample[k];
        const int64_t row = batch_append(h, t->task->rows(t->task->state, sample), k);
        s = t->task->fill(t->task->state, sample, h, row);
    }
    if (!s)
        s = graphs_get(t->graphs, later ? t->later_kind : t->first_kind, h->used, &g, &bucket);
    if (!s)
        s = batch_upload(t->batches, h, bucket, t->stream);
    return s ? s : graph_run(g, t->stream);
}

static Status upload_step(Trainer *t)
{
    const double rate = schedule_rate(&t->schedule, t->at.update);
    const float scalars[STEP_SCALARS] = {
        [STEP_LEARNING_RATE] = (float)rate,
        [STEP_TARGET_WEIGHT] = t->cut.targets > 0 ? (float)(1.0 / (double)t->cut.targets) : 0};
    const int32_t integers[STEP_INTEGERS] = {
        [STEP_SEED] = (int32_t)philox_seed(t->seed), [STEP_UPDATE] = (int32_t)t->at.update};

    return batch_upload_step(t->batches, scalars, integers, t->stream);
}

/* Sends loss and training scalars on their way to the host. */
static Status send_results(Trainer *t)
{
    const DeviceTable *d = t->device->table;
    const int i = (int)(t->at.update % RESULT_SLOTS);
    Status s = d->copy(t->device, t->stream, t->slot[i], t->results.data, sizeof(float), TO_HOST);

    if (!s)
        s = d->copy(t->device, t->stream, t->slot[i] + 1, optimizer_state(t->optimizer).scalars,
                    TRAINING_SCALARS * sizeof(float), TO_HOST);
    if (!s)
        s = d->event_record(t->device, t->event[i], t->stream);
    t->slot_update[i] = t->at.update;
    return s;
}

/* Takes in the results of every update before `before` that are still on their way. */
static Status collect_results(Trainer *t, int64_t before)
{
    Status s = OK;

    for (int64_t u = before - RESULT_SLOTS; u < before && !s; u++) {
        const int i = (int)(u < 0 ? 0 : u % RESULT_SLOTS);
        if (u < 0 || t->slot_update[i] != u)
            continue;
        s = t->device->table->event_synchronise(t->device, t->event[i]);
        t->slot_update[i] = -1;
        const double loss = (double)t->slot[i][0];
        const double norm = (double)t->slot[i][1 + TRAINING_GRADIENT_NORM];
        t->skipped = isfinite(norm) ? 0 : t->skipped + 1;
        if (!s && t->skipped >= MOST_SKIPPED)
            s = fail(E_DEVICE,
                     "update %" PRId64 ": the gradient is not finite, for %d updates now; a lower "
                     "learning_rate may help, and detect_anomaly=true names the instruction at "
                     "which it begins",
                     u + 1, MOST_SKIPPED);
        if (!s)
            s = report_update(t, u, loss, norm, schedule_rate(&t->schedule, u));
    }
    return s;
}

static Status run_update(Trainer *t)
{
    int64_t first = 0;

    cut_next(t);
    Status s = upload_step(t);
    for (int64_t i = 0; i < t->cut.micros && !s; i++) {
        s = run_micro(t, first, t->cut.last[i], i > 0);
        first = t->cut.last[i];
    }
    if (!s)
        s = graph_run(t->update, t->stream);
    if (s && t->detect_anomaly)
        return fail_within(s, "update %" PRId64, t->at.update + 1);
    if (!s)
        s = send_results(t);
    t->at.tokens += t->cut.rows;
    t->at.epoch = t->cut.epoch;
    t->at.index = t->cut.index;
    t->at.update++;
    /* On the CPU the results are there already, and their line is timed by their own update. */
    const int64_t late = t->device->kind == DEVICE_CPU ? 0 : 1;
    return s ? s : collect_results(t, t->at.update - late);
}

/* Everything that the host waits for the device for starts here. */
static Status settle(Trainer *t)
{
    Status s = collect_results(t, t->at.update);

    return s ? s : t->device->table->synchronise(t->device, t->stream);
}

static Status save_model(Trainer *t, const TaskScores *scores)
{
    char *folder = file_path(t->output_dir, "model");
    Status s = folder ? file_make_folder(folder) : fail(E_MEMORY, "no memory for a path");

    if (!s)
        s = t->task->save_model(t->task->state, folder, scores);
    free(folder);
    return s;
}

static Status evaluate(Trainer *t)
{
    TaskScores scores = {0};
    Status s = settle(t);

    if (!s && t->progress)
        progress_suspend(t->progress);
    if (!s)
        s = t->task->evaluate(t->task->state, &scores);
    if (!s)
        s = report_scores(t, &scores);
    if (!s)
        t->at.evaluated = t->at.update;
    if (s || t->at.update == 0) // the untrained model is only shown
        return s;
    const bool better = t->at.best_update < 0 || scores.metric[0].value > t->at.best;
    t->at.waited = better ? 0 : t->at.waited + 1;
    if (!better)
        return OK;
    t->at.best = scores.metric[0].value;
    t->at.best_update = t->at.update;
    t->scores = scores;
    return save_model(t, &scores);
}

static bool evaluation_is_due(const Trainer *t)
{
    if (!t->task->evaluate)
        return false;
    if (t->at.update == t->updates)
        return true;
    return t->eval_steps ? t->at.update % t->eval_steps == 0 : t->at.index == t->task->samples;
}

static Status save_state(Trainer *t)
{
    Status s = settle(t);

    if (!s)
        s = state_save(t);
    t->last_save = loop_seconds();
    return s;
}

static bool save_is_due(const Trainer *t)
{
    if (t->at.update == t->updates)
        return false; // the end saves
    return t->save_steps ? t->at.update % t->save_steps == 0
                         : loop_seconds() - t->last_save >= SAVE_SECONDS;
}

static Status stop_for_signal(Trainer *t)
{
    char *recipe = file_path(t->output_dir, "recipe.yaml");
    char *word = recipe ? shell_word(recipe) : NULL;
    Status s = save_state(t);

    if (!s)
        s = fail(E_STOPPED,
                 "stopped by a signal after update %" PRId64 " of %" PRId64
                 "; the state is saved, and this goes on: cairn train %s resume=true",
                 t->at.update, t->updates, word ? word : "(its recipe.yaml)");
    free(word);
    free(recipe);
    return s;
}

static Status evaluate_in_turn(Trainer *t)
{
    Status s = evaluate(t);

    if (!s && t->patience && t->at.waited >= t->patience) {
        report_note(t, "no better score for %" PRId64 " evaluations: training stops", t->at.waited);
        t->at.finished = true;
    }
    return s;
}

/* E_STOPPED where a signal has come; trainer_run() tells what to do. */
static Status run_updates(Trainer *t)
{
    /* A signal may have cut short the evaluation after the last update. */
    Status s = t->at.evaluated < t->at.update && !t->at.finished && evaluation_is_due(t)
                   ? evaluate_in_turn(t)
                   : OK;

    while (!s && t->at.update < t->updates && !t->at.finished) {
        if (t->hooks.stop && *t->hooks.stop)
            return E_STOPPED;
        s = run_update(t);
        if (!s && evaluation_is_due(t))
            s = evaluate_in_turn(t);
        if (!s && !t->at.finished && save_is_due(t))
            s = save_state(t);
    }
    return s;
}

Status trainer_run(Trainer *t, char **results)
{
    Status s = state_open(t);

    if (!s)
        s = report_open(t);
    t->start_update = t->at.update;
    t->last_save = loop_seconds();
    if (!s && t->task->evaluate && t->at.update == 0 && config_bool(t->config, "eval_on_start"))
        s = evaluate(t);
    if (!s)
        s = run_updates(t);
    if (s == E_STOPPED)
        return stop_for_signal(t);
    if (!s)
        s = settle(t);
    t->at.finished = true;
    if (!s && t->at.best_update < 0)
        s = save_model(t, NULL);
    if (!s)
        s = save_state(t);
    return s ? s : report_results(t, results);
}
