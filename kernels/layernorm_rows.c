/* layernorm_rows.c - the rows of layernorm and add_layernorm on the CPU; formulas: layernorm.h. */
#include "kernels/inputs.h"
#include "kernels/layernorm.h"
#include "kernels/norm_rows.h"

#include <inttypes.h>
#include <math.h>
#include <omp.h>
#include <string.h>

enum { BUFFERS = 4 };

Status layernorm_fits(const Call *c, int weight, int bias)
{
    const int64_t C = tensor_columns(c->in[0]);
    Status s = input_float(c, 0, "x");

    s = s ? s : input_weight(c, weight, "weight");
    s = s ? s : input_weight(c, bias, "bias");
    if (!s && (tensor_size(c->in[weight]) != C || tensor_size(c->in[bias]) != C))
        s = fail(E_SHAPE, "%s: rows of %" PRId64 ", weight of %" PRId64 ", bias of %" PRId64,
                 c->op->name, C, tensor_size(c->in[weight]), tensor_size(c->in[bias]));
    return s;
}

size_t layernorm_forward_bytes(int64_t C, int threads)
{
    return (size_t)((BUFFERS * threads + 2) * norm_room(C)) * sizeof(float);
}

size_t layernorm_backward_bytes(int64_t N, int64_t C, int threads)
{
    return (size_t)((BUFFERS * threads + 1 + 2 * norm_slices(N)) * norm_room(C)) * sizeof(float);
}

/* y = z * weight + bias for one row of C numbers. */
CLONES static void normalise(const float *s, const float *weight, const float *bias, int64_t C,
                             float epsilon, float *y, float *mean_out, float *rstd_out)
{
    float sum = 0, rest = 0, square = 0;

#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < C; i++)
        sum += s[i];
    const float near = sum / (float)C; // as good as F32 sums of C numbers are

#pragma omp simd reduction(+ : rest, square)
    for (int64_t i = 0; i < C; i++) {
        const float d = s[i] - near;
        rest += d;
        square += d * d;
    }
    const float shift = rest / (float)C, mean = near + shift;
    const float variance = square / (float)C - shift * shift;
    const float rstd = 1 / sqrtf((variance < 0 ? 0 : variance) + epsilon);

#pragma omp simd
    for (int64_t i = 0; i < C; i++)
        y[i] = (s[i] - mean) * rstd * weight[i] + bias[i];
    *mean_out = mean;
    *rstd_out = rstd;
}

void layernorm_forward_rows(const NormForward *p, int threads, void *scratch)
{
    const int64_t N = tensor_rows(p->x), C = tensor_columns(p->x), room = norm_room(C);
    float *shared = (float *)scratch + BUFFERS * threads * room;
    const float *weight = norm_read(p->weight, 0, shared);
    const float *bias = norm_read(p->bias, 0, shared + room);

#pragma omp parallel num_threads(threads)
    {
        float *own = (float *)scratch + omp_get_thread_num() * BUFFERS * room;
        float *buffer[] = {own, own + room, own + 2 * room, own + 3 * room};
#pragma omp for schedule(static)
        for (int64_t n = 0; n < N; n++) {
            const float *s = norm_sum(p->x, p->residual, p->sum, n, buffer);
            float *y = p->y->dtype == F32 ? tensor_row(p->y, n) : buffer[3];
            float mean, rstd;

            normalise(s, weight, bias, C, p->epsilon, y, &mean, &rstd);
            if (p->y->dtype != F32)
                norm_give(p->y, n, false, y);
            if (p->mean) {
                ((float *)p->mean->data)[n] = mean;
                ((float *)p->rstd->data)[n] = rstd;
            }
        }
    }
}

/* The sums of one row, mean(g) and mean(g z), and its part of dw and db. */
CLONES static void sum_row(const float *s, const float *dy, const float *weight, int64_t C,
                           float mean, float rstd, float *dweight, float *dbias, float *mean_g,
                           float *mean_gz)
{
    float g = 0, gz = 0;

#pragma omp simd reduction(+ : g, gz)
    for (int64_t i = 0; i < C; i++) {
        const float z = (s[i] - mean) * rstd, gi = dy[i] * weight[i];
        g += gi;
        gz += gi * z;
        dweight[i] += dy[i] * z;
        dbias[i] += dy[i];
    }
    *mean_g = g / (float)C;
    *mean_gz = gz / (float)C;
}

/* Into d and `too`, which may be one: a copy afterwards would cost as much as the rest. */
CLONES static void gradient_row(const float *s, const float *dy, const float *weight,
                                const float *dsum, int64_t C, float mean, float rstd, float mean_g,
                                float mean_gz, float *d, float *too)
{
    if (dsum) {
#pragma omp simd
        for (int64_t i = 0; i < C; i++) {
            const float z = (s[i] - mean) * rstd;
            d[i] = too[i] = rstd * (dy[i] * weight[i] - mean_g - z * mean_gz) + dsum[i];
        }
    } else {
#pragma omp simd
        for (int64_t i = 0; i < C; i++) {
            const float z = (s[i] - mean) * rstd;
            d[i] = too[i] = rstd * (dy[i] * weight[i] - mean_g - z * mean_gz);
        }
    }
}

/* Row n; part: this slice's dw, then db. dx may lie where dy lies and dresidual where dsum lies: each
 * element is read before it is written. */
static void backward_row(const NormBackward *p, int64_t n, const float *weight, float *part,
                         float *buffer[])
{
    const int64_t C = tensor_columns(p->sum), room = norm_room(C);
    const float *dsum = p->dsum ? norm_read(p->dsum, n, buffer[2]) : NULL;
    float *d = norm_place(p->dx, n, p->add & ADD_DX, buffer[3]);
    float *too = norm_place(p->dresidual, n, p->add & ADD_DRESIDUAL, d);

    if (p->dy) {
        const float *s = norm_read(p->sum, n, buffer[0]);
        const float *dy = norm_read(p->dy, n, buffer[1]);
        const float mean = ((const float *)p->mean->data)[n];
        const float rstd = ((const float *)p->rstd->data)[n];
        float mean_g, mean_gz;

        sum_row(s, dy, weight, C, mean, rstd, part, part + room, &mean_g, &mean_gz);
        gradient_row(s, dy, weight, dsum, C, mean, rstd, mean_g, mean_gz, d, too);
    } else if (dsum) {
        memmove(d, dsum, (size_t)C * sizeof *d);
        memmove(too, d, (size_t)C * sizeof *d);
    }
    if (p->dx)
        norm_give(p->dx, n, p->add & ADD_DX, d);
    if (p->dresidual)
        norm_give(p->dresidual, n, p->add & ADD_DRESIDUAL, too);
}

void layernorm_backward_rows(const NormBackward *p, int threads, void *scratch)
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
            float *part = parts + 2 * k * room;
            memset(part, 0, (size_t)(2 * room) * sizeof *part);
            for (int64_t n = k * size; n < N && n < (k + 1) * size; n++)
                backward_row(p, n, weight, part, buffer);
        }
#pragma omp for schedule(static)
        for (int64_t from = 0; from < C; from += NORM_COLUMN_BLOCK) {
            norm_fold(p->dweight, p->add & ADD_DWEIGHT, parts, slices, 2 * room, from);
            norm_fold(p->dbias, p->add & ADD_DBIAS, parts + room, slices, 2 * room, from);
        }
    }
}
