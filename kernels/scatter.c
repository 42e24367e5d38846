/* scatter.c - sums rows by place in a fixed order. */
#include "kernels/scatter.h"

#include "kernels/vector.h"

enum {
    SCATTER_COLUMNS = 128, // summed at a time
    SCATTER_ROWS = 32,     // to a partial sum
    SCATTER_FEW = 64,      // places: then threads share the columns, not the places
    SCATTER_BLOCK = 128,   // places handed to a thread at a time
};

size_t scatter_scratch(int64_t count, int64_t places)
{
    return arena_round((size_t)(count + places + 1) * sizeof(int32_t));
}

/* order[first[p]] up to order[first[p + 1]] are the rows with place p, ascending. */
static void sort_by_place(int32_t *first, int32_t *order, const int32_t *place, int64_t count,
                          int64_t places)
{
    memset(first, 0, (size_t)(places + 1) * sizeof *first);
    for (int64_t n = 0; n < count; n++)
        if (place[n] >= 0 && place[n] < places)
            first[place[n]]++;
    for (int64_t p = 1; p <= places; p++)
        first[p] += first[p - 1];
    for (int64_t n = count - 1; n >= 0; n--)
        if (place[n] >= 0 && place[n] < places)
            order[--first[place[n]]] = (int32_t)n;
}

typedef struct Scatter {
    const Tensor *dx, *dy;
    const int32_t *first, *order;
    bool add;
} Scatter;

/* part = the rows of [start, stop) at columns [from, from + n), one after another. */
VECTOR_INLINE void sum_run(const Scatter *s, int32_t start, int32_t stop, int64_t from, int64_t n,
                           float *part)
{
    float room[SCATTER_COLUMNS];

    vector_write(part, F32,
                 vector_read(vector_at(s->dy, s->order[start], from), s->dy->dtype, n, room), n);
    for (int32_t i = start + 1; i < stop; i++) {
        const float *row = vector_read(vector_at(s->dy, s->order[i], from), s->dy->dtype, n, room);
#pragma omp simd
        for (int64_t k = 0; k < n; k++)
            part[k] += row[k];
    }
}

/* Columns [from, from + n) of place p. */
VECTOR_INLINE void sum_place(const Scatter *s, int64_t p, int64_t from, int64_t n)
{
    float total[SCATTER_COLUMNS], part[SCATTER_COLUMNS];
    const int32_t stop = s->first[p + 1];
    void *to = vector_at(s->dx, p, from);
    int32_t start = s->first[p], next = start + SCATTER_ROWS < stop ? start + SCATTER_ROWS : stop;

    if (start == stop) {
        if (!s->add)
            memset(to, 0, (size_t)n * dtype_size(s->dx->dtype));
        return;
    }
    sum_run(s, start, next, from, n, total);
    for (start = next; start < stop; start = next) {
        next = start + SCATTER_ROWS < stop ? start + SCATTER_ROWS : stop;
        sum_run(s, start, next, from, n, part);
#pragma omp simd
        for (int64_t k = 0; k < n; k++)
            total[k] += part[k];
    }
    vector_give(to, s->dx->dtype, s->add, total, n);
}

CLONES static void sum_few(const Scatter *s, int64_t places, int64_t C, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t from = 0; from < C; from += SCATTER_COLUMNS)
        for (int64_t p = 0; p < places; p++)
            sum_place(s, p, from, C - from < SCATTER_COLUMNS ? C - from : SCATTER_COLUMNS);
}

CLONES static void sum_many(const Scatter *s, int64_t places, int64_t C, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(dynamic, SCATTER_BLOCK)
    for (int64_t p = 0; p < places; p++)
        if (s->first[p] == s->first[p + 1] && s->add)
            continue;
        else if (s->first[p] == s->first[p + 1])
            memset(vector_at(s->dx, p, 0), 0, (size_t)C * dtype_size(s->dx->dtype));
        else
            for (int64_t from = 0; from < C; from += SCATTER_COLUMNS)
                sum_place(s, p, from, C - from < SCATTER_COLUMNS ? C - from : SCATTER_COLUMNS);
}

void scatter_rows(const Device *d, const Tensor *dx, const Tensor *dy, const int32_t *place,
                  int64_t count, bool add, void *scratch)
{
    const int64_t places = tensor_rows(dx), C = tensor_columns(dx);
    const int threads = vector_threads(d, (add ? count : count + places) * C);
    int32_t *first = scratch, *order = first + places + 1;
    const Scatter s = {dx, dy, first, order, add};

    sort_by_place(first, order, place, count, places);
    if (places < SCATTER_FEW)
        sum_few(&s, places, C, threads);
    else
        sum_many(&s, places, C, threads);
}
