/* loop_report.c - what a run says: progress on a stream, metrics.jsonl, TensorBoard events,
 * results.json, and the plan in words. */
#include "train/loop_parts.h"

#include "runtime/file.h"
#include "runtime/memory.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double loop_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void report_note(Trainer *t, const char *format, ...)
{
    char text[1024];
    va_list args;

    if (!t->hooks.messages)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (t->progress)
        progress_note(t->progress, "%s", text);
    else
        fprintf(t->hooks.messages, "%s\n", text);
}

Status report_open(Trainer *t)
{
    const int64_t resumed = t->at.update > 0 ? t->at.update : -1;
    char *path = file_path(t->output_dir, "metrics.jsonl");
    Status s =
        path ? metrics_open(&t->metrics, path, resumed) : fail(E_MEMORY, "no memory for a path");

    free(path);
    if (!s)
        s = tensorboard_open(&t->tensorboard, t->output_dir, metrics_time(), resumed);
    t->reported = t->at.update;
    t->reported_time = loop_seconds();
    t->reported_tokens = t->at.tokens;
    return s ? s
             : progress_open(&t->progress, t->hooks.messages,
                             &(ProgressOptions){.label = "train",
                                                .start = t->at.update,
                                                .total = t->updates,
                                                .form = t->hooks.form,
                                                .line_every = t->logging_steps});
}

void report_close(Trainer *t)
{
    progress_close(t->progress);
    metrics_close(t->metrics);
    tensorboard_close(t->tensorboard);
    t->progress = NULL;
    t->metrics = NULL;
    t->tensorboard = NULL;
}

static Status write_metrics(Trainer *t, int64_t step, const Metric values[], int count)
{
    const double time = metrics_time();
    Status s = metrics_write(t->metrics, step, time, values, count);

    return s ? s : tensorboard_write(t->tensorboard, step, time, values, count);
}

static Status report_line(Trainer *t, int64_t step, double norm, double rate)
{
    const double time = loop_seconds(), passed = fmax(time - t->reported_time, 1e-9);
    const Metric values[] = {
        {"train/loss", t->at.loss_sum / (double)t->at.loss_count},
        {"train/learning_rate", rate},
        {"train/grad_norm", norm},
        {"train/epoch", (double)step / (double)t->per_epoch},
        {"train/tokens_per_second", (double)(t->at.tokens - t->reported_tokens) / passed},
        {"train/memory_bytes", (double)memory_resident()},
    };

    t->reported = step;
    t->reported_time = time;
    t->reported_tokens = t->at.tokens;
    t->at.loss_sum = 0;
    t->at.loss_count = 0;
    return write_metrics(t, step, values, sizeof values / sizeof *values);
}

Status report_update(Trainer *t, int64_t update, double loss, double norm, double rate)
{
    const int64_t step = update + 1;

    t->at.loss_sum += loss;
    t->at.loss_count++;
    if (!isfinite(norm))
        report_note(t, "update %" PRId64 ": the gradient is not finite; the update is skipped%s",
                    step, trainer_dtype(t->config) == F16 ? "" : " (detect_anomaly=true says why)");
    progress_set(t->progress, step,
                 &(ProgressFacts){.loss = t->at.loss_sum / (double)t->at.loss_count,
                                  .learning_rate = rate,
                                  .tokens = t->at.tokens,
                                  .memory = (double)memory_resident()});
    if (step % t->logging_steps == 0 || step == t->updates)
        return report_line(t, step, norm, rate);
    return OK;
}

Status report_scores(Trainer *t, const TaskScores *scores)
{
    char text[512];
    size_t n = 0;

    for (int i = 0; i < scores->count && i < 3 && n < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s %s %.3f", i ? "," : "",
                              scores->metric[i].name, scores->metric[i].value);
    report_note(t, "evaluation after update %" PRId64 ":%s", t->at.update, n ? text : "");
    Metric named[TASK_METRICS];
    char names[TASK_METRICS][64];
    for (int i = 0; i < scores->count; i++) {
        snprintf(names[i], sizeof names[i], "eval/%s", scores->metric[i].name);
        named[i] = (Metric){names[i], scores->metric[i].value};
    }
    return write_metrics(t, t->at.update, named, scores->count);
}

Status report_results(Trainer *t, char **results)
{
    json_t *o = json_object();

    for (int i = 0; i < t->scores.count; i++)
        json_object_set_new(o, t->scores.metric[i].name, json_real(t->scores.metric[i].value));
    json_object_set_new(o, "updates", json_integer(t->at.update));
    if (t->at.best_update >= 0)
        json_object_set_new(o, "best_update", json_integer(t->at.best_update));
    json_object_set_new(o, "train_tokens", json_integer(t->at.tokens));
    char *text = json_dumps(o, JSON_REAL_PRECISION(12));
    char *path = file_path(t->output_dir, "results.json");
    Status s = text && path ? file_write(path, text, strlen(text))
                            : fail(E_MEMORY, "no memory for results.json");

    json_decref(o);
    free(path);
    if (s)
        free(text);
    else
        *results = text;
    return s;
}

static void print_bytes(FILE *f, const char *name, size_t bytes)
{
    fprintf(f, "  %-34s %10.1f MiB\n", name, (double)bytes / 1048576);
}

void trainer_print_plan(const Trainer *t, FILE *f)
{
    const size_t parameters = params_bytes(t->params), gradients = params_gradient_bytes(t->params);
    const size_t moments = optimizer_bytes(t->optimizer), activations = t->activations;
    const size_t model = (size_t)params_total(t->params) * sizeof(float);
    const size_t checkpoint = model + moments;
    const int64_t kept = config_int(t->config, "save_total_limit");

    fprintf(f, "%s: %" PRId64 " samples, %" PRId64 " updates, %" PRId64 " an epoch\n",
            t->task->name, t->task->samples, t->updates, t->per_epoch);
    fprintf(f, "parameters: %" PRId64 "\n", params_total(t->params));
    fprintf(f,
            "largest micro-batch: %" PRId64 " rows, %" PRId64 " sequences, longest %" PRId64 "\n",
            t->largest.rows, t->largest.sequences, t->largest.longest);
    fprintf(f, "memory on device %s:\n", t->device->name);
    print_bytes(f, "parameters", parameters);
    print_bytes(f, "gradients", gradients);
    print_bytes(f, "optimizer state", moments);
    print_bytes(f, "batches and results",
                t->planned - parameters - gradients - moments - activations);
    print_bytes(f, "activations and scratch", activations);
    print_bytes(f, "all", t->planned);
    if (t->room < SIZE_MAX)
        print_bytes(f, t->planned <= t->room ? "available" : "available: it does not fit", t->room);
    fprintf(f, "disk in %s:\n", t->output_dir);
    print_bytes(f, "model", model);
    print_bytes(f, "checkpoints", (size_t)(kept + 1) * checkpoint);
}
