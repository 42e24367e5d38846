/* recurrent_forward.c - the recurrence of the sequences of one work item; see recurrent.h. */
#include "kernels/recurrent_parts.h"
#include "kernels/vector.h"

typedef struct Forward {
    const Call *c;
    const RecurrentShape *s;
    const int32_t *offsets, *order; // sequences by rank
    int64_t d, first;               // direction; rank of the first row
    float *h[2], *cell;             // [most, state]
    int64_t *place;                 // [most]
    float *left;
} Forward;

static int64_t sequence_of(const Forward *f, int64_t i)
{
    return f->order[f->first + i * f->s->items];
}

static int64_t length_of(const Forward *f, int64_t i)
{
    const int64_t b = sequence_of(f, i);
    return f->offsets[b + 1] - f->offsets[b];
}

static void read_state(float *to, const Tensor *from, int64_t row, int64_t H)
{
    if (!from) {
        memset(to, 0, (size_t)H * sizeof *to);
        return;
    }
    const float *there = vector_read(vector_at(from, row, 0), from->dtype, H, to);
    if (there != to)
        memcpy(to, there, (size_t)H * sizeof *to);
}

/* The states that row i ends with. */
static void write_last(const Forward *f, int64_t i, const float *h)
{
    const RecurrentShape *s = f->s;
    const int64_t row = f->d * s->B + sequence_of(f, i);
    Tensor *const *out = f->c->out;

    vector_write(vector_at(out[H_LAST], row, 0), out[H_LAST]->dtype, h + i * s->state, s->H);
    if (s->kind == LSTM)
        vector_write(vector_at(out[C_LAST], row, 0), out[C_LAST]->dtype, f->cell + i * s->state,
                     s->H);
}

/* Rows of y and of what backward reads, of the step just taken. */
static void write_step(const Forward *f, int64_t rows, const float *h)
{
    const RecurrentShape *s = f->s;
    const Tensor *y = f->c->out[Y], *cell = f->c->save[CELL];

    for (int64_t i = 0; i < rows; i++) {
        vector_write(vector_at(y, f->place[i], f->d * s->H), y->dtype, h + i * s->state, s->H);
        if (cell)
            vector_write(vector_at(cell, f->place[i], f->d * s->H), F32, f->cell + i * s->state,
                         s->H);
    }
}

static Forward forward_open(const Call *c, const RecurrentShape *s, int64_t item)
{
    const RecurrentPlan *p = c->plan;
    char *scratch = c->scratch;
    const int64_t block = s->most * s->state;
    Forward f = {.c = c,
                 .s = s,
                 .offsets = c->in[OFFSETS]->data,
                 .order = (const int32_t *)(const void *)(scratch + p->order),
                 .d = item / s->items,
                 .first = item % s->items};

    f.h[0] = (float *)(void *)(scratch + p->states) + item * 3 * block;
    f.h[1] = f.h[0] + block;
    f.cell = f.h[1] + block;
    f.place = (int64_t *)(void *)(scratch + p->places) + item * s->most;
    f.left = (float *)(void *)(scratch + p->left) + item * p->left_floats;
    return f;
}

static RecurrentStep step_of(const Forward *f)
{
    const Call *c = f->c;
    const RecurrentShape *s = f->s;
    const RecurrentPlan *p = c->plan;
    const RecurrentCall *args = recurrent_args(c);
    char *scratch = c->scratch;
    float *gates = c->save[GATES] ? c->save[GATES]->data : (void *)(scratch + p->gates_at);

    return (RecurrentStep){
        .kind = s->kind,
        .relu = args->relu,
        .keep = c->save[GATES] != NULL,
        .H = s->H,
        .state = s->state,
        .weight =
            (const float *)(const void *)(scratch + p->weight) + f->d * s->G * s->H * s->state,
        .bias =
            (const float *)(const void *)(scratch + p->bias) + s->D * s->G * s->H + f->d * s->state,
        .cell = f->cell,
        .gates = gates + f->d * s->G * s->H,
        .gates_row = s->D * s->G * s->H,
        .place = f->place,
        .left = f->left,
    };
}

void recurrent_forward_item(const Call *c, const RecurrentShape *s, int64_t item)
{
    const RecurrentPlan *plan = c->plan;
    const Forward f = forward_open(c, s, item);
    RecurrentStep p = step_of(&f);
    int64_t rows = (s->B - f.first + s->items - 1) / s->items;

    for (int64_t i = 0; i < rows; i++) {
        const int64_t row = f.d * s->B + sequence_of(&f, i);
        read_state(f.h[0] + i * s->state, c->in[H0], row, s->H);
        read_state(f.cell + i * s->state, c->in[C0], row, s->H);
    }
    for (int64_t t = 0;; t++) {
        for (; rows > 0 && length_of(&f, rows - 1) <= t; rows--)
            write_last(&f, rows - 1, f.h[t % 2]);
        if (rows == 0)
            break;
        for (int64_t i = 0; i < rows; i++)
            f.place[i] = recurrent_row(f.offsets, sequence_of(&f, i), f.d, t);
        p.rows = rows;
        p.before = f.h[t % 2];
        p.h = f.h[(t + 1) % 2];
        plan->blocks->step(&p);
        write_step(&f, rows, p.h);
    }
}
