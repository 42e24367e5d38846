/* tiny_task.c - the task, its model, and a process of its own for it. */
#include "tests/tiny_task.h"

#include "kernels/ops.h"
#include "runtime/file.h"
#include "train/loop.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TOKENS = 24, WIDTH = 16, LONGEST = 8, IDS = 0, TARGETS = 1 };

static const KeyTable tables[] = {{"Training", loop_keys}, {NULL, NULL}};
static const BatchField fields[] = {{"ids", true, 1}, {"targets", true, 1}, {0}};

typedef struct Tiny {
    TinyRun *run;
    Params *params;
    Tensor *table, *weight, *bias;
    uint64_t seed;
    volatile sig_atomic_t stop;
} Tiny;

static int64_t rows(const void *state, int64_t sample)
{
    (void)state;
    return 1 + sample * 5 % LONGEST;
}

static Status fill(void *state, int64_t sample, HostBatch *h, int64_t row)
{
    Tiny *t = state;
    TinyRun *r = t->run;

    if (row == 0 && r->micros < TINY_MICROS)
        r->micro_rows[r->micros] = r->micro_samples[r->micros] = 0, r->micros++;
    if (r->micros > 0) {
        r->micro_rows[r->micros - 1] += rows(t, sample);
        r->micro_samples[r->micros - 1]++;
    }
    if (r->fills < TINY_FILLS)
        r->sample[r->fills] = (int32_t)sample;
    r->fills++;
    if (r->fills == r->stop_at)
        t->stop = SIGTERM;
    if (r->fills == r->kill_at)
        raise(SIGKILL);
    for (int64_t i = 0; i < rows(t, sample); i++) {
        const int32_t id = (int32_t)((sample * 7 + i * 11) % TOKENS);
        h->field[IDS][row + i] = id;
        h->field[TARGETS][row + i] = (3 * id + 1) % TOKENS;
    }
    return OK;
}

static Tensor *loss(void *state, Graph *g, const BatchTensors *in)
{
    Tiny *t = state;
    Tensor *x = op_embedding(g, &in->rows, t->table->dtype, in->field[IDS], t->table, NULL, NULL,
                             NULL, NULL);

    x = op_dropout(g, x, &in->rows, in->step, 0.2f);
    x = op_linear(g, x, t->weight, t->bias, ACTIVATION_NONE);
    return op_cross_entropy(g, x, in->field[TARGETS], &in->rows, in->scalars,
                            (CrossEntropyArgs){0});
}

static Status load(void *state)
{
    Tiny *t = state;
    float *bias = calloc(TOKENS, sizeof *bias);
    Status s = bias ? params_initialise(t->params, t->seed) : fail(E_MEMORY, "no memory");

    t->run->loaded = true;

    if (!s && t->run->bad) {
        bias[0] = NAN;
        s = params_write(t->params, 2, bias);
    }
    free(bias);
    return s;
}

static Status evaluate(void *state, TaskScores *out)
{
    Tiny *t = state;
    TinyRun *r = t->run;

    if (r->stop_in == r->evaluations + 1) {
        t->stop = SIGINT;
        return fail(E_STOPPED, "stopped");
    }
    out->metric[0] = (Metric){"score", r->scores[r->evaluations++]};
    out->count = 1;
    return OK;
}

static Status save(void *state, const char *folder, const TaskScores *scores)
{
    Tiny *t = state;
    char *path = file_path(folder, "weights");
    FileWriter w;
    Status s = path ? file_open(&w, path) : fail(E_MEMORY, "no memory");

    for (int i = 0; i < params_count(t->params) && !s; i++) {
        const Tensor *x = params_master(t->params, i);
        float values[TOKENS * WIDTH];
        s = params_read(t->params, i, values);
        fwrite(values, sizeof(float), (size_t)tensor_size(x), w.stream);
    }
    if (!s)
        s = file_commit(&w);
    t->run->models++;
    t->run->saved_score = scores ? scores->metric[0].value : (double)NAN;
    free(path);
    return s;
}

static Status configure(const TinyRun *r, Config **out)
{
    char folder[600];
    const char *words[TINY_KEYS + 2] = {folder};
    int count = 1;

    snprintf(folder, sizeof folder, "output_dir=%s", r->folder);
    for (int i = 0; r->keys[i]; i++)
        words[count++] = r->keys[i];
    Status s = config_create(out, tables);
    if (!s)
        s = config_override(*out, count, words);
    if (!s)
        s = config_check(*out);
    return s ? s : loop_resolve(*out);
}

static Status print_plan(TinyRun *r, const Trainer *trainer)
{
    size_t bytes = 0;
    FILE *f = open_memstream(&r->plan, &bytes);

    if (!f)
        return fail(E_MEMORY, "no memory");
    trainer_print_plan(trainer, f);
    fclose(f);
    return OK;
}

static Status run_on(TinyRun *r, Device *d, const Config *c, FILE *messages)
{
    const Dtype dtype = (Dtype)config_choice(c, "dtype");
    Tiny t = {.run = r, .params = params_new(d, dtype), .seed = (uint64_t)config_int(c, "seed")};
    const Task task = {.name = "tiny",
                       .state = &t,
                       .fields = fields,
                       .samples = TINY_SAMPLES,
                       .longest = LONGEST,
                       .rows = rows,
                       .targets = rows,
                       .fill = fill,
                       .loss = loss,
                       .load = load,
                       .evaluate = r->scores ? evaluate : NULL,
                       .save_model = save};
    const TrainerHooks hooks = {
        .messages = messages, .stop = &t.stop, .tables = tables, .dry_run = r->dry_run};
    Trainer *trainer = NULL;

    t.table = params_add(t.params, NORMAL(0.5f), DIMS(TOKENS + r->spare, WIDTH), "table.weight");
    t.weight = params_add(t.params, NORMAL(0.5f), DIMS(TOKENS, WIDTH), "linear.weight");
    t.bias = params_add(t.params, ZEROS, DIMS(TOKENS), "linear.bias");
    Status s = params_status(t.params);
    if (!s)
        s = trainer_open(d, t.params, &task, c, hooks, &trainer);
    if (!s)
        s = r->dry_run ? print_plan(r, trainer) : trainer_run(trainer, &r->results);
    trainer_close(trainer);
    params_free(t.params);
    return s;
}

static size_t pretended;

static Status pretend(Device *d, size_t *available)
{
    (void)d;
    *available = pretended;
    return OK;
}

Status tiny_run(TinyRun *r)
{
    DeviceTable table;
    size_t room = 0;
    Device *d = NULL;
    Config *c = NULL;
    FILE *messages = open_memstream(&r->messages, &room);
    Status s = messages ? configure(r, &c) : fail(E_MEMORY, "no memory");

    r->saved_score = (double)NAN;
    if (!s)
        s = device_open("cpu", (int)config_int(c, "threads"), &d);
    if (!s && r->memory) {
        table = *d->table;
        table.memory = pretend;
        d->table = &table;
        pretended = r->memory;
    }
    if (!s)
        s = run_on(r, d, c, messages);
    device_close(d);
    config_free(c);
    if (messages)
        fclose(messages);
    return s;
}

void tiny_free(TinyRun *r)
{
    free(r->messages);
    free(r->results);
    free(r->plan);
}

int tiny_run_apart(const TinyRun *r)
{
    char kill_at[24];
    char *argv[TINY_KEYS + 5] = {"tiny", "tiny-run", kill_at, (char *)(uintptr_t)r->folder};
    int status = -1;

    snprintf(kill_at, sizeof kill_at, "%lld", (long long)r->kill_at);
    for (int i = 0; r->keys[i]; i++)
        argv[4 + i] = (char *)(uintptr_t)r->keys[i];
    const pid_t child = fork();
    if (child == 0) {
        execv("/proc/self/exe", argv);
        _exit(127);
    }
    if (child > 0)
        waitpid(child, &status, 0);
    return status;
}

bool tiny_main(int argc, char *argv[], int *code)
{
    TinyRun *r = argc >= 4 && !strcmp(argv[1], "tiny-run") ? calloc(1, sizeof *r) : NULL;

    if (!r)
        return false;
    r->kill_at = atoll(argv[2]);
    r->folder = argv[3];
    for (int i = 4; i < argc && i - 4 < TINY_KEYS - 1; i++)
        r->keys[i - 4] = argv[i];
    *code = tiny_run(r) ? 1 : 0;
    tiny_free(r);
    free(r);
    return true;
}
