/* timing.c - warm-up, samples, percentiles. */
#include "bench/timing.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

enum { LEAST_SAMPLES = 11, MOST_SAMPLES = 1000, MOST_CALLS = 512 };

static const double WARM_SECONDS = 0.05;
static const double GROUP_SECONDS[DEVICE_KINDS] = {20e-6, 500e-6}; // of a sample, at least

typedef struct Timer {
    Device *device;
    void (*run)(void *context, Stream *stream);
    void *const *context;
    int count, group, next;
    Clock clock;
    Event *from, *to;
    Stream *stream;   // NULL on the CPU
    Capture *capture; // of a group, or NULL
} Timer;

double seconds_now(Clock clock)
{
    struct timespec t;

    clock_gettime(clock == CPU_TIME ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void call_group(Timer *t)
{
    for (int i = 0; i < t->group; i++) {
        t->run(t->context[t->next], t->stream);
        t->next = (t->next + 1) % t->count;
    }
}

static Status sample_events(Timer *t, double *seconds)
{
    const DeviceTable *table = t->device->table;
    double ms = 0;
    Status s = table->event_record(t->device, t->from, t->stream);

    if (!s && t->capture)
        s = table->capture_run(t->device, t->capture, t->stream);
    else if (!s)
        call_group(t);
    if (!s)
        s = table->event_record(t->device, t->to, t->stream);
    if (!s)
        s = table->event_synchronise(t->device, t->to);
    if (!s)
        s = table->check(t->device);
    if (!s)
        s = table->event_milliseconds(t->device, t->from, t->to, &ms);
    *seconds = ms * 1e-3 / t->group;
    return s;
}

static Status sample(Timer *t, double *seconds)
{
    if (t->device->kind != DEVICE_CPU)
        return sample_events(t, seconds);
    const double start = seconds_now(t->clock);
    call_group(t);
    *seconds = (seconds_now(t->clock) - start) / t->group;
    return OK;
}

/* Every buffer once, then on until the clocks are up; finds how many calls make a sample. */
static Status warm_up(Timer *t)
{
    const double start = seconds_now(WALL_TIME);
    double seconds = 0, least = INFINITY;
    Status s = OK;

    t->group = 1;
    for (int i = 0;
         !s && (i < t->count || (i < MOST_CALLS && seconds_now(WALL_TIME) - start < WARM_SECONDS));
         i++) {
        s = sample(t, &seconds);
        least = seconds > 0 && seconds < least ? seconds : least;
    }
    const double calls = ceil(GROUP_SECONDS[t->device->kind] / least);
    t->group = calls > 1 ? (int)fmin(calls, MOST_CALLS) : 1;
    return s;
}

/* A group of one stays as it is: there a launch costs nothing beside the call. */
static Status capture_group(Timer *t)
{
    const DeviceTable *table = t->device->table;

    if (!table->capture_begin || t->group == 1)
        return OK;
    t->group = t->group > t->count ? t->group : t->count; // all buffers
    Status s = table->capture_begin(t->device, t->stream);
    if (s)
        return s;
    call_group(t);
    return table->capture_end(t->device, t->stream, &t->capture);
}

static Status timer_open(Timer *t)
{
    const DeviceTable *table = t->device->table;

    if (t->device->kind == DEVICE_CPU)
        return OK;
    Status s = table->stream_open(t->device, &t->stream);
    if (!s)
        s = table->event_open(t->device, &t->from);
    return s ? s : table->event_open(t->device, &t->to);
}

static void timer_close(Timer *t)
{
    const DeviceTable *table = t->device->table;

    if (t->capture)
        table->capture_close(t->device, t->capture);
    if (t->from)
        table->event_close(t->device, t->from);
    if (t->to)
        table->event_close(t->device, t->to);
    if (t->stream)
        table->stream_close(t->device, t->stream);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

Timing timing_of(double *samples, int n, int group)
{
    qsort(samples, (size_t)n, sizeof *samples, ascending);
    return (Timing){.median = n % 2 ? samples[n / 2] : (samples[n / 2 - 1] + samples[n / 2]) / 2,
                    .low = samples[(n - 1) / 10],
                    .high = samples[n - 1 - (n - 1) / 10],
                    .samples = n,
                    .group = group};
}

Status timing_measure(Device *d, void (*run)(void *context, Stream *stream), void *const context[],
                      int count, TimingOptions o, Timing *out)
{
    Timer t = {.device = d, .run = run, .context = context, .count = count, .clock = o.clock};
    double times[MOST_SAMPLES];
    int n = 0;
    Status s = timer_open(&t);

    if (!s)
        s = warm_up(&t);
    if (!s)
        s = capture_group(&t);
    const double begin = seconds_now(WALL_TIME);
    while (!s && n < MOST_SAMPLES &&
           (o.repeats ? n < o.repeats
                      : n < LEAST_SAMPLES || seconds_now(WALL_TIME) - begin < o.seconds))
        s = sample(&t, &times[n++]);
    timer_close(&t);
    if (!s)
        *out = timing_of(times, n, t.group);
    return s;
}
