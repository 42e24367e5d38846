/* schedule.c - learning rate schedules; formulas in schedule.h. */
#include "train/schedule.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

static double decayed(const Schedule *s, double u, double floor)
{
    const double U = (double)s->updates, w = (double)s->warmup, r = s->learning_rate;
    const double left = U > w ? (U - u) / (U - w) : 0, w1 = fmax(w, 1);
    const double decay = fmax(1, s->decay_share * U);

    switch (s->kind) {
    case SCHEDULE_LINEAR:
        return r * fmax(0, left);
    case SCHEDULE_GOOGLE:
        return r * fmax(0, 1 - u / fmax(U, 1));
    case SCHEDULE_COSINE:
        return floor + (r - floor) * (1 + cos(PI * (1 - fmax(0, left)))) / 2;
    case SCHEDULE_INVERSE_SQRT:
        return r * sqrt(w1 / fmax(u + 1, w1));
    case SCHEDULE_WSD:
        return u < U - decay ? r : floor + (r - floor) * fmax(0, (U - u) / decay);
    case SCHEDULE_CONSTANT:
        break;
    }
    return r;
}

double schedule_rate(const Schedule *s, int64_t update)
{
    if (update < s->warmup)
        return s->learning_rate * (double)update / (double)s->warmup;
    return decayed(s, (double)update, s->learning_rate * s->least_ratio);
}
