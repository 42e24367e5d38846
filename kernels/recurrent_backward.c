/* recurrent_backward.c - the gradient of the recurrence of the sequences of one work item; see
 * recurrent.h. */
#include "kernels/recurrent_parts.h"
#include "kernels/vector.h"

typedef struct Backward {
    const Call *c;
    const RecurrentShape *s;
    const int32_t *offsets, *order; // sequences by rank
    int64_t d, first;               // direction; rank of the first row
    float *dh, *dc;                 // [most, state], carried
    float *dgates, *dgates_h;       // of this direction, [N, gates_row]
    float *sums;                    // [B, parts * H] of this direction
    int64_t parts;
    int64_t *place; // [most]
} Backward;

static int64_t sequence_of(const Backward *b, int64_t i)
{
    return b->order[b->first + i * b->s->items];
}

static int64_t length_of(const Backward *b, int64_t i)
{
    const int64_t k = sequence_of(b, i);
    return b->offsets[k + 1] - b->offsets[k];
}

static Backward backward_open(const Call *c, const RecurrentShape *s, int64_t item)
{
    const RecurrentPlan *p = c->plan;
    char *scratch = c->scratch;
    const int64_t block = s->most * s->state, d = item / s->items, gates = s->G * s->H;
    const int64_t parts = s->kind == GRU ? 4 : s->G;
    Backward b = {.c = c,
                  .s = s,
                  .offsets = c->in[OFFSETS]->data,
                  .order = (const int32_t *)(const void *)(scratch + p->order),
                  .d = d,
                  .first = item % s->items,
                  .parts = parts};

    b.dh = (float *)(void *)(scratch + p->states) + item * 2 * block;
    b.dc = b.dh + block;
    b.dgates = (float *)(void *)(scratch + p->gates_at) + d * gates;
    b.dgates_h = s->kind == GRU ? (float *)(void *)(scratch + p->dgates_h) + d * gates : b.dgates;
    b.sums = (float *)(void *)(scratch + p->sums) + d * s->B * parts * s->H;
    b.place = (int64_t *)(void *)(scratch + p->places) + item * s->most;
    return b;
}

/* What comes in through the last states. */
static void start_row(const Backward *b, int64_t i)
{
    const RecurrentShape *s = b->s;
    const int64_t row = b->d * s->B + sequence_of(b, i);
    float *to[] = {b->dh + i * s->state, b->dc + i * s->state};
    const Tensor *from[] = {b->c->dout[H_LAST], s->kind == LSTM ? b->c->dout[C_LAST] : NULL};

    for (int k = 0; k < 2; k++) {
        memset(to[k], 0, (size_t)s->state * sizeof(float));
        if (from[k])
            vector_give(to[k], F32, false,
                        vector_read(vector_at(from[k], row, 0), from[k]->dtype, s->H, to[k]), s->H);
    }
    memset(b->sums + sequence_of(b, i) * b->parts * s->H, 0,
           (size_t)(b->parts * s->H) * sizeof(float));
}

static void finish_row(const Backward *b, int64_t i)
{
    const RecurrentShape *s = b->s;
    const int64_t row = b->d * s->B + sequence_of(b, i);
    const float *from[] = {b->dh + i * s->state, b->dc + i * s->state};

    for (int k = 0; k < 2; k++) {
        const Tensor *to = b->c->din[H0 + k];
        if (to)
            vector_give(vector_at(to, row, 0), to->dtype, b->c->accumulate >> (H0 + k) & 1, from[k],
                        s->H);
    }
}

/* n units from u on of the state before step t of row i: c of lstm, h of gru. */
VECTOR_INLINE const float *state_before(const Backward *b, int64_t i, int64_t t, int64_t u,
                                        int64_t n, float *room)
{
    const RecurrentShape *s = b->s;
    const bool lstm = s->kind == LSTM;
    const Tensor *from = t == 0 ? b->c->in[lstm ? C0 : H0] : lstm ? b->c->save[CELL] : b->c->out[Y];
    const int64_t k = sequence_of(b, i);

    if (!from) {
        memset(room, 0, (size_t)n * sizeof *room);
        return room;
    }
    const void *at =
        t == 0 ? vector_at(from, b->d * s->B + k, u)
               : vector_at(from, recurrent_row(b->offsets, k, b->d, t - 1), b->d * s->H + u);
    return vector_read(at, from->dtype, n, room);
}

/* The gates of row i at step t. */
static void slope_row(const Backward *b, int64_t i, int64_t t)
{
    const RecurrentShape *s = b->s;
    const RecurrentPlan *plan = b->c->plan;
    const Tensor *dy = b->c->dout[Y], *cell = b->c->save[CELL];
    const int64_t at = b->place[i], width = s->D * s->G * s->H, row = plan->gates_row;
    float room[VECTOR_STRETCH], dy_room[VECTOR_STRETCH];

    for (int64_t u = 0; u < s->H; u += VECTOR_STRETCH) {
        const int64_t n = vector_stretch(s->H - u);
        if (!dy)
            memset(dy_room, 0, sizeof dy_room);
        plan->blocks->slope(&(RecurrentSlope){
            .kind = s->kind,
            .relu = recurrent_args(b->c)->relu,
            .n = n,
            .H = s->H,
            .gates = (const float *)b->c->save[GATES]->data + at * width + b->d * s->G * s->H + u,
            .cell = cell ? vector_at(cell, at, b->d * s->H + u) : NULL,
            .before = s->kind == RNN ? NULL : state_before(b, i, t, u, n, room),
            .dy = dy ? vector_read(vector_at(dy, at, b->d * s->H + u), dy->dtype, n, dy_room)
                     : dy_room,
            .dh = b->dh + i * s->state + u,
            .dc = b->dc + i * s->state + u,
            .dgates = b->dgates + at * row + u,
            .dgates_h = b->dgates_h + at * row + u,
            .sums = b->sums + sequence_of(b, i) * b->parts * s->H + u,
        });
    }
}

void recurrent_backward_item(const Call *c, const RecurrentShape *s, int64_t item)
{
    const RecurrentPlan *plan = c->plan;
    const Backward b = backward_open(c, s, item);
    const int64_t all = (s->B - b.first + s->items - 1) / s->items;
    RecurrentProduct p = {
        .columns = s->H,
        .K = s->G * s->H,
        .a = b.dgates_h,
        .a_row = plan->gates_row,
        .place = b.place,
        .b = (const float *)(const void *)((const char *)c->scratch + plan->weight) +
             b.d * s->G * s->H * s->state,
        .c = b.dh,
        .c_row = s->state,
        .left = (float *)(void *)((char *)c->scratch + plan->left) + item * plan->left_floats,
    };

    for (int64_t i = 0; i < all; i++)
        start_row(&b, i);
    for (int64_t t = length_of(&b, 0) - 1; t >= 0; t--) {
        while (p.rows < all && length_of(&b, p.rows) > t)
            p.rows++;
        for (int64_t i = 0; i < p.rows; i++) {
            b.place[i] = recurrent_row(b.offsets, sequence_of(&b, i), b.d, t);
            slope_row(&b, i, t);
        }
        plan->blocks->product(&p);
    }
    for (int64_t i = 0; i < all; i++)
        finish_row(&b, i);
}
