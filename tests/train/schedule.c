/* Tests train/schedule.c: values worked out by hand from the formulas of transformers, fairseq and
 * BERT's original. */
#include "train/schedule.h"

#include "tests/test.h"

static void warms_up_and_falls_linearly(void)
{
    static const double want[] = {0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0};
    const Schedule s = {.kind = SCHEDULE_LINEAR, .learning_rate = 2e-5, .updates = 10, .warmup = 2};

    for (int u = 0; u <= 10; u++)
        CHECK_NEAR(schedule_rate(&s, u) / 2e-5, want[u], 1e-12);
    CHECK_NEAR(schedule_rate(&s, 11), 0, 0); // never negative
}

static void falls_from_the_peak_without_warmup(void)
{
    const Schedule s = {.kind = SCHEDULE_LINEAR, .learning_rate = 3e-5, .updates = 4};

    CHECK_NEAR(schedule_rate(&s, 0), 3e-5, 0);
    CHECK_NEAR(schedule_rate(&s, 1) / 3e-5, 0.75, 1e-12);
    CHECK_NEAR(schedule_rate(&s, 3) / 3e-5, 0.25, 1e-12);
}

/* BERT's decay counts from the first update, so the rate falls from r (w - 1) / w to r (1 - w / U). */
static void google_jumps_at_the_end_of_warmup(void)
{
    const Schedule s = {.kind = SCHEDULE_GOOGLE, .learning_rate = 1, .updates = 20, .warmup = 5};

    CHECK_NEAR(schedule_rate(&s, 0), 0, 0);
    CHECK_NEAR(schedule_rate(&s, 4), 0.8, 1e-12);
    CHECK_NEAR(schedule_rate(&s, 5), 0.75, 1e-12);
    CHECK_NEAR(schedule_rate(&s, 19), 0.05, 1e-12);
    CHECK_NEAR(schedule_rate(&s, 20), 0, 0);
}

static void cosine_passes_half_in_the_middle(void)
{
    Schedule s = {.kind = SCHEDULE_COSINE, .learning_rate = 1, .updates = 12, .warmup = 4};

    CHECK_NEAR(schedule_rate(&s, 2), 0.5, 1e-12);
    CHECK_NEAR(schedule_rate(&s, 4), 1, 1e-12);
    CHECK_NEAR(schedule_rate(&s, 6), 0.8535533905932737, 1e-12); // (1 + cos(pi / 4)) / 2
    CHECK_NEAR(schedule_rate(&s, 8), 0.5, 1e-12);
    CHECK_NEAR(schedule_rate(&s, 12), 0, 1e-12);
    s.least_ratio = 0.1;
    CHECK_NEAR(schedule_rate(&s, 8), 0.55, 1e-12);
    CHECK_NEAR(schedule_rate(&s, 12), 0.1, 1e-12);
}

static void inverse_sqrt_is_the_peak_at_the_end_of_warmup(void)
{
    Schedule s = {.kind = SCHEDULE_INVERSE_SQRT, .learning_rate = 1, .updates = 100, .warmup = 4};

    CHECK_NEAR(schedule_rate(&s, 1), 0.25, 1e-12);
    CHECK_NEAR(schedule_rate(&s, 4), 0.8944271909999159, 1e-12); // sqrt(4 / 5)
    CHECK_NEAR(schedule_rate(&s, 15), 0.5, 1e-12);
    CHECK_NEAR(schedule_rate(&s, 99), 0.2, 1e-12);
    s.warmup = 0;
    CHECK_NEAR(schedule_rate(&s, 0), 1, 0);
    CHECK_NEAR(schedule_rate(&s, 3), 0.5, 1e-12);
}

static void wsd_stays_then_falls(void)
{
    const Schedule s = {.kind = SCHEDULE_WSD,
                        .learning_rate = 1,
                        .updates = 20,
                        .warmup = 2,
                        .least_ratio = 0.2,
                        .decay_share = 0.25};

    CHECK_NEAR(schedule_rate(&s, 1), 0.5, 1e-12);
    CHECK_NEAR(schedule_rate(&s, 14), 1, 0);
    CHECK_NEAR(schedule_rate(&s, 15), 1, 1e-12);
    CHECK_NEAR(schedule_rate(&s, 16), 0.84, 1e-12);
    CHECK_NEAR(schedule_rate(&s, 20), 0.2, 1e-12);
}

static void constant_stays(void)
{
    const Schedule s = {.kind = SCHEDULE_CONSTANT, .learning_rate = 0.3, .updates = 5, .warmup = 2};

    CHECK_NEAR(schedule_rate(&s, 1), 0.15, 1e-12);
    CHECK_NEAR(schedule_rate(&s, 2), 0.3, 0);
    CHECK_NEAR(schedule_rate(&s, 1000000), 0.3, 0);
}

/* Warm-up as long as the run, or longer: finite everywhere. */
static void survives_a_warmup_of_the_whole_run(void)
{
    for (int kind = SCHEDULE_CONSTANT; kind <= SCHEDULE_GOOGLE; kind++) {
        Schedule s = {.kind = (ScheduleKind)kind,
                      .learning_rate = 1,
                      .updates = 3,
                      .warmup = 3,
                      .decay_share = 1};
        for (int u = 0; u <= 4; u++)
            CHECK(schedule_rate(&s, u) >= 0 && schedule_rate(&s, u) <= 1);
        s.warmup = 9;
        CHECK_NEAR(schedule_rate(&s, 2), 2.0 / 9, 1e-12);
    }
}

int main(void)
{
    RUN(warms_up_and_falls_linearly);
    RUN(falls_from_the_peak_without_warmup);
    RUN(google_jumps_at_the_end_of_warmup);
    RUN(cosine_passes_half_in_the_middle);
    RUN(inverse_sqrt_is_the_peak_at_the_end_of_warmup);
    RUN(wsd_stays_then_falls);
    RUN(constant_stays);
    RUN(survives_a_warmup_of_the_whole_run);
    return test_result();
}
