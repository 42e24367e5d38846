/* loop_open.c - from a configuration to a trainer that is ready to run: settings, parameters, arenas,
 * graphs. */
#include "train/loop_parts.h"

#include "kernels/ops.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t int_or(const Config *c, const char *key, int64_t otherwise)
{
    return config_is_set(c, key) ? config_int(c, key) : otherwise;
}

static Status read_settings(Trainer *t)
{
    const Config *c = t->config;

    t->batch_size = int_or(c, "batch_size", 0);
    t->batch_tokens = int_or(c, "batch_tokens", 0);
    t->micro_rows = config_int(c, "micro_batch_tokens");
    t->accumulation = config_int(c, "gradient_accumulation_steps");
    t->epochs = config_is_set(c, "epochs") ? config_real(c, "epochs") : 0;
    t->updates = int_or(c, "max_steps", 0);
    t->eval_steps = int_or(c, "eval_steps", 0);
    t->save_steps = int_or(c, "save_steps", 0);
    t->logging_steps = config_int(c, "logging_steps");
    t->patience = int_or(c, "early_stopping_patience", 0);
    t->seed = (uint64_t)config_int(c, "seed");
    t->shuffle = config_bool(c, "shuffle");
    t->recompute = (Recompute)config_choice(c, "recompute");
    t->detect_anomaly = config_bool(c, "detect_anomaly");
    t->at.best_update = -1;
    t->output_dir = strdup(config_text(c, "output_dir"));
    return t->output_dir ? OK : fail(E_MEMORY, "no memory for a trainer");
}

/* A part of an update counts as whole in transformers' Trainer, and not at all in run_squad. */
static int64_t warmup_of(const Config *c, ScheduleKind kind, int64_t updates)
{
    const double ratio = config_is_set(c, "warmup_ratio") ? config_real(c, "warmup_ratio") : 0;
    const double exact = ratio * (double)updates;

    return int_or(c, "warmup_steps",
                  (int64_t)(kind == SCHEDULE_GOOGLE ? floor(exact) : ceil(exact)));
}

static void read_schedule(Trainer *t)
{
    const Config *c = t->config;
    const ScheduleKind kind = (ScheduleKind)config_choice(c, "lr_scheduler");

    t->schedule = (Schedule){.kind = kind,
                             .learning_rate = config_real(c, "learning_rate"),
                             .updates = t->updates,
                             .warmup = warmup_of(c, kind, t->updates),
                             .least_ratio = config_real(c, "min_lr_ratio"),
                             .decay_share = config_real(c, "decay_ratio")};
}

static OptimizerOptions read_optimizer(const Config *c)
{
    return (OptimizerOptions){.beta1 = (float)config_real(c, "adam_beta1"),
                              .beta2 = (float)config_real(c, "adam_beta2"),
                              .epsilon = (float)config_real(c, "adam_epsilon"),
                              .weight_decay = (float)config_real(c, "weight_decay"),
                              .bias_correction = config_bool(c, "bias_correction"),
                              .max_grad_norm = (float)config_real(c, "max_grad_norm"),
                              .loss_scaling = trainer_dtype(c) == F16};
}

static void exclude_from_decay(Trainer *t)
{
    const int rule = config_choice(t->config, "weight_decay_exclude");

    for (int i = 0; i < params_count(t->params); i++) {
        const char *name = params_name(t->params, i), *end = strrchr(name, '.');
        const bool bias = end && !strcmp(end, ".bias");
        const bool norm =
            strstr(name, "LayerNorm") || strstr(name, "layer_norm") || strstr(name, "norm.");
        const bool excluded = rule == 0   ? bias || norm
                              : rule == 1 ? params_master(t->params, i)->ndim == 1
                                          : false;
        params_set_decay(t->params, i, !excluded);
    }
}

/* In the order of the key's choices. */
enum { CHOICE_TF32 = F16 + 1 };

Dtype trainer_dtype(const Config *c)
{
    const int choice = config_choice(c, "dtype");

    return choice == CHOICE_TF32 ? F32 : (Dtype)choice;
}

static void say(TrainerHooks hooks, const char *note)
{
    if (hooks.messages && note)
        fprintf(hooks.messages, "note: %s\n", note);
}

Status trainer_open_device(const Config *c, TrainerHooks hooks, Device **out)
{
    Device *d = NULL;
    Status s = device_open(config_text(c, "device"), (int)config_int(c, "threads"), &d);

    if (s)
        return s;
    s = op_force_kernel(d, &attention_op, config_text(c, "kernel.attention"));
    if (s) {
        device_close(d);
        return fail_within(s, "%s", config_origin(c, "kernel.attention"));
    }
    say(hooks, d->note);
    if (config_choice(c, "dtype") == CHOICE_TF32)
        say(hooks, device_take_tf32(d));
    *out = d;
    return OK;
}

/* Records one micro-batch of two rows, to see which parameters the loss reaches and, before any
 * weights are read, whether the device has a kernel for each instruction. */
static Status lay_out_parameters(Trainer *t)
{
    Graph *g = graph_new(t->device, (GraphOptions){.training = true});
    BatchTensors in;

    if (!g)
        return fail(E_MEMORY, "no memory for a graph");
    batch_record(t->batches, g, (BatchShape){2, 1, 2}, &in);
    Tensor *loss = t->task->loss(t->task->state, g, &in);
    Status s = graph_backward(g, loss, NULL);
    if (!s)
        s = params_layout(t->params, g, false);
    if (!s)
        s = graph_plan(g);
    graph_free(g);
    for (int i = 0; i < params_count(t->params) && !s && params_unreached(t->params); i++)
        if (params_is_unreached(t->params, i))
            report_note(t, "parameter %s has no part in the loss and is not trained",
                        params_name(t->params, i));
    return s;
}

static Status record_micro(void *state, Graph *g, const BatchTensors *in, bool add)
{
    Trainer *t = state;
    Tensor *kept = graph_state(g, "loss of the update", F32, DIMS(1));
    Tensor *loss = t->task->loss(t->task->state, g, in);

    if (kept)
        kept->data = t->results.data;
    graph_store(g, kept, loss, add);
    return graph_backward(g, loss, optimizer_loss_scale(t->optimizer, g));
}

static Status record_first(void *state, Graph *g, const BatchTensors *in)
{
    return record_micro(state, g, in, false);
}

static Status record_later(void *state, Graph *g, const BatchTensors *in)
{
    return record_micro(state, g, in, true);
}

static Status open_update_graph(Trainer *t)
{
    BatchTensors in;
    t->update = graph_new(t->device, (GraphOptions){.hunt_nan = t->detect_anomaly});

    if (!t->update)
        return fail(E_MEMORY, "no memory for a graph");
    batch_record(t->batches, t->update, (BatchShape){1, 1, 1}, &in);
    optimizer_record(t->optimizer, t->update, in.scalars);
    return graph_status(t->update);
}

static Status open_results(Trainer *t)
{
    const DeviceTable *d = t->device->table;
    Status s = arena_open(&t->results, t->device, ARENA_ALIGNMENT);

    for (int i = 0; i < RESULT_SLOTS && !s; i++) {
        void *memory = NULL;
        t->slot_update[i] = -1;
        s = d->event_open(t->device, &t->event[i]);
        if (!s)
            s = d->allocate_host(t->device, RESULT_NUMBERS * sizeof(float), &memory);
        t->slot[i] = memory;
    }
    return s;
}

static Status refuse_size(const Trainer *t)
{
    const double mib = 1048576, all = (double)t->planned / mib, room = (double)t->room / mib;
    const double activations = (double)t->activations / mib;

    if (t->planned - t->activations > t->room)
        return fail(E_MEMORY,
                    "this recipe wants %.0f MiB, of which parameters, gradients and moments alone "
                    "are %.0f MiB, and device %s has %.0f MiB; take a smaller model",
                    all, all - activations, t->device->name, room);
    return fail(E_MEMORY,
                "this recipe wants %.0f MiB, of which activations are %.0f MiB, and device %s has "
                "%.0f MiB; set micro_batch_tokens below %" PRId64 "%s",
                all, activations, t->device->name, room, t->micro_rows,
                t->recompute == RECOMPUTE_BLOCK ? "" : ", or recompute=block");
}

/* All other arenas are open by now, and none of them has been touched. A dry run is told, and goes
 * on: its plan may be for another machine. */
static Status plan_memory(Trainer *t)
{
    Status s = graphs_plan(t->graphs, &t->activations);

    t->planned = t->device->taken + t->activations;
    if (!s)
        s = arena_room(t->device, &t->room);
    if (s || t->planned <= t->room)
        return s;
    s = refuse_size(t);
    if (!t->hooks.dry_run)
        return s;
    say(t->hooks, status_text());
    return OK;
}

/* The activation arena serves micro-batches, evaluation and the update alike. */
static Status fill_memory(Trainer *t)
{
    Status s = t->task->load(t->task->state);

    if (!s)
        s = graphs_reserve(t->graphs);
    return s ? s : graph_compile(t->update, graphs_arena(t->graphs));
}

static Status open_graphs(Trainer *t)
{
    GraphOptions first = {
        .training = true, .recompute = t->recompute, .hunt_nan = t->detect_anomaly};
    GraphOptions later = first;
    Status s = graphs_open(t->device, t->batches, &t->graphs);

    later.accumulate_parameters = true;
    if (!s) {
        t->first_kind =
            graphs_add_kind(t->graphs, "a first micro-batch", first, t->largest, record_first, t);
        t->later_kind =
            graphs_add_kind(t->graphs, "a later micro-batch", later, t->largest, record_later, t);
        s = optimizer_new(t->device, t->params, read_optimizer(t->config), &t->optimizer);
    }
    if (!s)
        s = open_results(t);
    if (!s && t->task->prepare)
        s = t->task->prepare(t->task->state);
    if (!s)
        s = open_update_graph(t);
    if (!s)
        s = plan_memory(t);
    return s || t->planned > t->room ? s : fill_memory(t);
}

static Status open_all(Trainer *t)
{
    Status s = read_settings(t);

    if (!s)
        s = cut_open(t);
    if (!s)
        s = cut_survey(t);
    if (!s) {
        read_schedule(t);
        BatchShape most = t->largest; // evaluation may bring longer sequences than training
        if (t->task->longest > most.longest)
            most.longest = t->task->longest;
        if (most.rows < most.longest)
            most.rows = most.longest;
        s = batch_open(t->device, t->task->fields, most, &t->batches);
    }
    if (!s) {
        exclude_from_decay(t);
        s = lay_out_parameters(t);
    }
    return s ? s : open_graphs(t);
}

Status trainer_open(Device *d, Params *p, const Task *task, const Config *c, TrainerHooks hooks,
                    Trainer **out)
{
    Trainer *t = calloc(1, sizeof *t);

    assert(config_is_set(c, "adam_epsilon") && "loop_resolve() has not been called");
    if (!t)
        return fail(E_MEMORY, "no memory for a trainer");
    t->device = d;
    t->params = p;
    t->task = task;
    t->config = c;
    t->hooks = hooks;
    *out = t; // Task.prepare() asks for its parts
    Status s = open_all(t);
    if (s) {
        trainer_close(t);
        *out = NULL;
    }
    return s;
}

void trainer_close(Trainer *t)
{
    if (!t)
        return;
    report_close(t);
    graph_free(t->update);
    graphs_close(t->graphs);
    optimizer_free(t->optimizer);
    for (int i = 0; i < RESULT_SLOTS; i++) {
        if (t->event[i])
            t->device->table->event_close(t->device, t->event[i]);
        if (t->slot[i])
            t->device->table->release_host(t->device, t->slot[i], RESULT_NUMBERS * sizeof(float));
    }
    arena_close(&t->results);
    batch_close(t->batches);
    cut_close(t);
    for (int i = 0; i < TASK_METRICS; i++)
        free(t->score_name[i]);
    free(t->output_dir);
    free(t);
}
