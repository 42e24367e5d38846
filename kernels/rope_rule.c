/* rope_rule.c - RopeArgs with every default filled in; formulas: rope.h. */
#include "kernels/rope.h"

static double or_else(double given, double otherwise)
{
    return given != 0 ? given : otherwise;
}

/* How much larger logits are to be where the context is `factor` times as long (Peng et al. 2023). */
static double yarn_magnitude(double factor, double mscale)
{
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

static double magnitude_of(const RopeArgs *a, double factor)
{
    if (a->magnitude != 0)
        return a->magnitude;
    if (a->scaling == ROPE_YARN && a->mscale != 0 && a->mscale_all_dim != 0)
        return yarn_magnitude(factor, a->mscale) / yarn_magnitude(factor, a->mscale_all_dim);
    if (a->scaling == ROPE_YARN)
        return yarn_magnitude(factor, 1);
    if (a->scaling == ROPE_LONGROPE && factor > 1)
        return sqrt(1 + log(factor) / log(a->original_positions));
    return 1;
}

/* The pair, a fraction, that turns `turns` times in the original positions. */
static double pair_of_turns(const RopeArgs *a, const RopeRule *r, double turns)
{
    return r->pairs * log(a->original_positions / (turns * 6.283185307179586)) / log(r->theta);
}

static void yarn_ramp(const RopeArgs *a, RopeRule *r)
{
    const double low = pair_of_turns(a, r, or_else(a->beta_fast, 32));
    const double high = pair_of_turns(a, r, or_else(a->beta_slow, 1));

    r->low = fmax(a->untruncated ? low : floor(low), 0);
    r->high = fmin(a->untruncated ? high : ceil(high), 2 * r->pairs - 1);
    if (r->low == r->high)
        r->high += 0.001; // a step, not a division by zero
}

RopeRule rope_rule(const RopeArgs *a, int64_t columns)
{
    const int64_t width = columns / a->heads;
    RopeRule r = {
        .form = a->form,
        .scaling = a->scaling,
        .heads = a->turned ? a->turned : a->heads,
        .width = width,
        .pairs = (a->rotary ? a->rotary : (int)width) / 2,
        .theta = or_else(a->theta, 10000),
        .factor = a->factor,
        .low = or_else(a->low_frequency_factor, 1),
        .high = or_else(a->high_frequency_factor, 4),
        .max_positions = a->max_positions,
        .original_positions = a->original_positions,
        .by_length = a->scaling == ROPE_DYNAMIC || a->scaling == ROPE_LONGROPE,
    };

    if (r.factor == 0 && a->original_positions > 0)
        r.factor = a->max_positions / a->original_positions;
    r.magnitude = (float)magnitude_of(a, r.factor);
    if (a->scaling == ROPE_YARN)
        yarn_ramp(a, &r);
    return r;
}
