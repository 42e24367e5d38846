/* limits.c - the copy and the products against which every row is held. */
#include "bench/parts.h"

#include <math.h>
#include <string.h>

enum { COPY_BYTES = 256 << 20, EMULATED_BYTES = 1 << 20, COPIES = 12 };

/* A product so large that it meets the machine's rate: N = C = O. */
static const char *product_shape(const Device *d)
{
    return d->kind == DEVICE_CPU          ? "N=1024,C=1024,O=1024"
           : !strcmp(d->name, "emulated") ? "N=64,C=64,O=64"
                                          : "N=8192,C=8192,O=8192";
}

static Status product_rate(Bench *b, Dtype dtype, double *out)
{
    static const bool FORWARD_ALONE[2] = {true, false};
    BenchShape k;
    Measured m = {0};
    Status s = shape_read(&bench_linear, product_shape(b->device), NULL, dtype, &k);

    if (!s)
        s = measure_op(b, &bench_linear, &k, FORWARD_ALONE, &m);
    const double N = s ? 0 : bench_number(&k, "N");
    if (!s)
        *out = 2 * N * N * N / m.timing[FORWARD].low;
    return s;
}

static Status time_copies(Bench *b, void *to, void *from, size_t bytes, Event *e[2], double *out)
{
    const DeviceTable *t = b->device->table;
    double best = INFINITY, ms = 0;
    Status s = t->fill(b->device, NULL, from, 1, bytes);

    for (int i = 0; i < COPIES && !s; i++) {
        s = t->event_record(b->device, e[0], NULL);
        if (!s)
            s = t->copy(b->device, NULL, to, from, bytes, ON_DEVICE);
        if (!s)
            s = t->event_record(b->device, e[1], NULL);
        if (!s)
            s = t->event_synchronise(b->device, e[1]);
        if (!s)
            s = t->event_milliseconds(b->device, e[0], e[1], &ms);
        best = ms > 0 && ms < best ? ms : best;
    }
    *out = 2 * (double)bytes / (best * 1e-3);
    return s;
}

static Status card_copy(Bench *b, double *out)
{
    const DeviceTable *t = b->device->table;
    const size_t bytes = strcmp(b->device->name, "emulated") ? COPY_BYTES : EMULATED_BYTES;
    void *from = NULL, *to = NULL;
    Event *e[2] = {0};
    Status s = t->allocate(b->device, bytes, &from);

    if (!s)
        s = t->allocate(b->device, bytes, &to);
    for (int i = 0; i < 2 && !s; i++)
        s = t->event_open(b->device, &e[i]);
    if (!s)
        s = time_copies(b, to, from, bytes, e, out);
    for (int i = 0; i < 2; i++)
        if (e[i])
            t->event_close(b->device, e[i]);
    if (to)
        t->release(b->device, to, bytes);
    if (from)
        t->release(b->device, from, bytes);
    return s;
}

static double cpu_rate(const Device *d, Dtype dtype, int tries)
{
    const double bf16 = dtype == BF16 ? cpu_bf16_rate(d->threads, tries) : 0;

    return bf16 > 0 ? bf16 : cpu_f32_rate(d->threads, tries);
}

Status limits_measure(Bench *b, Limits *out)
{
    const bool cpu = b->device->kind == DEVICE_CPU;
    const int tries = b->options.repeats ? b->options.repeats : COPIES;
    Status s = OK;

    *out = (Limits){0};
    if (cpu)
        out->copy = cpu_copy(b->device->threads, tries);
    else
        s = card_copy(b, &out->copy);
    for (Dtype t = F32; t <= F16 && !s; t++) {
        if (!b->options.dtype[t] && t != F32) // F32 is the arithmetic of many
            continue;
        s = product_rate(b, t, &out->rate[t]);
        if (cpu)
            out->rate[t] = fmax(out->rate[t], cpu_rate(b->device, t, tries));
    }
    return s ? fail_within(s, "measuring what the machine can do") : OK;
}
