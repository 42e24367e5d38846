/* recurrent_panels.c - ranks of sequences, weights as the inner loops read them. */
#include "kernels/recurrent_parts.h"
#include "kernels/vector.h"

static int32_t length_of(const int32_t *offsets, int32_t b)
{
    return offsets[b + 1] - offsets[b];
}

/* Merges the runs [from, middle) and [middle, to); the first wins where both are as long. */
static void merge_runs(const int32_t *offsets, const int32_t *in, int32_t *out, int64_t from,
                       int64_t middle, int64_t to)
{
    int64_t i = from, j = middle;

    for (int64_t k = from; k < to; k++)
        if (i < middle && (j >= to || length_of(offsets, in[i]) >= length_of(offsets, in[j])))
            out[k] = in[i++];
        else
            out[k] = in[j++];
}

void recurrent_rank(const int32_t *offsets, int64_t B, int32_t *order)
{
    int32_t *from = order, *to = order + B;

    for (int64_t b = 0; b < B; b++)
        from[b] = (int32_t)b;
    for (int64_t run = 1; run < B; run *= 2) {
        for (int64_t at = 0; at < B; at += 2 * run) {
            const int64_t middle = at + run < B ? at + run : B;
            const int64_t end = at + 2 * run < B ? at + 2 * run : B;
            merge_runs(offsets, from, to, at, middle, end);
        }
        int32_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != order)
        memcpy(order, from, (size_t)B * sizeof *order);
}

/* out[k][unit] = w[row0 + unit][k], zero from row `rows` on. */
static void pack_units(const Tensor *w, int64_t row0, int64_t rows, int64_t H, int64_t units,
                       float *out)
{
    for (int64_t k0 = 0; k0 < H; k0 += VECTOR_STRETCH) {
        const int64_t n = vector_stretch(H - k0);
        for (int64_t u = 0; u < units; u++) {
            float room[VECTOR_STRETCH];
            float *to = out + k0 * units + u;
            if (u < rows) {
                const float *row = vector_read(vector_at(w, row0 + u, k0), w->dtype, n, room);
                for (int64_t k = 0; k < n; k++)
                    to[k * units] = row[k];
            } else {
                for (int64_t k = 0; k < n; k++)
                    to[k * units] = 0;
            }
        }
    }
}

void recurrent_panels_forward(const Tensor *w, const RecurrentShape *s, int lanes, float *out,
                              int threads)
{
    const int64_t units = RECURRENT_VECTORS * lanes, panels = (s->H + units - 1) / units;

#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < s->D * panels; i++) {
        const int64_t d = i / panels, first = i % panels * units;
        float *to = out + d * s->G * s->H * s->state + first * s->G * s->H;
        for (int64_t g = 0; g < s->G; g++)
            pack_units(w, (d * s->G + g) * s->H + first, s->H - first, s->H, units,
                       to + g * units * s->H);
    }
}

void recurrent_panels_backward(const Tensor *w, const RecurrentShape *s, int lanes, float *out,
                               int threads)
{
    const int64_t width = RECURRENT_VECTORS * lanes, K = s->G * s->H;
    const int64_t panels = (s->H + width - 1) / width;

#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < s->D * panels; i++) {
        const int64_t d = i / panels, j = i % panels * width;
        const int64_t n = s->H - j < width ? s->H - j : width;
        float *to = out + d * K * s->state + j * K;
        for (int64_t k = 0; k < K; k++, to += width) {
            memset(to, 0, (size_t)width * sizeof *to);
            vector_give(to, F32, false, vector_read(vector_at(w, d * K + k, j), w->dtype, n, to),
                        n);
        }
    }
}
