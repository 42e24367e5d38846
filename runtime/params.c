/* params.c - declares parameters, sorts and places them, draws their first values.
 *
 * A draw: element i of parameter `name` takes words i % 4 (and its neighbour, for the Box-Muller
 * pair) of philox(key {seed, 0}, counter {i / 4, i / 2^34, hash of the name, 0xFFFFFFFF}).
 */
#include "runtime/params.h"

#include "runtime/half.h"
#include "runtime/philox.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAD = 64 }; // elements

typedef struct Param {
    char *name;
    Init init;
    Tensor *master, *value, *gradient;
    bool frozen, decay, unreached;
    bool trained; // has a master, a gradient and moments
    float *given; // on the host: what a narrow one without a master was written with, if it rounds
    int64_t offset; // elements; of a trained one the same in every arena
} Param;

struct Params {
    Device *device;
    Dtype dtype;
    Status status;
    char *message;
    int count, room;
    Param *param;
    bool laid, inference;
    int unreached;
    int64_t decayed, trained, total;
    Arena masters, copies, gradients;
};

Params *params_new(Device *d, Dtype dtype)
{
    Params *p = calloc(1, sizeof *p);

    assert(dtype_is_float(dtype));
    if (p) {
        p->device = d;
        p->dtype = dtype;
    }
    return p;
}

void params_free(Params *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->count; i++) {
        Param *q = &p->param[i];
        if (q->value != q->master)
            free(q->value);
        free(q->master);
        free(q->gradient);
        free(q->given);
        free(q->name);
    }
    arena_close(&p->masters);
    arena_close(&p->copies);
    arena_close(&p->gradients);
    free(p->param);
    free(p->message);
    free(p);
}

static void params_fail(Params *p, Status s)
{
    p->status = s;
    p->message = strdup(status_text());
}

static Tensor *tensor_like(Dtype dtype, int ndim, const int64_t dim[], const char *name)
{
    Tensor *x = calloc(1, sizeof *x);

    if (!x)
        return NULL;
    *x = (Tensor){.ndim = ndim, .dtype = dtype, .home = TENSOR_PARAMETER, .id = -1, .name = name};
    memcpy(x->dim, dim, (size_t)ndim * sizeof *dim);
    x->stride = tensor_columns(x);
    return x;
}

static bool param_fill(Params *p, Param *q, int ndim, const int64_t dim[])
{
    q->master = tensor_like(F32, ndim, dim, q->name);
    q->gradient = tensor_like(F32, ndim, dim, q->name);
    q->value = p->dtype != F32 && ndim > 1 ? tensor_like(p->dtype, ndim, dim, q->name) : q->master;
    if (!q->master || !q->gradient || !q->value)
        return false;
    q->value->wants_gradient = true;
    q->value->gradient = q->gradient;
    return true;
}

Tensor *params_add(Params *p, Init init, int ndim, const int64_t dim[], const char *name, ...)
{
    char *text = NULL;
    va_list args;

    assert(!p->laid && ndim >= 1 && ndim <= MAX_DIMS);
    if (p->status)
        return NULL;
    va_start(args, name);
    if (vasprintf(&text, name, args) < 0)
        text = NULL;
    va_end(args);
    if (text && params_find(p, text) >= 0) {
        params_fail(p, fail(E_CONFIG, "parameter %s is declared twice", text));
        free(text);
        return NULL;
    }
    if (p->count == p->room) {
        const int room = p->room ? 2 * p->room : 64;
        Param *more = realloc(p->param, (size_t)room * sizeof *more);
        if (more) {
            p->param = more;
            p->room = room;
        }
    }
    if (!text || p->count == p->room) {
        params_fail(p, fail(E_MEMORY, "no memory for parameter %s", name));
        free(text);
        return NULL;
    }
    Param *q = &p->param[p->count++];
    *q = (Param){.name = text, .init = init, .decay = true};
    if (!param_fill(p, q, ndim, dim)) {
        params_fail(p, fail(E_MEMORY, "no memory for parameter %s", name));
        return NULL;
    }
    return q->value;
}

Status params_status(const Params *p)
{
    return p->status ? fail(p->status, "%s", p->message ? p->message : "no memory") : OK;
}

int params_count(const Params *p)
{
    return p->count;
}

const char *params_name(const Params *p, int i)
{
    return p->param[i].name;
}

Tensor *params_value(const Params *p, int i)
{
    return p->param[i].value;
}

Tensor *params_master(const Params *p, int i)
{
    return p->param[i].master;
}

Init params_init(const Params *p, int i)
{
    return p->param[i].init;
}

int params_find(const Params *p, const char *name)
{
    for (int i = 0; i < p->count; i++)
        if (!strcmp(p->param[i].name, name))
            return i;
    return -1;
}

int64_t params_total(const Params *p)
{
    int64_t total = 0;

    for (int i = 0; i < p->count; i++)
        total += tensor_size(p->param[i].master);
    return total;
}

void params_freeze(Params *p, int i)
{
    assert(!p->laid);
    p->param[i].frozen = true;
    p->param[i].value->wants_gradient = false;
    p->param[i].value->gradient = NULL;
}

bool params_frozen(const Params *p, int i)
{
    return p->param[i].frozen;
}

void params_set_decay(Params *p, int i, bool decay)
{
    assert(!p->laid);
    p->param[i].decay = decay;
}

/* Whether operators see it in a narrower type than F32. */
static bool is_narrow(const Param *q)
{
    return q->value != q->master;
}

static bool has_master(const Param *q)
{
    return q->trained || !is_narrow(q);
}

static int64_t place(Param *q, int64_t offset)
{
    q->offset = offset;
    return offset + (tensor_size(q->master) + PAD - 1) / PAD * PAD;
}

static int64_t place_trained(Params *p, int64_t offset, bool decay)
{
    for (int i = 0; i < p->count; i++)
        if (p->param[i].trained && p->param[i].decay == decay)
            offset = place(&p->param[i], offset);
    return offset;
}

/* Those that are not trained lie in one type alone, the one that operators see. */
static int64_t place_kept(Params *p, int64_t offset, bool narrow)
{
    for (int i = 0; i < p->count; i++)
        if (!p->param[i].trained && is_narrow(&p->param[i]) == narrow)
            offset = place(&p->param[i], offset);
    return offset;
}

static void bind(Params *p)
{
    for (int i = 0; i < p->count; i++) {
        Param *q = &p->param[i];
        if (has_master(q))
            q->master->data = (float *)(void *)p->masters.data + q->offset;
        if (is_narrow(q))
            q->value->data = (uint16_t *)(void *)p->copies.data + q->offset;
        if (q->trained)
            q->gradient->data = (float *)(void *)p->gradients.data + q->offset;
        if (!q->gradient->data) {
            q->value->wants_gradient = false;
            q->value->gradient = NULL;
        }
    }
}

Status params_layout(Params *p, const Graph *reached, bool inference)
{
    if (p->status)
        return params_status(p);
    assert(!p->laid);
    p->laid = true;
    p->inference = inference;
    for (int i = 0; i < p->count; i++) {
        Param *q = &p->param[i];
        q->unreached = reached && !q->frozen && !graph_reaches(reached, q->value);
        p->unreached += q->unreached;
        q->trained = !inference && !q->frozen && !q->unreached;
    }
    p->decayed = place_trained(p, 0, true);
    p->trained = place_trained(p, p->decayed, false);
    p->total = place_kept(p, p->trained, false);
    const int64_t narrow = place_kept(p, p->trained, true);
    Status s = arena_open(&p->masters, p->device, (size_t)p->total * sizeof(float));
    if (!s && p->dtype != F32)
        s = arena_open(&p->copies, p->device, (size_t)narrow * dtype_size(p->dtype));
    if (!s)
        s = arena_open(&p->gradients, p->device, (size_t)p->trained * sizeof(float));
    if (!s)
        bind(p);
    return s;
}

int params_unreached(const Params *p)
{
    return p->unreached;
}

bool params_is_unreached(const Params *p, int i)
{
    return p->param[i].unreached;
}

static uint32_t name_hash(const char *name) // FNV-1a
{
    uint32_t h = 2166136261u;

    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

static float draw_normal(uint32_t seed, uint32_t name, int64_t i)
{
    const Philox r =
        philox(seed, 0, (uint32_t)(i / 4), (uint32_t)((uint64_t)i >> 34), name, 0xFFFFFFFFu);
    const int pair = (int)(i % 4) & ~1;
    const double radius = sqrt(-2 * log((double)philox_uniform(r.word[pair])));
    const double angle = 6.283185307179586 * (double)philox_uniform(r.word[pair + 1]);

    return (float)(radius * (i % 2 ? sin(angle) : cos(angle)));
}

Status params_initialise_one(Params *p, int i, uint64_t seed)
{
    const Param *q = &p->param[i];
    const int64_t n = tensor_size(q->master);
    const uint32_t key = philox_seed(seed), name = name_hash(q->name);
    float *values = malloc((size_t)n * sizeof *values + 1);

    if (!values)
        return fail(E_MEMORY, "no memory to draw parameter %s", q->name);
    for (int64_t k = 0; k < n; k++)
        values[k] = q->init.mean +
                    (q->init.deviation != 0 ? q->init.deviation * draw_normal(key, name, k) : 0);
    Status s = params_write(p, i, values);
    free(values);
    return s;
}

Status params_initialise(Params *p, uint64_t seed)
{
    Status s = OK;

    for (int i = 0; i < p->count && !s; i++)
        s = params_initialise_one(p, i, seed);
    return s;
}

static float widened(const Params *p, uint16_t half)
{
    return p->dtype == BF16 ? float_from_bf16(half) : float_from_f16(half);
}

/* Keeps what a parameter that a training run leaves as it is was given, unless `half` says it all. */
static Status keep_given(Params *p, Param *q, const float *values, const uint16_t *half)
{
    const int64_t count = tensor_size(q->value);
    bool exact = true;

    free(q->given);
    q->given = NULL;
    if (p->inference || has_master(q))
        return OK;
    for (int64_t k = 0; k < count && exact; k++)
        exact = widened(p, half[k]) == values[k];
    if (exact)
        return OK;
    q->given = malloc(tensor_bytes(q->master));
    if (!q->given)
        return fail(E_MEMORY, "no memory to keep frozen parameter %s", q->name);
    memcpy(q->given, values, tensor_bytes(q->master));
    return OK;
}

/* Rounds values, on the host, into what operators see. */
static Status write_narrow(Params *p, Param *q, const float *values)
{
    const DeviceTable *t = p->device->table;
    const int64_t count = tensor_size(q->value);
    uint16_t *half = malloc(tensor_bytes(q->value) + 1);

    if (!half)
        return fail(E_MEMORY, "no memory for %s in %s", q->name, dtype_name(p->dtype));
    for (int64_t k = 0; k < count; k++)
        half[k] = p->dtype == BF16 ? bf16_from_float(values[k]) : f16_from_float(values[k]);
    Status s = keep_given(p, q, values, half);
    if (!s)
        s = t->copy(p->device, NULL, q->value->data, half, tensor_bytes(q->value), TO_DEVICE);
    if (!s)
        s = t->synchronise(p->device, NULL);
    free(half);
    return s;
}

static Status read_narrow(const Params *p, const Param *q, float *values)
{
    const DeviceTable *t = p->device->table;
    const int64_t count = tensor_size(q->value);
    uint16_t *half = malloc(tensor_bytes(q->value) + 1);

    if (!half)
        return fail(E_MEMORY, "no memory for %s in %s", q->name, dtype_name(p->dtype));
    Status s = t->copy(p->device, NULL, half, q->value->data, tensor_bytes(q->value), TO_HOST);
    if (!s)
        s = t->synchronise(p->device, NULL);
    for (int64_t k = 0; k < count && !s; k++)
        values[k] = widened(p, half[k]);
    free(half);
    return s;
}

Status params_write(Params *p, int i, const float *values)
{
    Param *q = &p->param[i];
    const DeviceTable *t = p->device->table;
    Status s = OK;

    if (has_master(q))
        s = t->copy(p->device, NULL, q->master->data, values, tensor_bytes(q->master), TO_DEVICE);
    if (!s && has_master(q))
        s = t->synchronise(p->device, NULL);
    return s || !is_narrow(q) ? s : write_narrow(p, q, values);
}

Status params_read(const Params *p, int i, float *values)
{
    const Param *q = &p->param[i];
    const DeviceTable *t = p->device->table;

    if (q->given) {
        memcpy(values, q->given, tensor_bytes(q->master));
        return OK;
    }
    if (!has_master(q))
        return read_narrow(p, q, values);
    Status s = t->copy(p->device, NULL, values, q->master->data, tensor_bytes(q->master), TO_HOST);

    return s ? s : t->synchronise(p->device, NULL);
}

Status params_renew_copies(Params *p)
{
    Status s = OK;

    for (int i = 0; i < p->count && !s && p->dtype != F32; i++) {
        Param *q = &p->param[i];
        if (!q->trained || !is_narrow(q))
            continue;
        float *values = malloc(tensor_bytes(q->master) + 1);
        s = values ? params_read(p, i, values)
                   : fail(E_MEMORY, "no memory to renew parameter %s", q->name);
        if (!s)
            s = write_narrow(p, q, values);
        free(values);
    }
    return s;
}

ParamsRange params_range(const Params *p)
{
    return (ParamsRange){.decayed = p->decayed,
                         .trained = p->trained,
                         .total = p->total,
                         .master = (float *)(void *)p->masters.data,
                         .gradient = (float *)(void *)p->gradients.data,
                         .copy = p->copies.data,
                         .dtype = p->dtype};
}

int64_t params_offset(const Params *p, int i)
{
    return p->param[i].offset;
}

size_t params_bytes(const Params *p)
{
    return p->masters.bytes + p->copies.bytes;
}

size_t params_gradient_bytes(const Params *p)
{
    return p->gradients.bytes;
}
