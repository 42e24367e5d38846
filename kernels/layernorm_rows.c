/* layernorm_rows.c - the rows of layernorm and add_layernorm on the CPU; formulas: layernorm.h.
 *
 * A row is read from memory once and stays in the first cache for the passes over it. The sums over
 * rows are taken in slices whose number depends on N alone, and the slices are added in order.
 */
#include "kernels/inputs.h"
#include "kernels/layernorm.h"
#include "kernels/vector.h"

#include <inttypes.h>
#include <math.h>
#include <omp.h>
#include <string.h>

enum { SLICES = 32, SLICE_ROWS = 16, BUFFERS = 4, COLUMN_BLOCK = 64 };

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

static int64_t row_room(int64_t C) // floats
{
    return (C + 63) / 64 * 64;
}

static int64_t slice_rows(int64_t N)
{
    const int64_t rows = (N + SLICES - 1) / SLICES;
    return rows > SLICE_ROWS ? rows : SLICE_ROWS;
}

size_t layernorm_forward_bytes(int64_t C, int threads)
{
    return (size_t)((BUFFERS * threads + 2) * row_room(C)) * sizeof(float);
}

size_t layernorm_backward_bytes(int64_t N, int64_t C, int threads)
{
    const int64_t slices = (N + slice_rows(N) - 1) / slice_rows(N);
    return (size_t)((BUFFERS * threads + 1 + 2 * slices) * row_room(C)) * sizeof(float);
}

/* Row n of x as F32, through `room` where it is stored narrower. */
static const float *read_row(const Tensor *x, int64_t n, float *room)
{
    return vector_read(vector_at(x, n, 0), x->dtype, tensor_columns(x), room);
}

static void give_row(const Tensor *x, int64_t n, bool add, const float *from)
{
    vector_give(vector_at(x, n, 0), x->dtype, add, from, tensor_columns(x));
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

CLONES static void add_rows(const float *a, const float *b, int64_t C, float *sum)
{
#pragma omp simd
    for (int64_t i = 0; i < C; i++)
        sum[i] = a[i] + b[i];
}

/* s of row n, from memory or through room[0] and room[1]; kept where p says so. */
static const float *sum_of_row(const LayernormForward *p, int64_t n, int64_t C, float *room[])
{
    const float *x = read_row(p->x, n, room[0]);

    if (!p->residual)
        return x;
    const float *residual = read_row(p->residual, n, room[1]);
    float *sum = p->sum && p->sum->dtype == F32 ? tensor_row(p->sum, n) : room[2];
    add_rows(x, residual, C, sum);
    if (!p->sum || p->sum->dtype == F32)
        return sum;
    give_row(p->sum, n, false, sum);
    return read_row(p->sum, n, room[2]); // as backward and others will see it
}

void layernorm_forward_rows(const LayernormForward *p, int threads, void *scratch)
{
    const int64_t N = tensor_rows(p->x), C = tensor_columns(p->x), room = row_room(C);
    float *shared = (float *)scratch + BUFFERS * threads * room;
    const float *weight = read_row(p->weight, 0, shared);
    const float *bias = read_row(p->bias, 0, shared + room);

#pragma omp parallel num_threads(threads)
    {
        float *own = (float *)scratch + omp_get_thread_num() * BUFFERS * room;
        float *buffer[] = {own, own + room, own + 2 * room, own + 3 * room};
#pragma omp for schedule(static)
        for (int64_t n = 0; n < N; n++) {
            const float *s = sum_of_row(p, n, C, buffer);
            float *y = p->y->dtype == F32 ? tensor_row(p->y, n) : buffer[3];
            float mean, rstd;

            normalise(s, weight, bias, C, p->epsilon, y, &mean, &rstd);
            if (p->y->dtype != F32)
                give_row(p->y, n, false, y);
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

/* Where to compute a row of a gradient: in place where it is F32 and overwritten. */
static float *place_row(const Tensor *dx, int64_t n, bool add, float *otherwise)
{
    return dx && dx->dtype == F32 && !add ? tensor_row(dx, n) : otherwise;
}

/* Row n; part: this slice's dw, then db. dx may lie where dy lies and dresidual where dsum lies: each
 * element is read before it is written. */
static void backward_row(const LayernormBackward *p, int64_t n, const float *weight, float *part,
                         float *buffer[])
{
    const int64_t C = tensor_columns(p->sum), room = row_room(C);
    const float *dsum = p->dsum ? read_row(p->dsum, n, buffer[2]) : NULL;
    float *d = place_row(p->dx, n, p->add & ADD_DX, buffer[3]);
    float *too = place_row(p->dresidual, n, p->add & ADD_DRESIDUAL, d);

    if (p->dy) {
        const float *s = read_row(p->sum, n, buffer[0]);
        const float *dy = read_row(p->dy, n, buffer[1]);
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
        give_row(p->dx, n, p->add & ADD_DX, d);
    if (p->dresidual)
        give_row(p->dresidual, n, p->add & ADD_DRESIDUAL, too);
}

/* Columns [from, to) of one parameter's gradient: the slices in order. */
static void fold(const Tensor *dx, bool add, const float *part, int64_t slices, int64_t room,
                 int64_t from, int64_t to)
{
    float total[COLUMN_BLOCK];
    const int64_t n = to - from;

    if (!dx)
        return;
    memset(total, 0, sizeof total);
    for (int64_t k = 0; k < slices; k++)
        for (int64_t i = 0; i < n; i++)
            total[i] += part[2 * k * room + from + i];
    vector_give(vector_at(dx, 0, from), dx->dtype, add, total, n);
}

void layernorm_backward_rows(const LayernormBackward *p, int threads, void *scratch)
{
    const int64_t N = tensor_rows(p->sum), C = tensor_columns(p->sum), room = row_room(C);
    const int64_t size = slice_rows(N), slices = (N + size - 1) / size;
    float *shared = (float *)scratch + BUFFERS * threads * room, *parts = shared + room;
    const float *weight = read_row(p->weight, 0, shared);

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
        for (int64_t from = 0; from < C; from += COLUMN_BLOCK) {
            const int64_t to = from + COLUMN_BLOCK < C ? from + COLUMN_BLOCK : C;
            fold(p->dweight, p->add & ADD_DWEIGHT, parts, slices, room, from, to);
            fold(p->dbias, p->add & ADD_DBIAS, parts + room, slices, room, from, to);
        }
    }
}
