/* rope.c - the rotary position embedding operator and its CPU kernels; frequencies: rope.h.
 *
 * With (a, b) a pair of columns of a row at position p, c = m cos(p f), s = m sin(p f):
 *
 *   y_a = a c - b s      da =  dy_a c + dy_b s
 *   y_b = b c + a s      db = -dy_a s + dy_b c
 *
 * Backward is the inverse rotation. cos and sin are calculated once a row and serve all its heads.
 */
#include "kernels/rope.h"

#include "kernels/inputs.h"
#include "kernels/vector.h"

#include <inttypes.h>

static Status heads_fit(const RopeArgs *a, int64_t C)
{
    const int64_t D = a->heads > 0 ? C / a->heads : 0;

    if (a->heads <= 0 || C % a->heads)
        return fail(E_SHAPE, "rope: rows of %" PRId64 " do not divide into %d heads", C, a->heads);
    if (a->turned < 0 || a->turned > a->heads)
        return fail(E_SHAPE, "rope: %d heads of %d are to be turned", a->turned, a->heads);
    if (a->rotary < 0 || a->rotary > D || (a->rotary ? a->rotary : D) % 2 ||
        (a->rotary ? a->rotary : D) > 2 * ROPE_PAIRS)
        return fail(E_SHAPE,
                    "rope: %" PRId64 " rotary columns in heads of %" PRId64
                    ", expected an even number up to %d",
                    a->rotary ? (int64_t)a->rotary : D, D, 2 * ROPE_PAIRS);
    return OK;
}

/* What each scaling cannot do without. */
static Status scaling_fits(const RopeArgs *a, int64_t pairs)
{
    const bool lengths = a->max_positions > 0 && a->original_positions > 0;

    if ((int)a->form < 0 || a->form > ROPE_INTERLEAVED || (int)a->scaling < 0 ||
        a->scaling >= ROPE_SCALINGS)
        return fail(E_SHAPE, "rope: form %d and scaling %d, expected one of each enum",
                    (int)a->form, (int)a->scaling);
    if (!(a->theta == 0 || a->theta > 1))
        return fail(E_SHAPE, "rope: theta is %g, expected more than 1", a->theta);
    if (a->scaling == ROPE_PLAIN || a->scaling == ROPE_FREQUENCIES)
        return OK;
    if (!(a->factor > 0) &&
        !(a->factor == 0 && lengths && (a->scaling == ROPE_YARN || a->scaling == ROPE_LONGROPE)))
        return fail(E_SHAPE, "rope: the factor of its scaling is %g, expected more than 0",
                    a->factor);
    if (a->scaling == ROPE_DYNAMIC && (!(a->max_positions > 0) || pairs < 2))
        return fail(E_SHAPE,
                    "rope: dynamic scaling of %" PRId64 " pairs with max_positions %g, expected 2 "
                    "pairs and 1 position at least",
                    pairs, a->max_positions);
    if (a->scaling >= ROPE_YARN && !(a->original_positions > 1))
        return fail(E_SHAPE, "rope: original_positions is %g, expected more than 1",
                    a->original_positions);
    if (a->low_frequency_factor != 0 && !(a->high_frequency_factor > a->low_frequency_factor))
        return fail(E_SHAPE, "rope: high_frequency_factor is %g, expected more than the low, %g",
                    a->high_frequency_factor, a->low_frequency_factor);
    return OK;
}

static Status table_fits(const Call *c, int64_t pairs)
{
    const RopeArgs *a = c->args;
    const bool wanted = a->scaling == ROPE_LONGROPE || a->scaling == ROPE_FREQUENCIES;
    const int64_t count = a->scaling == ROPE_LONGROPE ? 2 * pairs : pairs;

    if (!wanted)
        return c->in[ROPE_TABLE] ? fail(E_SHAPE, "rope: a table is given, its scaling has none")
                                 : OK;
    Status s = input_f32(c, ROPE_TABLE, count, "table");
    if (!s && tensor_size(c->in[ROPE_TABLE]) != count)
        s = fail(E_SHAPE, "rope: table has %" PRId64 " elements, expected %" PRId64,
                 tensor_size(c->in[ROPE_TABLE]), count);
    return s;
}

static Status rope_shape(Call *c)
{
    const RopeArgs *a = c->args;
    const Tensor *x = c->in[ROPE_X];
    Status s = input_float(c, ROPE_X, "x");

    s = s ? s : heads_fit(a, tensor_columns(x));
    if (s)
        return s;
    const int64_t pairs = (a->rotary ? a->rotary : tensor_columns(x) / a->heads) / 2;
    s = scaling_fits(a, pairs);
    s = s ? s : table_fits(c, pairs);
    s = s ? s : input_integers(c, ROPE_POSITION, tensor_rows(x), "positions");
    s = s ? s : input_integers(c, ROPE_OFFSETS, -1, "offsets");
    if (!s)
        call_output(c, 0, x->dtype, x->ndim, x->dim);
    return s ? s : graph_status(c->graph);
}

static RopeRule rule_of(const Call *c)
{
    return rope_rule(c->args, tensor_columns(c->in[ROPE_X]));
}

static Status rope_prepare_cpu(Call *c)
{
    const RopeRule r = rule_of(c);
    const int64_t B = tensor_size(c->in[ROPE_OFFSETS]) - 1;

    c->scratch_bytes = (size_t)((r.by_length ? B : 1) * r.pairs + 1) * sizeof(uint64_t);
    return OK;
}

/* turn[b][i] of pair i in sequence b; where lengths do not matter, of b = 0 alone. */
static void fill_turns(const Call *c, const RopeRule *r, uint64_t *turn)
{
    const int32_t *offsets = c->in[ROPE_OFFSETS]->data, *position = c->in[ROPE_POSITION]->data;
    const float *table = c->in[ROPE_TABLE] ? c->in[ROPE_TABLE]->data : NULL;
    const int64_t B = r->by_length ? tensor_size(c->in[ROPE_OFFSETS]) - 1 : 1;

#pragma omp parallel for num_threads(r->by_length ? c->device->threads : 1) schedule(static)
    for (int64_t b = 0; b < B; b++) {
        const bool empty = !r->by_length || offsets[b + 1] == offsets[b];
        const int64_t length = empty ? 0 : (int64_t)position[offsets[b + 1] - 1] + 1;
        for (int i = 0; i < r->pairs; i++)
            turn[b * r->pairs + i] = rope_turn(rope_frequency(r, i, length, table));
    }
}

/* The sequence of row n: offsets[b] <= n < offsets[b + 1]. */
static int64_t sequence_of(const int32_t *offsets, int64_t B, int64_t n)
{
    int64_t low = 0, high = B - 1;

    while (low < high) {
        const int64_t middle = (low + high + 1) / 2;
        if (offsets[middle] <= n)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

VECTOR_INLINE void row_angles(const RopeRule *r, const uint64_t *turn, int32_t position, float sign,
                              float *cos, float *sin)
{
#pragma omp simd
    for (int i = 0; i < r->pairs; i++) {
        rope_cos_sin(turn[i], position, &cos[i], &sin[i]);
        cos[i] *= r->magnitude;
        sin[i] *= r->magnitude * sign;
    }
}

/* The rotary columns of one head; y may be x. */
VECTOR_INLINE void turn_head(const RopeRule *r, float *y, const float *x, const float *cos,
                             const float *sin)
{
    const int h = r->pairs;

    if (r->form == ROPE_HALVES) {
#pragma omp simd
        for (int i = 0; i < h; i++) {
            const float a = x[i], b = x[h + i];
            y[i] = a * cos[i] - b * sin[i];
            y[h + i] = b * cos[i] + a * sin[i];
        }
    } else {
#pragma omp simd
        for (int i = 0; i < h; i++) {
            const float a = x[2 * i], b = x[2 * i + 1];
            y[2 * i] = a * cos[i] - b * sin[i];
            y[2 * i + 1] = b * cos[i] + a * sin[i];
        }
    }
}

/* Columns that do not turn. */
VECTOR_INLINE void pass_columns(const Tensor *y, const Tensor *x, int64_t n, int64_t from,
                                int64_t count, bool add)
{
    void *to = vector_at(y, n, from);
    const void *at = vector_at(x, n, from);
    float room[VECTOR_STRETCH];

    if (!add && to != at)
        memcpy(to, at, (size_t)count * dtype_size(y->dtype));
    for (int64_t i = 0; i < count && add; i += VECTOR_STRETCH) {
        const int64_t part = vector_stretch(count - i);
        vector_give(vector_at(y, n, from + i), y->dtype, true,
                    vector_read(vector_at(x, n, from + i), x->dtype, part, room), part);
    }
}

VECTOR_INLINE void turn_row(const RopeRule *r, const Tensor *y, const Tensor *x, int64_t n,
                            const float *cos, const float *sin, bool add)
{
    const int64_t R = 2 * r->pairs, turned = r->heads * r->width;
    float room[2 * ROPE_PAIRS], y_room[2 * ROPE_PAIRS];

    for (int64_t at = 0; at < turned; at += r->width) {
        void *to = vector_at(y, n, at);
        float *out = add ? y_room : vector_place(to, y->dtype, y_room);

        turn_head(r, out, vector_read(vector_at(x, n, at), x->dtype, R, room), cos, sin);
        vector_give(to, y->dtype, add, out, R);
        if (r->width > R)
            pass_columns(y, x, n, at + R, r->width - R, add);
    }
    if (tensor_columns(x) > turned)
        pass_columns(y, x, n, turned, tensor_columns(x) - turned, add);
}

/* y = x turned forwards (sign 1) or backwards (sign -1). */
CLONES static void turn_rows(const Call *c, const Tensor *y, const Tensor *x, float sign, bool add)
{
    const RopeRule r = rule_of(c);
    const int32_t *offsets = c->in[ROPE_OFFSETS]->data, *position = c->in[ROPE_POSITION]->data;
    const int64_t N = tensor_rows(x), B = tensor_size(c->in[ROPE_OFFSETS]) - 1;
    uint64_t *turn = c->scratch;

    fill_turns(c, &r, turn);
#pragma omp parallel for num_threads(vector_threads(c->device, tensor_size(x))) schedule(static)
    for (int64_t n = 0; n < N; n++) {
        float cos[ROPE_PAIRS], sin[ROPE_PAIRS];
        const int64_t b = r.by_length && n < offsets[B] ? sequence_of(offsets, B, n) : 0;

        if (n < offsets[B]) {
            row_angles(&r, turn + b * r.pairs, position[n], sign, cos, sin);
            turn_row(&r, y, x, n, cos, sin, add);
        } else if (!add) {
            memset(tensor_row(y, n), 0, (size_t)tensor_columns(y) * dtype_size(y->dtype));
        }
    }
}

static void rope_forward_cpu(Call *c)
{
    turn_rows(c, c->out[0], c->in[ROPE_X], 1, false);
}

static void rope_backward_cpu(Call *c)
{
    if (c->din[ROPE_X])
        turn_rows(c, c->din[ROPE_X], c->dout[0], -1, c->accumulate & 1u << ROPE_X);
}

const Op rope_op = {
    .name = "rope",
    .shape = rope_shape,
    .prepare = {rope_prepare_cpu, IF_CUDA(rope_prepare_cuda)},
    .forward = {rope_forward_cpu, IF_CUDA(rope_forward_cuda)},
    .backward = {rope_backward_cpu, IF_CUDA(rope_backward_cuda)},
    .reads_inputs = 1u << ROPE_POSITION | 1u << ROPE_OFFSETS | 1u << ROPE_TABLE,
    .in_place = 1u << ROPE_X,
    .backward_in_place = 1u << ROPE_X,
    .cheap = true,
};

Tensor *op_rope(Graph *g, Tensor *x, const Rows *rows, Tensor *table, RopeArgs args)
{
    return call_result(graph_record(g, &rope_op, INPUTS(x, rows->position, rows->offsets, table),
                                    &args, sizeof args),
                       0);
}
