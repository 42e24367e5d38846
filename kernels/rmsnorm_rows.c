/* rmsnorm_rows.c - the rows of rmsnorm and add_rmsnorm on the CPU; formulas: rmsnorm.h. */
#include "kernels/inputs.h"
#include "kernels/norm_rows.h"
#include "kernels/rmsnorm.h"

#include <inttypes.h>
#include <math.h>
#include <omp.h>
#include <string.h>

enum { BUFFERS = 4 };

Status rmsnorm_fits(const Call *c, int weight)
{
    const int64_t C = tensor_columns(c->in[0]);
    Status s = input_float(c, 0, "x");

    s = s ? s : input_weight(c, weight, "weight");
    if (!s && tensor_size(c->in[weight]) != C)
        s = fail(E_SHAPE, "%s: rows of %" PRId64 ", weight of %" PRId64, c->op->name, C,
                 tensor_size(c->in[weight]));
    return s;
}

size_t rmsnorm_forward_bytes(int64_t C, int threads)
{
    return (size_t)((BUFFERS * threads + 1) * norm_room(C)) * sizeof(float);
}

size_t rmsnorm_backward_bytes(int64_t N, int64_t C, int threads)
{
    return (size_t)((BUFFERS * threads + 1 + norm_slices(N)) * norm_room(C)) * sizeof(float);
}

/* y = z * weight for one row of C numbers; returns r. */
CLONES static float normalise(const float *s, const float *weight, int64_t C, float epsilon,
                              float *y)
{
    float square = 0;

#pragma omp simd reduction(+ : square)
    for (int64_t i = 0; i < C; i++)
        square += s[i] * s[i];
    const float rstd = 1 / sqrtf(square / (float)C + epsilon);

#pragma omp simd
    for (int64_t i = 0; i < C; i++)
        y[i] = s[i] * rstd * weight[i];
    return rstd;
}

void rmsnorm_forward_rows(const NormForward *p, int threads, void *scratch)
{
    const int64_t N = tensor_rows(p->x), C = tensor_columns(p->x), room = norm_room(C);
    const float *weight = norm_read(p->weight, 0, (float *)scratch + BUFFERS * threads * room);

#pragma omp parallel num_threads(threads)
    {
        float *own = (float *)scratch + omp_get_thread_num() * BUFFERS * room;
        float *buffer[] = {own, own + room, own + 2 * room, own + 3 * room};
#pragma omp for schedule(static)
        for (int64_t n = 0; n < N; n++) {
            const float *s = norm_sum(p->x, p->residual, p->sum, n, buffer);
            float *y = norm_place(p->y, n, false, buffer[3]);
            const float rstd = normalise(s, weight, C, p->epsilon, y);

            norm_give(p->y, n, false, y);
            if (p->rstd)
                ((float *)p->rstd->data)[n] = rstd;
        }
    }
}

/* mean(g z) of one row, and its part of dw. */
CLONES static float sum_row(const float *s, const float *dy, const float *weight, int64_t C,
                            float rstd, float *dweight)
{
    float gz = 0;

#pragma omp simd reduction(+ : gz)
    for (int64_t i = 0; i < C; i++) {
        const float z = s[i] * rstd, part = dy[i] * z;
        gz += part * weight[i];
        dweight[i] += part;
    }
    return gz / (float)C;
}

/* Into d and `too`, which may be one. */
CLONES static void gradient_row(const float *s, const float *dy, const float *weight,
                                const float *dsum, int64_t C, float rstd, float mean_gz, float *d,
                                float *too)
{
    const float slope = rstd * rstd * mean_gz;

    if (dsum) {
#pragma omp simd
        for (int64_t i = 0; i < C; i++)
            d[i] = too[i] = rstd * (dy[i] * weight[i]) - s[i] * slope + dsum[i];
    } else {
#pragma omp simd
        for (int64_t i = 0; i < C; i++)
            d[i] = too[i] = rstd * (dy[i] * weight[i]) - s[i] * slope;
    }
}

/* Row n; part: this slice's dw. dx may lie where dy lies and dresidual where dsum lies: each element
 * is read before it is written. */
static void backward_row(const NormBackward *p, int64_t n, const float *weight, float *part,
                         float *buffer[])
{
    const int64_t C = tensor_columns(p->sum);
    const float *dsum = p->dsum ? norm_read(p->dsum, n, buffer[2]) : NULL;
    float *d = norm_place(p->dx, n, p->add & ADD_DX, buffer[3]);
    float *too = norm_place(p->dresidual, n, p->add & ADD_DRESIDUAL, d);

    if (p->dy) {
        const float *s = norm_read(p->sum, n, buffer[0]);
        const float *dy = norm_read(p->dy, n, buffer[1]);
        const float rstd = ((const float *)p->rstd->data)[n];
        const float mean_gz = sum_row(s, dy, weight, C, rstd, part);

        gradient_row(s, dy, weight, dsum, C, rstd, mean_gz, d, too);
    } else if (dsum) {
        memmove(d, dsum, (size_t)C * sizeof *d);
        memmove(too, d, (size_t)C * sizeof *d);
    }
    if (p->dx)
        norm_give(p->dx, n, p->add & ADD_DX, d);
    if (p->dresidual)
        norm_give(p->dresidual, n, p->add & ADD_DRESIDUAL, too);
}

void rmsnorm_backward_rows(const NormBackward *p, int threads, void *scratch)
{
    const int64_t N = tensor_rows(p->sum), C = tensor_columns(p->sum), room = norm_room(C);
    const int64_t size = norm_slice_rows(N), slices = norm_slices(N);
    float *shared = (float *)scratch + BUFFERS * threads * room, *parts = shared + room;
    const float *weight = norm_read(p->weight, 0, shared);

#pragma omp parallel num_threads(threads)
    {
        float *own = (float *)scratch + omp_get_thread_num() * BUFFERS * room;
        float *buffer[] = {own, own + room, own + 2 * room, own + 3 * room};
#pragma omp for schedule(static)
        for (int64_t k = 0; k < slices; k++) {
            float *part = parts + k * room;
            memset(part, 0, (size_t)room * sizeof *part);
            for (int64_t n = k * size; n < N && n < (k + 1) * size; n++)
                backward_row(p, n, weight, part, buffer);
        }
#pragma omp for schedule(static)
        for (int64_t from = 0; from < C; from += NORM_COLUMN_BLOCK)
            norm_fold(p->dweight, p->add & ADD_DWEIGHT, parts, slices, room, from);
    }
}
