/* metrics.h - the numbers of a run, one JSON object a line.
 *
 *     {"step":500,"time":1700000000.25,"loss":1.2345,"learning_rate":2.87e-05}
 *
 * "time" is seconds since 1970. A number reads back to the same double; one that is not finite is
 * null. A line is flushed when it is written, so a killed run leaves whole lines and at most one
 * torn one.
 */
#ifndef RUNTIME_METRICS_H
#define RUNTIME_METRICS_H

#include "runtime/status.h"

#include <stdint.h>

typedef struct Metric {
    const char *name; // UTF-8
    double value;
} Metric;

typedef struct Metrics Metrics;

/* resumed_step < 0 begins the file anew. Else lines of later steps and torn ones are cut (what is
 * left replaces the file by rename) and writing goes on behind them. E_IO names the path. */
MUST_CHECK Status metrics_open(Metrics **out, const char *path, int64_t resumed_step);
MUST_CHECK Status metrics_write(Metrics *m, int64_t step, double time, const Metric values[],
                                int count);
void metrics_close(Metrics *m); // NULL is fine

double metrics_time(void); // now, in seconds since 1970

#endif
