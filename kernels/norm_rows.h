/* norm_rows.h - what layernorm_rows.c and rmsnorm_rows.c share: rows through scratch, slices of rows.
 *
 * A row is read from memory once and stays in the first cache for the passes over it. The sums over
 * rows that parameters' gradients are go in slices whose number depends on N alone; norm_fold() adds
 * the slices in order.
 */
#ifndef KERNELS_NORM_ROWS_H
#define KERNELS_NORM_ROWS_H

#include "kernels/vector.h"

enum { NORM_SLICES = 32, NORM_SLICE_ROWS = 16, NORM_COLUMN_BLOCK = 64 };

/* Floats that hold a row of C and keep the next one aligned. */
static inline int64_t norm_room(int64_t C)
{
    return (C + 63) / 64 * 64;
}

static inline int64_t norm_slice_rows(int64_t N)
{
    const int64_t rows = (N + NORM_SLICES - 1) / NORM_SLICES;
    return rows > NORM_SLICE_ROWS ? rows : NORM_SLICE_ROWS;
}

static inline int64_t norm_slices(int64_t N)
{
    return (N + norm_slice_rows(N) - 1) / norm_slice_rows(N);
}

/* Row n of x as F32, through `room` where it is stored narrower. */
static inline const float *norm_read(const Tensor *x, int64_t n, float *room)
{
    return vector_read(vector_at(x, n, 0), x->dtype, tensor_columns(x), room);
}

static inline void norm_give(const Tensor *x, int64_t n, bool add, const float *from)
{
    vector_give(vector_at(x, n, 0), x->dtype, add, from, tensor_columns(x));
}

/* Where to compute a row of a gradient: in place where it is F32 and overwritten. */
static inline float *norm_place(const Tensor *dx, int64_t n, bool add, float *otherwise)
{
    return dx && dx->dtype == F32 && !add ? tensor_row(dx, n) : otherwise;
}

/* sum = a + b */
CLONES static inline void norm_add(const float *a, const float *b, int64_t C, float *sum)
{
#pragma omp simd
    for (int64_t i = 0; i < C; i++)
        sum[i] = a[i] + b[i];
}

/* Row n of x, or of x + residual where there is one, as it is stored in sum, which may be NULL; from
 * memory or through room[0], room[1] and room[2]. */
static inline const float *norm_sum(const Tensor *x, const Tensor *residual, const Tensor *sum,
                                    int64_t n, float *const room[])
{
    const float *a = norm_read(x, n, room[0]);

    if (!residual)
        return a;
    const float *b = norm_read(residual, n, room[1]);
    float *s = norm_place(sum, n, false, room[2]);
    norm_add(a, b, tensor_columns(x), s);
    if (!sum || sum->dtype == F32)
        return s;
    norm_give(sum, n, false, s);
    return norm_read(sum, n, room[2]); // as backward and others will see it
}

/* Columns [from, from + NORM_COLUMN_BLOCK) of one parameter's gradient dx [C], or NULL, from
 * part[slices], rows `step` floats apart. */
static inline void norm_fold(const Tensor *dx, bool add, const float *part, int64_t slices,
                             int64_t step, int64_t from)
{
    float total[NORM_COLUMN_BLOCK];
    const int64_t left = dx ? tensor_size(dx) - from : 0;
    const int64_t n = left < NORM_COLUMN_BLOCK ? left : NORM_COLUMN_BLOCK;

    if (!dx)
        return;
    memset(total, 0, sizeof total);
    for (int64_t k = 0; k < slices; k++)
        for (int64_t i = 0; i < n; i++)
            total[i] += part[k * step + from + i];
    vector_give(vector_at(dx, 0, from), dx->dtype, add, total, n);
}

#endif
