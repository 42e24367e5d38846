/* schedule.h - the learning rate of each update.
 *
 * With u the update (from 0), U all updates, w warm-up updates, r the peak:
 *   warm-up, u < w               r u / w  (linear; the first update of BERT's original has rate 0)
 *                                with SCHEDULE_GOOGLE the decay is not shifted: it jumps at w
 *   constant                     r
 *   linear                       r (U - u) / (U - w);  Google's: r (1 - u / U)
 *   cosine                       floor + (r - floor) (1 + cos(pi (u - w) / (U - w))) / 2
 *   inverse_sqrt                 r sqrt(w' / max(u + 1, w')), w' = max(w, 1)   (fairseq)
 *   wsd                          r, then over the last `decay` share of updates linearly to floor
 * floor = r * least_ratio. Warm-up follows Hugging Face: (u) / max(1, w).
 */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

#include <stdint.h>

typedef enum {
    SCHEDULE_CONSTANT,
    SCHEDULE_LINEAR,
    SCHEDULE_COSINE,
    SCHEDULE_INVERSE_SQRT,
    SCHEDULE_WSD,
    SCHEDULE_GOOGLE, // linear, with the jump of BERT's original
} ScheduleKind;

typedef struct Schedule {
    ScheduleKind kind;
    double learning_rate; // peak
    int64_t updates, warmup;
    double least_ratio; // of the peak, where cosine and wsd end
    double decay_share; // of all updates, wsd
} Schedule;

double schedule_rate(const Schedule *s, int64_t update);

#endif
