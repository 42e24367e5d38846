/* timing.h - how long a call takes: median and spread over samples.
 *
 * On the CPU the clock, around each call. On a device with a command queue: events around a group
 * of calls that is captured and replayed, as a training step is, so that the host's launches are no
 * part of it.
 */
#ifndef BENCH_TIMING_H
#define BENCH_TIMING_H

#include "runtime/device.h"

/* A clock that only runs forward: of the wall, or of this process's work on all its processors. */
typedef enum { WALL_TIME, CPU_TIME } Clock;
double seconds_now(Clock clock);

/* Seconds a call. low and high: the 10th and the 90th percentile of the samples. */
typedef struct Timing {
    double median, low, high;
    int samples, group; // calls a sample
} Timing;

typedef struct TimingOptions {
    Clock clock;
    int repeats;    // samples; 0: by time
    double seconds; // of all samples together, at least 11 of them
} TimingOptions;

/* Calls run(context[i % count], stream) for i = 0, 1, ...; each context has buffers of its own. */
MUST_CHECK Status timing_measure(Device *d, void (*run)(void *context, Stream *stream),
                                 void *const context[], int count, TimingOptions o, Timing *out);

/* Of n samples, which it sorts. */
Timing timing_of(double *samples, int n, int group);

#endif
