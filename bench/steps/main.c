/* main.c - cairn-steps: times whole training steps (forward, backward, clipping, AdamW) of a model's
 * shape with random weights and tokens, and prints one JSON object.
 *
 * A step is what train/loop.c does for an update of one micro-batch: a graph, the update's graph. The
 * same tokens come each time, so the loss must fall. Steps are timed in groups between which the host
 * waits. MFU is FLOPs a token (by the formula in the object; L layers, C width, V vocabulary, T length)
 * times tokens a second, over the rate of a large product measured in the same run. Planned bytes are
 * what the arenas hold; used bytes are what the card lacks since, of the CPU the process's peak.
 */
#include "bench/object.h"
#include "bench/parts.h"
#include "bench/steps/steps.h"
#include "cli/program.h"
#include "kernels/ops.h"
#include "runtime/memory.h"
#include "runtime/version.h"
#include "train/optimizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WARM_STEPS = 5, GROUP = 5, MOST_GROUPS = 200, PROFILE_STEPS = 5, MOST_TOKENS = 1 << 20 };

typedef struct Run {
    const StepsModel *model;
    StepsShape shape;
    int groups;
    Device *device;
    const char *type; // "bf16", ...
    Machine machine;
    double rate; // FLOP/s of a large product
    size_t left; // of the card's memory, before the model
    void *state;
    Params *params;
    BatchBuffers *batches;
    Optimizer *optimizer;
    Graph *micro, *update;
    Arena arena, result;
    Timing timing;
    float first_loss, last_loss;
} Run;

static Status read_dtype(const Arguments *a, Run *r)
{
    bool tf32 = false;
    Status s = arguments_dtype(a, "bf16", &r->shape.dtype, &tf32);
    const char *note = !s && tf32 ? device_take_tf32(r->device) : NULL;

    if (note)
        fprintf(stderr, "note: %s\n", note);
    return s;
}

static Status read_size(const Arguments *a, const char *name, int64_t *size)
{
    const int64_t given = arguments_int(a, name, *size);

    if (given < 1 || given > INT32_MAX)
        return fail(E_USAGE, "--%s is %lld, expected 1 to %d", name, (long long)given, INT32_MAX);
    *size = given;
    return OK;
}

static Status read_sizes(const Arguments *a, Run *r)
{
    StepsShape *k = &r->shape;
    int64_t steps = 50;
    const struct {
        const char *name;
        int64_t *size;
    } all[] = {{"layers", &k->layers}, {"width", &k->width},
               {"heads", &k->heads},   {"vocabulary", &k->vocabulary},
               {"batch", &k->batch},   {"length", &k->length},
               {"steps", &steps}};
    Status s = OK;

    for (size_t i = 0; i < sizeof all / sizeof *all && !s; i++)
        s = read_size(a, all[i].name, all[i].size);
    if (!s && k->batch > MOST_TOKENS / k->length)
        s = fail(E_USAGE, "--batch times --length is %lld, expected 1 to %d",
                 (long long)(k->batch * k->length), MOST_TOKENS);
    if (!s && k->width % k->heads)
        s = fail(E_USAGE, "--heads is %d, which does not divide --width %d", (int)k->heads,
                 (int)k->width);
    r->groups = (int)((steps + GROUP - 1) / GROUP);
    if (!s && r->groups > MOST_GROUPS)
        s = fail(E_USAGE, "--steps is %lld, expected 1 to %d", (long long)steps,
                 MOST_GROUPS * GROUP);
    return s;
}

/* The rate of products, before the model takes the memory. */
static Status measure_rate(Run *r)
{
    Bench b = {.device = r->device, .options = {.seconds = 0.2}};
    Limits limits;

    b.options.dtype[r->shape.dtype] = true;
    Status s = limits_measure(&b, &limits);
    buffers_close(&b);
    r->rate = s ? 0 : limits.rate[r->shape.dtype];
    return s;
}

static Status open_device(Run *r, const Arguments *a)
{
    Status s = device_open(arguments_text(a, "device", "auto"), (int)arguments_int(a, "threads", 0),
                           &r->device);

    if (!s && r->device->note)
        fprintf(stderr, "note: %s\n", r->device->note);
    if (!s)
        s = op_force_kernel(r->device, &attention_op,
                            arguments_text(a, "kernel.attention", "auto"));
    if (!s)
        s = read_dtype(a, r);
    if (s)
        return s;
    r->type = type_name(r->device, r->shape.dtype);
    machine_read(r->device, &r->machine);
    s = measure_rate(r);
    return s ? s : r->device->table->memory(r->device, &r->left);
}

static Status open_parameters(Run *r)
{
    const OptimizerOptions o = {.beta1 = 0.9f,
                                .beta2 = 0.95f,
                                .epsilon = 1e-8f,
                                .weight_decay = 0.1f,
                                .bias_correction = true,
                                .max_grad_norm = 1,
                                .loss_scaling = r->shape.dtype == F16};
    const BatchShape most = {r->shape.batch * r->shape.length, r->shape.batch, r->shape.length};

    if (!(r->params = params_new(r->device, r->shape.dtype)))
        return fail(E_MEMORY, "no memory for parameters");
    Status s = r->model->declare(&r->shape, r->params, &r->state);
    if (!s)
        s = params_layout(r->params, NULL, false);
    if (!s)
        s = params_initialise(r->params, 42);
    if (!s)
        s = optimizer_new(r->device, r->params, o, &r->optimizer);
    if (!s)
        s = batch_open(r->device, r->model->fields, most, &r->batches);
    return s ? s : arena_open(&r->result, r->device, ARENA_ALIGNMENT);
}

static Status record(Run *r)
{
    const BatchShape bucket = batch_capacity(r->batches);
    BatchTensors in;

    r->micro = graph_new(r->device, (GraphOptions){.training = true});
    r->update = graph_new(r->device, (GraphOptions){0});
    if (!r->micro || !r->update)
        return fail(E_MEMORY, "no memory for a graph");
    batch_record(r->batches, r->micro, bucket, &in);
    Tensor *kept = graph_state(r->micro, "loss", F32, DIMS(1));
    Tensor *loss = r->model->loss(r->state, r->micro, &in);
    if (kept)
        kept->data = r->result.data;
    graph_store(r->micro, kept, loss, false);
    Status s = graph_backward(r->micro, loss, optimizer_loss_scale(r->optimizer, r->micro));
    if (s)
        return s;
    batch_record(r->batches, r->update, bucket, &in);
    optimizer_record(r->optimizer, r->update, in.scalars);
    s = graph_plan(r->micro);
    return s ? s : graph_plan(r->update);
}

static Status compile(Run *r)
{
    const size_t a = graph_bytes(r->micro), b = graph_bytes(r->update), want = a > b ? a : b;
    size_t left = 0;
    Status s = r->device->table->memory(r->device, &left);

    if (!s && want > left)
        s = fail(E_MEMORY,
                 "a step wants %.0f MiB for activations and device %s has %.0f MiB left; give a "
                 "smaller --batch",
                 (double)want / 1048576, r->device->name, (double)left / 1048576);
    if (!s)
        s = arena_open(&r->arena, r->device, want);
    if (!s)
        s = graph_compile(r->micro, &r->arena);
    return s ? s : graph_compile(r->update, &r->arena);
}

/* Tokens by a fixed sequence of numbers; targets of rows are other such tokens, of sequences 0. */
static Status upload(Run *r)
{
    const float scalars[STEP_SCALARS] = {[STEP_LEARNING_RATE] = 1e-4f,
                                         [STEP_TARGET_WEIGHT] =
                                             1 / (float)(r->model->fields[STEPS_TARGETS].per_row
                                                             ? r->shape.batch * r->shape.length
                                                             : r->shape.batch)};
    const int32_t integers[STEP_INTEGERS] = {[STEP_SEED] = 42};
    uint32_t x = 1;
    HostBatch *h = NULL;
    Status s = batch_next(r->batches, &h);

    for (int64_t b = 0; b < r->shape.batch && !s; b++) {
        const int64_t row = batch_append(h, r->shape.length, b);
        for (int64_t i = 0; i < r->shape.length; i++) {
            h->field[STEPS_IDS][row + i] = (int32_t)((x >> 8) % (uint32_t)r->shape.vocabulary);
            x = x * 1664525u + 1013904223u;
            if (r->model->fields[STEPS_TARGETS].per_row)
                h->field[STEPS_TARGETS][row + i] = (int32_t)((x >> 8) % 100);
        }
    }
    if (!s)
        s = batch_upload(r->batches, h, batch_capacity(r->batches), NULL);
    return s ? s : batch_upload_step(r->batches, scalars, integers, NULL);
}

static Status run_step(Run *r)
{
    const Status s = graph_run(r->micro, NULL);

    return s ? s : graph_run(r->update, NULL);
}

static Status read_loss(Run *r, float *loss)
{
    const DeviceTable *t = r->device->table;
    const Status s = t->copy(r->device, NULL, loss, r->result.data, sizeof *loss, TO_HOST);

    return s ? s : t->synchronise(r->device, NULL);
}

static Status time_steps(Run *r)
{
    double sample[MOST_GROUPS];
    Status s = upload(r);

    for (int i = 0; i < WARM_STEPS && !s; i++) {
        s = run_step(r);
        if (!s && i == 0)
            s = read_loss(r, &r->first_loss);
    }
    if (!s)
        s = r->device->table->synchronise(r->device, NULL);
    for (int i = 0; i < r->groups && !s; i++) {
        const double begin = seconds_now(WALL_TIME);
        for (int k = 0; k < GROUP && !s; k++)
            s = run_step(r);
        if (!s)
            s = r->device->table->synchronise(r->device, NULL);
        sample[i] = (seconds_now(WALL_TIME) - begin) / GROUP;
    }
    if (!s)
        s = read_loss(r, &r->last_loss);
    if (s)
        return s;
    r->timing = timing_of(sample, r->groups, GROUP);
    return isfinite(r->last_loss) && r->last_loss < r->first_loss
               ? OK
               : fail(E_DEVICE, "the loss went from %g to %g, expected it to fall",
                      (double)r->first_loss, (double)r->last_loss);
}

/* Where the time of a step goes, by operator: the model's graph, then the update's. */
static Status profile(Run *r)
{
    const Status s = graph_profile(r->micro, PROFILE_STEPS, stderr);

    return s ? s : graph_profile(r->update, PROFILE_STEPS, stderr);
}

static Status used_bytes(const Run *r, size_t *used)
{
    size_t left = 0;

    if (r->device->kind == DEVICE_CPU) {
        *used = memory_peak();
        return OK;
    }
    const Status s = r->device->table->memory(r->device, &left);
    *used = left < r->left ? r->left - left : 0;
    return s;
}

static void print_model(const Run *r, Object *o)
{
    const StepsShape *k = &r->shape;

    object_text(o, "model", r->model->name);
    object_text(o, "dtype", r->type);
    object_integer(o, "parameters", (int64_t)params_total(r->params));
    object_integer(o, "layers", k->layers);
    object_integer(o, "width", k->width);
    object_integer(o, "heads", k->heads);
    object_integer(o, "vocabulary", k->vocabulary);
    object_integer(o, "batch", k->batch);
    object_integer(o, "length", k->length);
    object_text(o, "card", r->machine.card);
    object_text(o, "device", r->machine.device);
    object_text(o, "driver", r->machine.driver);
    object_text(o, "compiler", r->machine.compiler);
    object_text(o, "cairn", version_text());
    object_text(o, "flops_formula", r->model->flops_formula);
}

static Status print(const Run *r)
{
    const StepsShape *k = &r->shape;
    const double tokens = (double)(k->batch * k->length) / r->timing.median;
    const double flops = r->model->flops(k);
    const size_t planned = params_bytes(r->params) + params_gradient_bytes(r->params) +
                           optimizer_bytes(r->optimizer) + batch_bytes(r->batches) +
                           r->arena.bytes + r->result.bytes;
    size_t used = 0;
    Status s = used_bytes(r, &used);

    if (s)
        return s;
    Object o;
    object_begin(&o, stdout);
    print_model(r, &o);
    object_real(&o, "median_ms", 1e3 * r->timing.median);
    object_real(&o, "p10_ms", 1e3 * r->timing.low);
    object_real(&o, "p90_ms", 1e3 * r->timing.high);
    object_integer(&o, "steps", r->groups * GROUP);
    object_real(&o, "tokens_per_second", tokens);
    object_real(&o, "flops_per_token", flops);
    object_real(&o, "matrix_flops_per_second", r->rate);
    object_real(&o, "mfu", r->rate > 0 ? flops * tokens / r->rate : 0);
    object_integer(&o, "planned_bytes", (int64_t)planned);
    object_integer(&o, "used_bytes", (int64_t)used);
    object_real(&o, "first_loss", (double)r->first_loss);
    object_real(&o, "last_loss", (double)r->last_loss);
    object_end(&o);
    printf("\n");
    return OK;
}

static void close_run(Run *r)
{
    graph_free(r->micro);
    graph_free(r->update);
    if (r->device) {
        arena_close(&r->arena);
        arena_close(&r->result);
    }
    optimizer_free(r->optimizer);
    batch_close(r->batches);
    if (r->model)
        r->model->free(r->state);
    params_free(r->params);
    device_close(r->device);
}

static Status steps_run(const Arguments *a)
{
    static const StepsModel *const MODELS[] = {&steps_gpt2, &steps_bert};
    Run r = {0};

    for (size_t i = 0; i < sizeof MODELS / sizeof *MODELS; i++)
        if (!strcmp(arguments_at(a, 0), MODELS[i]->name))
            r.model = MODELS[i];
    if (!r.model)
        return fail(E_USAGE, "the model is '%s', expected gpt2 or bert", arguments_at(a, 0));
    r.shape = r.model->usual;
    Status s = read_sizes(a, &r);
    if (!s)
        s = open_device(&r, a);
    if (!s)
        s = open_parameters(&r);
    if (!s)
        s = record(&r);
    if (!s)
        s = compile(&r);
    if (!s)
        s = time_steps(&r);
    if (!s)
        s = print(&r);
    if (!s && arguments_flag(a, "profile"))
        s = profile(&r);
    close_run(&r);
    return s;
}

static const Option OPTIONS[] = {
    {"device", OPTION_TEXT, "DEVICE", "auto (where not given), cpu, cuda, cuda:N, emulated"},
    {"dtype", OPTION_TEXT, "TYPE", "bf16 (where not given), f32, f16 or tf32"},
    {"kernel.attention", OPTION_TEXT, "NAME", "force this kernel of attention"},
    {"batch", OPTION_INT, "N", "sequences of a step"},
    {"length", OPTION_INT, "N", "tokens of a sequence"},
    {"steps", OPTION_INT, "N", "that are timed, 50 where not given"},
    {"layers", OPTION_INT, "N", "of the model, like the next three"},
    {"width", OPTION_INT, "N", "of its rows"},
    {"heads", OPTION_INT, "N", "of its attention"},
    {"vocabulary", OPTION_INT, "N", "rows of its word embedding"},
    {"threads", OPTION_INT, "N", "of the processor; all it has where not given"},
    {"profile", OPTION_FLAG, NULL, "then tell on standard error each operator's share of a step"},
    {0},
};

int main(int argc, char **argv)
{
    static const Command command = {
        .name = "steps",
        .summary = "time whole training steps of a model's shape",
        .synopsis = "gpt2|bert [--device D] [--dtype T] [--batch N] [--length N] [--steps N]",
        .details = "gpt2 is GPT-2 124M, 16 sequences of 1024; bert is BERT-base with its head for\n"
                   "questions, 32 sequences of 384. Weights and tokens are random.",
        .example = "cairn-steps bert --device cuda --dtype bf16",
        .options = OPTIONS,
        .least = 1,
        .most = 1,
        .run = steps_run,
    };

    return program_start(argv) ? program_run(&command, argc - 1, argv + 1) : 1;
}
