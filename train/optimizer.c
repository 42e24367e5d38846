/* optimizer.c - moments and the recorded update. */
#include "train/optimizer.h"

#include <stdlib.h>

enum { GROWTH_INTERVAL = 2000 };

static const float FIRST_LOSS_SCALE = 65536;

struct Optimizer {
    Device *device;
    OptimizerOptions options;
    ParamsRange range;
    Arena arena;
    OptimizerState state;
};

Status optimizer_new(Device *d, const Params *p, OptimizerOptions options, Optimizer **out)
{
    Optimizer *o = calloc(1, sizeof *o);

    if (!o)
        return fail(E_MEMORY, "no memory for the optimizer");
    o->device = d;
    o->options = options;
    o->range = params_range(p);
    const size_t moment = arena_round((size_t)o->range.trained * sizeof(float));
    Status s = arena_open(&o->arena, d, 2 * moment + 2 * (size_t)ARENA_ALIGNMENT);
    if (!s) {
        char *at = o->arena.data;
        const float first[TRAINING_SCALARS] = {options.loss_scaling ? FIRST_LOSS_SCALE : 1};
        o->state =
            (OptimizerState){.m = (float *)(void *)at,
                             .v = (float *)(void *)(at + moment),
                             .count = o->range.trained,
                             .scalars = (float *)(void *)(at + 2 * moment),
                             .counters = (int32_t *)(void *)(at + 2 * moment + ARENA_ALIGNMENT)};
        s = d->table->copy(d, NULL, o->state.scalars, first, sizeof first, TO_DEVICE);
        if (!s)
            s = d->table->synchronise(d, NULL);
    }
    if (s)
        optimizer_free(o);
    else
        *out = o;
    return s;
}

void optimizer_free(Optimizer *o)
{
    if (o)
        arena_close(&o->arena);
    free(o);
}

static Tensor *flat(Graph *g, const char *name, Dtype dtype, int64_t count, void *data)
{
    Tensor *x = graph_state(g, name, dtype, DIMS(count));

    if (x)
        x->data = data;
    return x;
}

Tensor *optimizer_loss_scale(Optimizer *o, Graph *g)
{
    return flat(g, "loss scale", F32, 1, o->state.scalars + TRAINING_LOSS_SCALE);
}

void optimizer_record(Optimizer *o, Graph *g, Tensor *scalars)
{
    const ParamsRange *r = &o->range;
    const OptimizerOptions *a = &o->options;
    Tensor *gradient = flat(g, "gradients", F32, r->trained, r->gradient);
    Tensor *training = flat(g, "training scalars", F32, TRAINING_SCALARS, o->state.scalars);
    Tensor *counters = flat(g, "training counters", I32, TRAINING_INTEGERS, o->state.counters);
    Tensor *copy = r->copy ? flat(g, "copies", r->dtype, r->trained, r->copy) : NULL;

    op_global_norm(g, gradient, training, counters,
                   (GlobalNormArgs){.max_norm = a->max_grad_norm,
                                    .growth_interval = a->loss_scaling ? GROWTH_INTERVAL : 0});
    op_adamw(g, flat(g, "masters", F32, r->trained, r->master), gradient,
             flat(g, "m", F32, r->trained, o->state.m), flat(g, "v", F32, r->trained, o->state.v),
             copy, scalars, training, counters,
             (AdamwArgs){.beta1 = a->beta1,
                         .beta2 = a->beta2,
                         .epsilon = a->epsilon,
                         .weight_decay = a->weight_decay,
                         .bias_correction = a->bias_correction,
                         .decayed = r->decayed});
}

OptimizerState optimizer_state(const Optimizer *o)
{
    return o->state;
}

size_t optimizer_bytes(const Optimizer *o)
{
    return o->arena.bytes;
}
